"""n cots and one pose network: as a grid in one picture (the seed's idea), as a batch, or one by one.

    python benchmarks/pose_grid.py --data RENDERS [--model pose-depth] [--limit N] [--json FILE] [--plot FILE]

The released network looks at the same pictures in five ways for n = 1, 2, 4 and 9 cots; two need no other training,
as the network is convolutions and runs at any size: a batch of pictures as small as the grid's tiles (what neighbours
do beside what smallness does), and a grid of n times the area in which each infant keeps its size (what a grid saves).

- Accuracy as `evaluate pose` judges it, at no threshold; posture and what is missed at the released thresholds. Each
  picture is shown once, among others drawn by chance.
- Time: of the processor, per cot, of everything from the camera's picture to poses; the ways take turns in one
  process (export/cost.py), and a ratio is the median over rounds of that to one by one in the same round.
- Multiplications: counted on the graph's shapes, per cot.
- Memory: how far a fresh process's peak resident memory grows from before the model is opened until it has looked a
  few times (benchmarks/pose_grid_memory.py), the median of several processes.
- Crosstalk: each infant twice in the same tile, all its neighbours replaced by other infants or by empty cots: how far
  its joints move, in trunk lengths.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # neither `export` nor `benchmarks` is installed

from benchmarks.pose_grid_plot import plot
from benchmarks.pose_grid_table import FAR_TRUNKS, Accuracy, Cross, Guess, Row, Study, lines
from benchmarks.pose_grid_ways import (
    ALONE,
    BATCH,
    GRID,
    LARGE_GRID,
    Cots,
    Moves,
    Size,
    Way,
    calls,
    cots_of,
    crosstalk,
    multiplications,
    open_way,
    resized,
    show,
    strays,
    unbound,
    ways,
)
from edgemon.errors import ModelError
from edgemon.manifest import ModelFile, default_folder, load
from edgemon.observations.pose_network import tiles
from edgemon.records import Frame
from export.cost import in_turns_ms
from export.describe import write
from export.pose.baselines import CENTRE, mean_pose
from export.pose.figures import figures
from export.pose.layouts import read_all, read_poses
from export.pose.samples import Kind, PoseSample
from export.pose.told import confusions

COUNTS = (1, 2, 4, 9)
CROSSED = (GRID, LARGE_GRID, BATCH)
PROCESSES, SEED = 3, 1


def accuracy(file: ModelFile, way: Way, count: int, cots: Cots) -> Accuracy:
    """Two looks at everything: at no threshold and at those that ship."""
    free, bound = (show(open_way(one, way, count), cots.frames, count, SEED) for one in (unbound(file), file))
    all_of = figures(cots.samples, free.told)
    posture, _ = confusions(cots.samples, bound.told)
    told = dict(posture.named())
    here = [not poses for sample, poses in zip(cots.samples, bound.told, strict=True) if len(sample.persons)]
    size_px = way.size(file.manifest.input.size_px, count)
    beyond, astray = strays(cots, free, tiles(count, size_px) if way.mode == "grid" else ())
    return Accuracy(
        ap=all_of.precision.ap,
        ar=all_of.precision.ar,
        ap_visible=None if all_of.seen is None else all_of.seen.ap,
        los=all_of.los.mean,
        error_p50=all_of.error_p50,
        error_p90=all_of.error_p90,
        posture_right=told.get("posture accuracy when told"),
        posture_open=told.get("posture left open"),
        missed=float(np.mean(here)),
        beyond_picture=beyond,
        in_other_tile=astray,
    )


def times_ms(file: ModelFile, count: int, frames: Sequence[Frame], rounds: int) -> dict[str, tuple[float, float]]:
    """Of each way: milliseconds of the processor per cot, and the ratio to one by one."""
    shown = [frames[n % len(frames)] for n in range(count)]
    spent = in_turns_ms({way.name: partial(open_way(file, way, count).read, shown) for way in ways(count)}, rounds)
    return {
        name: (
            statistics.median(took) / count,
            statistics.median(one / alone for one, alone in zip(took, spent[ALONE.name], strict=True)),
        )
        for name, took in spent.items()
    }


def memory_mib(file: ModelFile, way: Way, count: int, picture_px: Size) -> float:
    """The median growth of fresh processes."""
    sized = resized(file, way.size(file.manifest.input.size_px, count))
    script = Path(__file__).parent / "pose_grid_memory.py"
    with tempfile.TemporaryDirectory() as folder:
        write(sized, Path(folder))
        told = (folder, sized.manifest.id, way.mode, count, *picture_px)
        command = [sys.executable, str(script), *map(str, told)]
        grown = [
            float(subprocess.run(command, check=True, capture_output=True, text=True).stdout) for _ in range(PROCESSES)
        ]
    return statistics.median(grown)


def rows_of(file: ModelFile, count: int, cots: Cots, rounds: int) -> Iterator[Row]:
    """All ways to show so many cots."""
    times = times_ms(file, count, cots.frames, rounds)
    for way in ways(count):
        size_px = way.size(file.manifest.input.size_px, count)
        runs, images = calls(way, count)
        ms, ratio = times[way.name]
        yield Row(
            count=count,
            way=way.name,
            input_px=size_px,
            accuracy=accuracy(file, way, count, cots),
            ms=ms,
            to_one_by_one=ratio,
            multiplications_millions=runs * multiplications(resized(file, size_px).onnx, images) / count / 1e6,
            memory_mib=memory_mib(file, way, count, cots.samples[0].size),
        )


def crosses_of(file: ModelFile, count: int, cots: Cots, most: int) -> Iterator[Cross]:
    """The grids, and the batch as the control in which nothing can cross."""
    infants = [n for n, s in enumerate(cots.samples) if len(s.persons) == 1 and s.persons[..., 2].any()]
    empty = [n for n, sample in enumerate(cots.samples) if not len(sample.persons)]
    rng = np.random.default_rng(SEED)
    first, other = (rng.permutation(infants).tolist() for _ in range(2))
    pools: dict[str, list[int]] = {"first": first, "other infants": other, "empty cots": empty}
    neighbours = {name: partial(_of_pool, pool, count) for name, pool in pools.items() if pool}
    for way in CROSSED:
        network = open_way(unbound(file), way, count)
        centre_from = file.manifest.threshold("centre")
        moved = crosstalk(network, cots, neighbours, infants[:most], count=count, centre_from=centre_from)
        yield from (_cross(count, way, name, moves) for name, moves in moved.items())


def _of_pool(pool: Sequence[int], count: int, turn: int, place: int) -> int:
    return pool[(turn * count + place) % len(pool)]


def _cross(count: int, way: Way, name: str, moves: Moves) -> Cross:
    known = moves.trunks[np.isfinite(moves.trunks)]
    curve = np.quantile(known, np.linspace(0, 1, 101))
    far = float((known > FAR_TRUNKS).mean())
    return Cross(
        count, way.name, name, len(moves.trunks), far, moves.appeared, moves.turned, tuple(map(float, curve.round(5)))
    )


def study(file: ModelFile, samples: Sequence[PoseSample], args: argparse.Namespace) -> Study:
    """Everything, in minutes."""
    cots = cots_of(samples)
    mean = (
        mean_pose(read_poses(args.train_mean, samples[0].kind), f"mean pose of {args.train_mean.name}")
        if args.train_mean
        else mean_pose(samples, "mean pose of these very infants")
    )
    floor = {guess.name: figures(samples, [guess(sample) for sample in samples]) for guess in (CENTRE, mean)}
    rows: list[Row] = []
    crosses: list[Cross] = []
    for count in tqdm(args.counts, unit="n", disable=None):
        rows += rows_of(file, count, cots, args.rounds)
        crosses += crosses_of(file, count, cots, args.targets) if count > 1 else ()
    return Study(
        model=file.manifest.label,
        data=", ".join(place.name for place in args.data),
        pictures=len(samples),
        guesses=tuple(Guess(name, of.precision.ap, of.los.mean) for name, of in floor.items()),
        rows=tuple(rows),
        crosses=tuple(crosses),
    )


def main() -> int:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--model", type=Path, default=Path("pose-depth"), help="NAME of a released model, or FOLDER/NAME"
    )
    parser.add_argument("--data", type=Path, nargs="+", required=True, help="renders of whole bodies, or other poses")
    parser.add_argument("--limit", type=int, help="look at so many pictures of each folder only")
    parser.add_argument("--targets", type=int, default=200, help="infants whose neighbours are replaced")
    parser.add_argument("--counts", type=int, nargs="+", default=COUNTS, help="numbers of cots")
    parser.add_argument("--rounds", type=int, default=12, help="rounds of turns in which time is measured")
    parser.add_argument("--train-mean", type=Path, help="training poses, for the mean pose that never looks")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--plot", type=Path, help="a picture of the study, of the kind that its ending says")
    args = parser.parse_args()
    cv2.setNumThreads(1)
    try:
        folder = default_folder() if args.model.parent == Path() else args.model.parent
        file = load(folder, args.model.name)
        kind: Kind = "depth" if file.manifest.input.colour == "depth" else "rgb"
        told = study(file, read_all(args.data, kind, args.limit), args)
        print(*lines(told), sep="\n")
        if args.json:
            args.json.write_text(json.dumps(asdict(told), indent=1) + "\n", encoding="utf-8")
        if args.plot:
            plot(told, args.plot)
    except (ValueError, ModelError) as error:
        parser.error(str(error))
    return 0


if __name__ == "__main__":
    sys.exit(main())
