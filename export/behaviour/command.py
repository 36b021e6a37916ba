"""`python -m export train behaviour`: the released network fine-tuned on anybody's faces, and judged by infant."""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from edgemon.faces.detect import FaceDetector
from edgemon.inference import Model
from edgemon.manifest import Manifest, ModelFile, Origin, load
from export.babyehanet import Calibrated
from export.behaviour.arguments import Options, reading_of
from export.behaviour.faces import Faces, crop_all
from export.behaviour.reads import Reads, reads_of
from export.behaviour.sample import Sample
from export.behaviour.sources import open_all
from export.behaviour.splits import Grouping, grouping, left_out, parts
from export.behaviour.tune import Tuned, probabilities, tune
from export.behaviour.weights import Restored, restored
from export.describe import finished, write
from export.metrics import accuracy
from export.onnx_export import to_onnx

OWN = "expression-own"


@dataclass(frozen=True, slots=True, eq=False)
class Data:
    """Faces with what stays together."""

    faces: Faces
    grouped: Grouping

    def lines(self, samples: int, missed: int) -> Iterator[str]:
        """What was read."""
        yield self.faces.told_of()
        if missed:
            yield f"{missed} of {samples} pictures left out: no face was found in them"
        yield from self.grouped.lines()


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """Faces that were not trained on, as the released and the fine-tuned network read them; `tuned` is to be kept."""

    tuned: Tuned
    reads: Mapping[str, Reads]
    how: str


def run(args: argparse.Namespace) -> int:
    """Read, split, fine-tune, judge; print the tables, and write the model where `--out` says."""
    if args.photographs is not None:
        raise ValueError("--photographs: behaviour is fine-tuned on --data alone")
    if not args.data:
        raise ValueError("--data: missing; behaviour is fine-tuned on labelled faces")
    samples = open_all(args.data, reading_of(args))
    file = load(args.models, args.model)
    start = restored(file.onnx)
    data, missed = _data(samples, args.models)
    for line in data.lines(len(samples), missed):
        print(line)
    for text in data.grouped.warnings():
        sys.stderr.write(f"WARNING: {text}\n")
    _tell_untold(data.faces, start)
    options = Options(epochs=args.epochs, lr=args.lr, seed=args.seed)
    judge = leave_one_out if args.leave_one_subject_out else hold_out
    outcome = judge(start, data, options)
    for line in lines(outcome):
        print(line)
    if args.plot is not None:
        from export.behaviour.plot import plot  # noqa: PLC0415  (matplotlib is slow to import)

        plot(outcome.reads, args.plot)
    if args.json is not None:
        args.json.write_text(json.dumps(_json(outcome), indent=1) + "\n", encoding="utf-8")
    if args.out is not None:
        _write(file.manifest, outcome, args.data, args.out)
    return 0


def _data(samples: tuple[Sample, ...], models: Path) -> tuple[Data, int]:
    looked_for = any(s.framing == "scene" and s.place is None for s in samples)
    finder = FaceDetector(Model.open(models, "face")) if looked_for else None
    known = crop_all(samples, finder)
    return Data(known[0], grouping(known[0])), known[1]


def _tell_untold(faces: Faces, start: Restored) -> None:
    rest = int((faces.weight[:, len(start.targets) :].sum(axis=1) > 0).sum())
    if rest:
        print(f"labels of {rest} faces are not used: the network tells only {', '.join(start.targets)}")


def hold_out(start: Restored, data: Data, options: Options) -> Outcome:
    """Train on three fifths of the infants, choose by a fifth, judge on a fifth."""
    part = parts(data.grouped.groups, data.faces, seed=options.seed)
    train, validation, test = (data.faces.take(part == n) for n in range(3))
    tuned = tune(start, train, validation, options)
    names, unit = data.grouped.names[part == 2], data.grouped.unit
    reads = {
        "as released": reads_of(probabilities(start, test), test, names, unit),
        "fine-tuned": reads_of(tuned.probabilities(test), test, names, unit),
    }
    how = f"{len(train)} faces trained on, {len(validation)} chosen by, {len(test)} judged; no group in two parts"
    return Outcome(tuned, reads, how)


