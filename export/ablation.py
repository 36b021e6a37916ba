"""`ablate-face`: the seed's tables 2 and 5 on renders: what each module does for average precision, over seeds.

As in the seed every row starts from one network that was pre-trained without the modules, there on WIDER FACE, here on
other frames of the training infants, and is then trained by the seed's schedule.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from export.augment import Scene
from export.detection_metrics import average_precision, matches, precision_recall
from export.nfd import NetworkConfig, Scored
from export.nfd.backbones import Backbone
from export.nfd.decode import Floats, Found, decode, ranking
from export.nfd.frames import as_drawn, draw
from export.nfd.losses import LossConfig, Quality
from export.nfd_training import Plan, Schedule, Training, add_scale, inputs, pretraining

IOUS = (0.5, 0.6, 0.7, 0.8)
ALPHAS = (0.0, 0.2, 0.4, 0.5, 0.6, 0.8, 1.0)
RECALLS = np.linspace(0, 1, 101)
LOWEST_SCORE = 1e-3
BATCH = 32
VAL_SEED, TEST_SEED, TRAIN_SEED, PRETRAIN_SEED = 11, 12, 13, 14  # of the frames
SETTING = ("backbone", "width", "size", "images", "epochs", "pretrain_images", "pretrain_epochs", "judge")


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the tables."""

    name: str
    hcc: bool = False
    dan: bool = False
    quality: Quality = "diou"

    def plan(self, backbone: Backbone, channels: int | None, schedule: Schedule, seed: int) -> Plan:
        """How it is trained; rows of one seed share weights at the start, frames and their order."""
        network = NetworkConfig(backbone, hcc=self.hcc, dan=self.dan, channels=channels)
        return Plan(network, LossConfig(quality=self.quality), schedule, seed=seed)


ROWS = (
    Row("baseline"),
    Row("hcc", hcc=True),
    Row("dan", dan=True),
    Row("both", hcc=True, dan=True),
    Row("both-iou", hcc=True, dan=True, quality="iou"),  # table 5
)


@dataclass(frozen=True, slots=True)
class Reading:
    """AP at `IOUS` of one run by alpha, and its precision at `RECALLS` for IoU 0.5."""

    ap: Mapping[str, list[float]]
    precision: Mapping[str, list[float]]


@dataclass(frozen=True, slots=True)
class Outcome:
    """One run on both sets."""

    val: Reading
    test: Reading


@dataclass(frozen=True, slots=True)
class Line:
    """A row over seeds: the alpha that is best on validation, and AP (seeds, IoU) and precision (seeds, recall)."""

    name: str
    alpha: str
    ap: NDArray[np.float64]
    precision: NDArray[np.float64]


def read(network: Scored, scenes: Sequence[Scene], anchors: Floats) -> Reading:
    """What a network in evaluation mode finds in the frames."""
    truths = [as_drawn(scene).boxes for scene in scenes]
    raw = list(_raw(network, scenes))
    ap, curves = {}, {}
    for alpha in ALPHAS if len(raw[0]) == 4 else (1.0,):
        detections = [_pair(_found(numbers, anchors, alpha)) for numbers in raw]
        each = [matches(detections, truths, iou) for iou in IOUS]
        ap[f"{alpha:g}"] = [average_precision(*one) for one in each]
        curves[f"{alpha:g}"] = curve(*precision_recall(*each[0]))
    return Reading(ap, curves)


def _raw(network: Scored, scenes: Sequence[Scene]) -> Iterator[tuple[Floats, ...]]:
    for start in range(0, len(scenes), BATCH):
        with torch.inference_mode():
            outputs = network(inputs([scene.rgb for scene in scenes[start : start + BATCH]]))
        yield from zip(*(output.numpy() for output in outputs), strict=True)


def _found(numbers: tuple[Floats, ...], anchors: Floats, alpha: float) -> Found:
    probability, *quality, deltas, landmarks = numbers
    score = ranking(probability, quality[0] if quality else None, alpha) * (probability >= LOWEST_SCORE)
    return decode(score, deltas, landmarks, anchors, at_least=LOWEST_SCORE)


