"""Our face detector beside published ones: recall by condition on the same frames, and time as a ratio.

`python benchmarks/face.py [--data RENDERS] [--photographs DIR ...] [--face-free DIR ...] [--weights
../shared/data/weights] [--models DIR] [--limit N] [--json FILE]`

`--data` takes renders that training did not see. `--photographs` takes any folder that `python -m export datasets`
recognises (of the London set only the test persons). Roll 0 is upright where the labels hold landmarks, else as
photographed. `--face-free` takes any folder of photographs without faces, or with labelled ones, which are kept out.
Each detector has its own threshold, set so that at most 2 % of the same face-free frames fire; some of those are
spoiled faces, which ours has met in training and the peers have not, so each table comes with and without them.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # neither `export` nor `benchmarks` is installed

from benchmarks.peers import Haar, Peer, RetinaFaceMnet, ThreeRotations, YuNet
from edgemon.faces.detect import FaceDetector
from edgemon.inference import Image, Model, prepare
from export.datasets import Renders
from export.datasets.files import pictures_in
from export.datasets.labelled import Labelled
from export.datasets.layouts import open_all, recognised, sources
from export.evaluate_face import Finds, false_scores
from export.face_cases import CONDITIONS, GROUPS, Subjects, london_subjects, render_subjects
from export.face_precision import Finder
from export.metrics import FALSE_FRAMES, share_at, threshold_at
from export.photograph_cases import SPOILED, Free, find_among, free_frames, photograph_subjects

FACE_FREE_FRAMES = 450
FEW_FRAMES = 50
PHOTOGRAPHED_FACES = 300  # of one folder, where --limit does not say otherwise
ROUNDS, WARM_UP, TIMED = 12, 5, 25
LONDON = "London (test persons)"
PEERS = {
    "YuNet-n": (YuNet, "yunet/yunet_n_320x256.onnx"),
    "YuNet-s": (YuNet, "yunet/yunet_s_320x256.onnx"),
    "RetinaFace-mnet0.25": (RetinaFaceMnet, "retinaface/retina_mnet025_320x240.onnx"),
}
UNIT = "YuNet-n"
ROLLED = {"roll 0": 100, "roll 45": 100, "roll 60": 100, "roll 90": 100, "roll 135": 100, "roll 180": 100}
AIMS: Mapping[str, Mapping[str, float]] = {  # percent, at 2 % false frames
    "London": {**ROLLED, "dark": 97, "dark, roll 90": 97, "covered": 99},
    "photographs": {
        "roll 0": 100, "roll 45": 100, "roll 60": 99, "roll 90": 99, "roll 180": 98, "dark": 95, "covered": 99,
        "eyes hidden": 100,
    },
    "renders": {},
}  # fmt: skip


@dataclass(frozen=True)
class Row:
    """One detector: its finds on each set, and its highest score in each face-free frame by kind."""

    name: str
    finds: tuple[Finds, ...]
    false: Mapping[str, NDArray[np.float64]]
    ratio: float | None  # of its bare network's time to YuNet-n's

    @property
    def thresholds(self) -> dict[str, float]:
        """At 2 % false frames, without and with spoiled faces."""
        honest = np.concatenate([scores for kind, scores in self.false.items() if kind != SPOILED])
        return {
            f"{FALSE_FRAMES:.0%} false frames, spoiled faces apart": threshold_at(honest),
            f"{FALSE_FRAMES:.0%} false frames": threshold_at(np.concatenate(list(self.false.values()))),
        }


@dataclass(frozen=True)
class Case:
    """One set of faces, and the aims it is held against."""

    subjects: Subjects
    aims: str


def interleaved_ms(runs: Mapping[str, Callable[[], object]]) -> dict[str, list[float]]:
    """Median time of each call in every round; in a round they take turns, so that a busy machine slows them alike."""
    rounds: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(ROUNDS):
        for name, call in runs.items():
            spent = []
            for turn in range(WARM_UP + TIMED):
                begun = time.perf_counter()
                call()
                if turn >= WARM_UP:
                    spent.append(1e3 * (time.perf_counter() - begun))
            rounds[name].append(statistics.median(spent))
    return rounds


def ours(models: Path, frame: Image) -> tuple[dict[str, Finder], dict[str, Callable[[], object]]]:
    """Our released detectors, and a call of each bare network on one frame."""
    finders: dict[str, Finder] = {}
    calls: dict[str, Callable[[], object]] = {}
    for name in ("face", "face-int8"):
        if (models / f"{name}.toml").is_file():
            model = Model.open(models, name)
            label = f"edgemon {model.manifest.label}"
            finders[label] = FaceDetector(model)
            calls[label] = partial(model, prepare(frame, model.manifest.input))
    return finders, calls


def peers(weights: Path, frame: Image) -> tuple[dict[str, Finder], dict[str, Callable[[], object]]]:
    """The published detectors whose files are there; one that is missing is named on stderr."""
    finders: dict[str, Finder] = {}
    calls: dict[str, Callable[[], object]] = {}
    for name, (kind, path) in PEERS.items():
        if not (weights / path).is_file():
            sys.stderr.write(f"{weights / path}: missing, so {name} is left out\n")
            continue
        peer: Peer = kind(weights / path)
        finders[name] = peer
        calls[name] = peer.bare(frame)
        if name == UNIT:
            thrice = ThreeRotations(peer, YuNet(weights / path, turned=True))
            finders[f"{name} at 3 rotations"] = thrice
            calls[f"{name} at 3 rotations"] = thrice.bare(frame)
    return finders | {"Haar": Haar()}, calls


def cases(args: argparse.Namespace, renders: Renders | None) -> Iterator[Case]:
    """The sets of faces that were asked for."""
    if renders is not None:
        for group in GROUPS:
            subjects = render_subjects(renders, args.limit, group)
            if subjects.pictures:
                yield Case(subjects, "renders")
    for folder in args.photographs:
        if sources(folder)[0].layout.name == LONDON:
            yield Case(london_subjects(folder, "test"), "London")
        else:
            limit = PHOTOGRAPHED_FACES if args.limit is None else args.limit
            found = photograph_subjects(folder.name, open_all(folder), limit)
            print(found)
            yield Case(found, "photographs")


def backgrounds(folders: Sequence[Path]) -> list[Labelled]:
    """The pictures of folders without faces; where a folder has labels after all, with those faces."""
    out: list[Labelled] = []
    for folder in folders:
        if recognised(folder):
            out += open_all(folder)
        else:
            out += [Labelled(path, path.name, ()) for path in pictures_in(folder)]
    return out


def arguments(words: Sequence[str] | None) -> argparse.Namespace:
    """What the user asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, metavar="RENDERS")
    parser.add_argument("--photographs", type=Path, action="append", default=[], metavar="DIR")
    parser.add_argument("--face-free", type=Path, action="append", default=[], metavar="DIR")
    parser.add_argument("--weights", type=Path, default=Path("../shared/data/weights"))
    parser.add_argument("--models", type=Path, default=Path("models"))
    parser.add_argument("--limit", type=int, help="judge at most so many faces of a set (default: photographs 300)")
    parser.add_argument("--frames", type=int, default=FACE_FREE_FRAMES, help="face-free frames beside photographs")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args(words)
    if args.data is None and not args.photographs:
        parser.error("give --data RENDERS, --photographs DIR, or both")
    return args


