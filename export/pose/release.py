"""`release pose`, `release pose-depth`: graph, thresholds, int8, figures, manifest and card of the device's network."""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
import torch

from edgemon.inference import Model, Tensor, letterbox, prepare
from edgemon.manifest import IMAGES, Manifest, Metric, ModelFile, ModelInput
from edgemon.observations.pose_spots import cut, fitted
from edgemon.records import Pose
from export import cost
from export.dekr import DEKR, W16T
from export.dekr.graph import load, model_outputs, to_int8, to_onnx
from export.describe import NOTES, Notes, Precision, card, finished, read_notes, write
from export.metrics import threshold_at
from export.pose.baselines import mean_pose
from export.pose.evaluate import evaluate_pose
from export.pose.figures import figures
from export.pose.finders import PoseReader
from export.pose.joints import VISIBLE, Joined, join
from export.pose.renders import renders
from export.pose.report import EVERYTHING, PoseReport
from export.pose.samples import Kind, PoseSample
from export.pose.stream import SIZE_PX
from export.recipes import COT_MEAN, COT_SCALE

KINDS: Final[Mapping[str, Kind]] = {"pose": "rgb", "pose-depth": "depth"}
FALSE_SHARE = 0.02  # of empty cots in which an infant may be told
CALIBRATION_COUNT, PROBES = 160, 24
LEVELS = tuple(round(0.05 * n, 2) for n in range(1, 17))  # of `visible` that are tried
MOST_APART = 1e-3  # torch and the fp32 graph, in values of a heatmap or in cells
MOST_LOST = 0.005  # of OKS AP by int8: half a point
_NOTED = ("OKS AP", "OKS AR", "OKS AP of visible joints", "OKS AR of visible joints", "LOS",
          "error p50, trunk lengths", "error p90, trunk lengths")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Judged:
    """A model with its thresholds, and its figures on each set."""

    file: ModelFile
    reports: tuple[PoseReport, ...]

    @property
    def precision(self) -> tuple[float, ...]:
        """OKS AP on each set."""
        return tuple(report.rows[0].figures.precision.ap for report in self.reports)

    def metrics(self) -> tuple[Metric, ...]:
        """The figures over all infants of each set; those of the groups are on the card."""
        return tuple(
            metric
            for report in self.reports
            for metric in report.metrics()
            if f"; {EVERYTHING} (" in metric.condition and metric.name in _NOTED
        )


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What `release` takes for poses beside what it takes for all."""
    parser.add_argument("--shift", type=Path, help="pose: renders with settings that training never draws")
    parser.add_argument("--train-mean", type=Path, help="pose: training renders, for the mean pose that never looks")


def run(args: argparse.Namespace) -> int:
    """Release a network that `train pose` or `train pose-depth` wrote.

    Raises:
        ValueError: weights or data cannot be used, or the graph differs from its network.
    """
    if args.val is None or args.train_mean is None:
        raise ValueError(f"release {args.task}: --val and --train-mean: renders that set thresholds and the mean pose")
    torch.set_num_threads(1)
    kind = KINDS[args.task]
    notes = read_notes(args.notes or NOTES / f"{args.task}.toml")
    network = load(W16T, args.weights)
    val = renders(args.val, kind)
    sets = {place.name: renders(place, kind)[: args.limit] for place in (args.data, args.shift) if place is not None}
    mean = mean_pose(renders(args.train_mean, kind), f"mean pose of {args.train_mean.name}")
    fp32 = to_onnx(network, SIZE_PX)
    worst = _apart(network, _draft(args.task, "fp32", fp32, args.version, notes), val)
    int8 = to_int8(fp32, inputs(val, CALIBRATION_COUNT))
    judged = []
    graphs: tuple[tuple[Precision, bytes], ...] = (("fp32", fp32), ("int8", int8))
    for precision, graph in graphs:
        file = with_thresholds(_draft(args.task, precision, graph, args.version, notes), val)
        reader = PoseReader(Model(file))
        judged.append(Judged(file, tuple(evaluate_pose(s, reader, mean, (), name) for name, s in sets.items())))
    first, other = judged
    lost = {name: a - b for name, a, b in zip(sets, first.precision, other.precision, strict=True)}
    on_val = _precision(first.file, val) - _precision(other.file, val)
    shipped = judged if on_val <= MOST_LOST else judged[:1]
    lost |= {"validation, which decides": on_val}
    tables = {
        f"{precision} on unseen infants": tuple(line for report in one.reports for line in report.lines())
        for (precision, _), one in zip(graphs, judged, strict=True)
    }
    tables["graphs"] = tuple(_graphs(worst, lost, network, first.file))
    files = tuple(finished(one.file, one.metrics()) for one in shipped)
    _write(args, notes, files, tables)
    return 0


def _graphs(worst: float, lost: Mapping[str, float], network: DEKR, file: ModelFile) -> Iterator[str]:
    yield f"torch and fp32 differ by at most {worst:.1e} on {PROBES} validation renders"
    for name, points in lost.items():
        yield f"int8 loses {100 * points:.2f} points of OKS AP on {name} (0.5 allowed)"
    yield from cost.lines(network, Model(file))


def _precision(file: ModelFile, samples: Sequence[PoseSample]) -> float:
    """OKS AP."""
    reader = PoseReader(Model(file))
    return figures(samples, [reader.read(sample).found for sample in samples]).precision.ap


def inputs(samples: Sequence[PoseSample], count: int) -> Iterator[Tensor]:
    """The prepared inputs (1, 3, H, W) of the first pictures: the whole, and the squares around those who lie there."""
    for sample in samples[:count]:
        picture, spec = sample.read(), model_input(sample.kind)
        yield prepare(letterbox(picture, SIZE_PX)[0], spec)
        for person in sample.persons:
            if (person[:, 2] > 0).all():
                known = Pose(np.minimum(person, (np.inf, np.inf, 1)).astype(np.float32), 1.0, None, None)
                yield prepare(cut(picture, fitted(known, 1.0), min(SIZE_PX)), spec)


def model_input(kind: Kind) -> ModelInput:
    """What the device's network takes: any number of pictures."""
    width, height = SIZE_PX
    return ModelInput(
        name=IMAGES,
        shape=(IMAGES, 3, height, width),
        colour="depth" if kind == "depth" else "RGB",
        mean=(COT_MEAN,) * 3,
        scale=(COT_SCALE,) * 3,
    )