def _pair(found: Found) -> tuple[Floats, Floats]:
    return found.boxes, found.scores


def curve(precision: NDArray[np.float64], recall: NDArray[np.float64]) -> list[float]:
    """The best precision at each of `RECALLS` or beyond; 0 where recall does not reach."""
    return [float(precision[recall >= at].max(initial=0.0)) for at in RECALLS]


def line(name: str, outcomes: Sequence[Outcome]) -> Line:
    """A row: alpha is that of the highest mean AP on validation frames over all IoU and seeds."""
    alpha = max(outcomes[0].val.ap, key=lambda a: float(np.mean([outcome.val.ap[a] for outcome in outcomes])))
    ap = np.array([outcome.test.ap[alpha] for outcome in outcomes])
    return Line(name, alpha, ap, np.array([outcome.test.precision[alpha] for outcome in outcomes]))


def table(lines: Sequence[Line]) -> Iterator[str]:
    """AP in percent as mean ± standard deviation over seeds; then what each row gains on the first, seed by seed."""
    yield f"{'':10} alpha " + " ".join(f"{f'AP{iou:g}':>12}" for iou in IOUS) + f" {'mean':>12}"
    for row in lines:
        yield f"{row.name:10} {row.alpha:>5} " + " ".join(_cells(row.ap))
    yield f"gain on {lines[0].name}, of equal seeds:"
    for row in lines[1:]:
        yield f"{row.name:10}       " + " ".join(_cells(row.ap - lines[0].ap, sign="+"))


def _cells(ap: NDArray[np.float64], sign: str = "") -> Iterator[str]:
    for column in (*ap.T, ap.mean(axis=1)):
        yield f"{100 * column.mean():{sign}6.1f} ± {100 * spread(column):3.1f}"


def spread(values: NDArray[np.float64]) -> float:
    """Standard deviation over seeds; 0 of a single one."""
    return float(values.std(ddof=1)) if len(values) > 1 else 0.0


def as_json(lines: Sequence[Line], setting: Mapping[str, object]) -> dict[str, object]:
    """Everything in the table, and every seed's figures."""
    rows = {
        row.name: {
            "alpha": float(row.alpha),
            "mean": row.ap.mean(axis=0).round(4).tolist(),
            "spread": [round(spread(column), 4) for column in row.ap.T],
            "seeds": row.ap.round(4).tolist(),
            "precision_at_recall": row.precision.mean(axis=0).round(4).tolist(),
        }
        for row in lines
    }
    return {"setting": dict(setting), "iou": list(IOUS), "recall": RECALLS.round(2).tolist(), "rows": rows}


def plot(lines: Sequence[Line], path: Path) -> None:
    """Precision over recall at IoU 0.5 with the range of the seeds, and AP over IoU with their spread."""
    import matplotlib as mpl  # noqa: PLC0415  (only this needs it, and it is slow to import)

    mpl.use("Agg")
    import matplotlib.pyplot as plt  # noqa: PLC0415

    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4.5), layout="constrained")
    for row in lines:
        (drawn,) = left.plot(RECALLS, row.precision.mean(axis=0), label=row.name)
        low, high = row.precision.min(axis=0), row.precision.max(axis=0)
        left.fill_between(RECALLS, low, high, alpha=0.15, color=drawn.get_color())
        spreads = [100 * spread(column) for column in row.ap.T]
        right.errorbar(IOUS, 100 * row.ap.mean(axis=0), spreads, label=row.name, capsize=3)
    left.set(xlabel="recall", ylabel="precision at IoU 0.5", ylim=(0, 1.02))
    right.set(xlabel="IoU", ylabel="AP (%)", xticks=IOUS)
    left.legend()
    right.legend()
    figure.savefig(path, dpi=120)
    plt.close(figure)