def leave_one_out(start: Restored, data: Data, options: Options) -> Outcome:
    """Judge on each known subject what is fine-tuned on all others; what is kept is fine-tuned on all."""
    before, after = (np.full((len(data.faces), len(start.targets)), np.nan) for _ in range(2))
    judged = np.zeros(len(data.faces), bool)
    for _, left in tqdm(list(left_out(data.grouped)), unit=" infants", disable=None):
        rest, test = data.faces.take(~_with(data.grouped, left)), data.faces.take(left)
        tuned = _tuned_on(start, rest, data.grouped.groups[~_with(data.grouped, left)], options)
        before[left], after[left] = probabilities(start, test), tuned.probabilities(test)
        judged |= left
    faces, names = data.faces.take(judged), data.grouped.names[judged]
    reads = {
        "as released": reads_of(before[judged], faces, names),
        "fine-tuned": reads_of(after[judged], faces, names),
    }
    final = _tuned_on(start, data.faces, data.grouped.groups, options)
    how = f"{len(np.unique(names))} subjects judged in turn, each by what was fine-tuned on all others"
    return Outcome(final, reads, how)


def _with(grouped: Grouping, left: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Also what is nearly the same, though of nobody known."""
    return np.isin(grouped.groups, grouped.groups[left])


def _tuned_on(start: Restored, faces: Faces, groups: NDArray[np.int64], options: Options) -> Tuned:
    inner = np.unique(groups, return_inverse=True)[1].astype(np.int64)
    part = parts(inner, faces, (4, 1), options.seed)
    return tune(start, faces.take(part == 0), faces.take(part == 1), options)


def lines(outcome: Outcome) -> Iterator[str]:
    """The stages, and the tables of both networks on infants that were not trained on."""
    yield outcome.how
    told = ", ".join(f"{name} {value:.3f}" for name, value in outcome.tuned.losses.items())
    yield f"loss on validation infants: {told}; kept: {outcome.tuned.stage}"
    for name, reads in outcome.reads.items():
        yield name
        yield from reads.lines()
        yield from by_infant(reads)


def by_infant(reads: Reads) -> Iterator[str]:
    """Mean and spread of the accuracy over infants."""
    for target, stratum, column in reads.columns():
        if stratum == "all":
            each = [
                accuracy(column.scores[column.groups == g], column.truth[column.groups == g])
                for g in np.unique(column.groups)
            ]
            spread = np.std(each, ddof=1) if len(each) > 1 else np.nan
            yield f"  {target}: accuracy by one of the {reads.unit} {np.mean(each):.4f} +- {spread:.4f} ({len(each)})"


def _json(outcome: Outcome) -> dict[str, object]:
    told = {
        name: {"metrics": [m.model_dump() for m in reads.metrics(name)], "intervals": reads.intervals()}
        for name, reads in outcome.reads.items()
    }
    return {"how": outcome.how, "kept": outcome.tuned.stage, "reads": told}


def _write(base: Manifest, outcome: Outcome, places: Iterable[Path], out: Path) -> None:
    names = ", ".join(place.name for place in places)
    metrics = tuple(outcome.reads["fine-tuned"].metrics(f"{names}; {outcome.how}"))
    if not metrics:
        raise ValueError(f"{out}: nothing is written, for no target was judged; faces of both classes are needed")
    network = Calibrated(outcome.tuned.network, outcome.tuned.temperatures).eval()
    torch.set_num_threads(1)
    onnx = to_onnx(network, "expression")
    own = Origin(data=f"Fine-tuned ({outcome.tuned.stage}) on {names}", licence="as its owner says; not told")
    manifest = base.model_copy(
        update={
            "id": OWN,
            "precision": "fp32",
            "sha256": hashlib.sha256(onnx).hexdigest(),
            "origins": (*base.origins, own),
            "metrics": (),
        }
    )
    write(finished(ModelFile(manifest, onnx), metrics), out)
    print(f"{out / OWN}.onnx and .toml written; put both beside the other models and set models.expression to {OWN}")