def _draft(task: str, precision: Precision, graph: bytes, version: str, notes: Notes) -> ModelFile:
    manifest = Manifest.model_construct(
        id=task if precision == "fp32" else f"{task}-{precision}",
        version=version,
        sha256=hashlib.sha256(graph).hexdigest(),
        precision=precision,
        task="pose",
        intended_use=notes.intended_use,
        thresholds={**notes.thresholds, "centre": 0.0, "visible": 0.0},
        input=model_input(KINDS[task]),
        outputs=model_outputs(W16T),
        origins=notes.origins,
        metrics=(),
    )
    return ModelFile(manifest, graph)


def with_thresholds(draft: ModelFile, val: Sequence[PoseSample]) -> ModelFile:
    """The model with `centre`, which FALSE_SHARE of empty cots reach, and `visible`, which errs least both ways.

    A joint's place depends on whether it is called visible, so poses are decoded anew for each level.

    Raises:
        ValueError: no cot of the validation renders is empty.
    """
    reader = PoseReader(Model(draft))
    looks = [reader.network.look([sample.read()])[0] for sample in val]
    empty = [
        float(look.whole.maps[0][-1].max()) for sample, look in zip(val, looks, strict=True) if not len(sample.persons)
    ]
    if not empty:
        raise ValueError("--val: no empty cot, by which the threshold of an infant's centre is set")
    right = {
        level: _told_right(join(val, [look.poses(centre=0.0, visible=level, posture=0.0) for look in looks]), level)
        for level in LEVELS
    }
    chosen = {
        "centre": round(max(0.05, threshold_at(np.array(empty), FALSE_SHARE)) + 5e-4, 3),
        "visible": max(right, key=lambda level: right[level]),
    }
    print(f"centre {chosen['centre']} by {len(empty)} empty cots, visible {chosen['visible']}")
    thresholds = {**draft.manifest.thresholds, **chosen}
    return replace(draft, manifest=draft.manifest.model_copy(update={"thresholds": thresholds}))


def _told_right(joined: Joined, level: float) -> float:
    """Share of visible joints told as visible and of covered ones as covered, added up."""
    labelled = joined.truth[..., 2] > 0
    scores, seen = joined.told[..., 2][labelled], joined.truth[..., 2][labelled] == VISIBLE
    return float((scores[seen] >= level).mean() + (scores[~seen] < level).mean())


def _apart(network: DEKR, draft: ModelFile, val: Sequence[PoseSample]) -> float:
    model, worst = Model(draft), 0.0
    for tensor in inputs(val, PROBES):
        with torch.inference_mode():
            wanted = [output.numpy() for output in network(torch.from_numpy(tensor))]
        worst = max(worst, *(float(np.abs(a - b).max()) for a, b in zip(wanted, model(tensor), strict=True)))
    if worst > MOST_APART:
        raise ValueError(f"the graph differs from its network by {worst:.1e}, allowed are {MOST_APART:.0e}")
    return worst


def _write(
    args: argparse.Namespace, notes: Notes, files: tuple[ModelFile, ...], tables: Mapping[str, tuple[str, ...]]
) -> None:
    for suffix in (".onnx", ".toml"):
        (args.folder / f"{args.task}-int8{suffix}").unlink(missing_ok=True)
    for file in files:
        write(file, args.folder)
    (args.folder / "cards").mkdir(exist_ok=True)
    (args.folder / "cards" / f"{args.task}.md").write_text(card(notes, files, tables), encoding="utf-8")
    for name, table in tables.items():
        print(name, *table, sep="\n")
    print("released", ", ".join(file.manifest.label for file in files), "into", args.folder)