def main(words: Sequence[str] | None = None) -> int:
    """Print the tables; write them as JSON."""
    args = arguments(words)
    try:
        run(args)
    except ValueError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return 0


def run(args: argparse.Namespace) -> None:
    """Judge every detector on the same frames."""
    cv2.setNumThreads(1)
    renders = None if args.data is None else Renders(args.data)
    judged = list(cases(args, renders))
    labelled = [sample for folder in args.photographs for sample in open_all(folder)]
    free = free_frames(renders, [c.subjects for c in judged], labelled + backgrounds(args.face_free), args.frames)
    warn_of_few(free)
    frame = next(judged[0].subjects.frames(CONDITIONS["roll 0"])).rgb
    (mine, my_calls), (theirs, their_calls) = ours(args.models, frame), peers(args.weights, frame)
    spent = interleaved_ms(my_calls | their_calls)
    rows = [
        Row(
            name,
            tuple(find_among(finder, case.subjects) for case in judged),
            {kind: false_scores(finder, frames) for kind, frames in free.items() if frames},
            ratio(name, spent),
        )
        for name, finder in (mine | theirs).items()
    ]
    for line in lines(rows, judged, spent):
        print(line)
    if args.json is not None:
        args.json.write_text(json.dumps(told(rows, judged), indent=1) + "\n", encoding="utf-8")