def pretrained(args: argparse.Namespace, val: Sequence[Scene]) -> Mapping[str, Tensor] | None:
    """The weights that every row starts from; none without epochs of pre-training."""
    if not args.pretrain_epochs:
        return None
    network = NetworkConfig(args.backbone, hcc=False, dan=False, channels=args.width)
    plan = Plan(network, schedule=pretraining(args.pretrain_epochs), seed=PRETRAIN_SEED)
    print("pre-training", flush=True)
    training = Training(plan, draw(args.data, args.pretrain_images, args.size, PRETRAIN_SEED), args.out / "pretrained")
    state = training.run().state_dict()
    ap = read(Scored(training.network).eval(), val, training.anchors).ap["1"]
    print("on validation frames: " + ", ".join(f"AP{iou:g} {100 * v:.1f}" for iou, v in zip(IOUS, ap, strict=True)))
    return state


def outcome_of(plan: Plan, scenes: Mapping[str, list[Scene]], start: Mapping[str, Tensor] | None, out: Path) -> Outcome:
    """Trains and reads one run, or takes up what OUT holds of it."""
    done = out / "outcome.json"
    if done.is_file():
        kept = json.loads(done.read_text(encoding="utf-8"))
        if kept.pop("plan") != repr(plan):
            raise ValueError(f"{done}: of another plan; choose another --out")
        return Outcome(**{name: Reading(**kept[name]) for name in ("val", "test")})
    training = Training(plan, scenes["train"], out, start)
    network = Scored(training.run()).eval()
    outcome = Outcome(*(read(network, scenes[name], training.anchors) for name in ("val", "test")))
    done.write_text(json.dumps({"plan": repr(plan)} | asdict(outcome)), encoding="utf-8")
    return outcome


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `ablate-face`."""
    parser.add_argument("--data", type=Path, required=True, help="renders to train on")
    parser.add_argument("--val", type=Path, required=True, help="renders of other infants, to choose alpha on")
    parser.add_argument("--test", type=Path, required=True, help="renders of yet other infants, for the table")
    parser.add_argument("--out", type=Path, required=True, help="one folder a run goes here")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--rows", nargs="+", choices=[row.name for row in ROWS], default=[row.name for row in ROWS])
    parser.add_argument("--backbone", choices=("resnet50", "mobilenet"), default="mobilenet")
    add_scale(parser, epochs=20, images=600, size="128x96", width=32)
    parser.add_argument("--pretrain-epochs", type=int, default=20)
    parser.add_argument("--pretrain-images", type=int, default=4000)
    parser.add_argument("--judge", type=int, default=500, help="frames to validate and to test on, each")
    parser.add_argument("--json", type=Path, help="write the figures here")
    parser.add_argument("--plot", type=Path, help="draw precision over recall and AP over IoU here")


def run(args: argparse.Namespace) -> int:
    """Train what is missing, seed by seed, and print the table."""
    torch.set_num_threads(args.threads)
    scenes = {
        "train": draw(args.data, args.images, args.size, TRAIN_SEED),
        "val": draw(args.val, args.judge, args.size, VAL_SEED),
        "test": draw(args.test, args.judge, args.size, TEST_SEED),
    }
    start = pretrained(args, scenes["val"])
    rows = [row for row in ROWS if row.name in args.rows]
    outcomes: dict[str, list[Outcome]] = {row.name: [] for row in rows}
    for seed in range(1, args.seeds + 1):
        for row in rows:
            plan = row.plan(args.backbone, args.width, Schedule(args.epochs), seed)
            print(f"{row.name}, seed {seed}", flush=True)
            outcomes[row.name].append(outcome_of(plan, scenes, start, args.out / f"{row.name}-{seed}"))
    lines = [line(name, found) for name, found in outcomes.items()]
    print("\n".join(table(lines)))
    if args.json:
        setting = {name: getattr(args, name) for name in SETTING}
        args.json.write_text(json.dumps(as_json(lines, setting), indent=1) + "\n", encoding="utf-8")
    if args.plot:
        plot(lines, args.plot)
    return 0