def warn_of_few(free: Free) -> None:
    """Say what the thresholds rest on, and when that is too little."""
    print("face-free frames: " + ", ".join(f"{len(frames)} {kind}" for kind, frames in free.items()))
    honest = sum(len(frames) for kind, frames in free.items() if kind != SPOILED)
    if honest < FEW_FRAMES:
        sys.stderr.write(
            f"WARNING: {honest} face-free frames apart from spoiled faces, fewer than {FEW_FRAMES}: 2 % of them is "
            "less than one frame, so the thresholds are those of no false frame at all; add --face-free or --data\n"
        )


def lines(rows: Sequence[Row], judged: Sequence[Case], spent: Mapping[str, list[float]]) -> Iterator[str]:
    """Recall in percent at each detector's own thresholds, what fired, and time against YuNet-n."""
    heads = "".join(f"{c.replace('roll ', ''):>12}" for c in CONDITIONS)
    for how in rows[0].thresholds:
        for number, case in enumerate(judged):
            count = len(rows[0].finds[number].hits["roll 0"])
            yield f"{case.subjects.name} ({count} frames a condition): recall % at {how}"
            yield f"  {'':<28}{heads}{'threshold':>12}"
            for row in rows:
                at = row.thresholds[how]
                yield f"  {row.name:<28}{cells(recalls(row.finds[number], at))}{at:>12.3f}"
            if aims := AIMS[case.aims]:
                yield f"  {'to beat them all':<28}{cells(aims)}"
        yield f"  false frames % at {how}, by kind"
        yield f"  {'':<28}" + "".join(f"{f'{kind} ({scores.size})':>28}" for kind, scores in rows[0].false.items())
        for row in rows:
            shares = (100 * share_at(scores, row.thresholds[how]) for scores in row.false.values())
            yield f"  {row.name:<28}" + "".join(f"{share:>28.1f}" for share in shares)
    yield f"bare network at 320x240, one thread, ratio to {UNIT} ({platform.machine()}, {platform.system()})"
    for name, rounds in spent.items():
        yield f"  {name:<28}{ratio(name, spent) or '-':>8}   ({statistics.median(rounds):.2f} ms)"


def cells(percents: Mapping[str, float]) -> str:
    """One value a condition, a dash where there is none."""
    return "".join(f"{f'{percents[c]:.1f}' if c in percents else '-':>12}" for c in CONDITIONS)


def recalls(finds: Finds, at: float) -> dict[str, float]:
    """Percent by condition."""
    return {c: 100 * finds.recall(c, at) for c in finds.conditions}


def ratio(name: str, spent: Mapping[str, list[float]]) -> float | None:
    """Time against YuNet-n, where both were timed: the median over rounds."""
    if name not in spent or UNIT not in spent:
        return None
    return round(statistics.median(a / b for a, b in zip(spent[name], spent[UNIT], strict=True)), 2)


def told(rows: Sequence[Row], judged: Sequence[Case]) -> dict[str, object]:
    """The same as JSON."""
    return {
        "machine": platform.platform(),
        "face_free_frames": {kind: int(scores.size) for kind, scores in rows[0].false.items()},
        "aims_percent": {case.subjects.name: AIMS[case.aims] for case in judged},
        "frames": {finds.data: {c: len(hits) for c, hits in finds.hits.items()} for finds in rows[0].finds},
        "rows": [
            {
                "detector": row.name,
                "time_ratio_to_yunet_n": row.ratio,
                "thresholds": row.thresholds,
                "recall_percent": {
                    how: {f.data: recalls(f, at) for f in row.finds} for how, at in row.thresholds.items()
                },
                "false_frames_percent": {
                    how: {kind: 100 * share_at(scores, at) for kind, scores in row.false.items()}
                    for how, at in row.thresholds.items()
                },
            }
            for row in rows
        ],
    }


if __name__ == "__main__":
    sys.exit(main())
