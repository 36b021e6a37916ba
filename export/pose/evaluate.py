"""`evaluate pose`: a released model on infants that training did not see, beside guesses that never look and peers."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgemon.records import Pose
from export.pose.baselines import CENTRE, ConstantPose, mean_pose
from export.pose.figures import figures, limbs_only
from export.pose.finders import Finder, PoseReader
from export.pose.joints import join
from export.pose.layouts import read_all, read_poses
from export.pose.movenet import peers
from export.pose.oks import recalls
from export.pose.report import EVERYTHING, LIMBS, PoseReport, Row, Trust
from export.pose.samples import Kind, PoseSample
from export.pose.told import confusions, silence, visibility

Answers = Sequence[tuple[Pose, ...]]
NO_MODEL = "none"


@dataclass(frozen=True, slots=True)
class _Read:
    answers: Answers
    trust: Trust


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `evaluate pose` beside those of `evaluate`."""
    own = parser.add_argument_group("poses")
    own.add_argument("--sensor", choices=("rgb", "depth"), help="which pictures; by default what the model was taught")
    own.add_argument("--train-mean", type=Path, help="training poses, for the mean pose that never looks")
    own.add_argument("--peers", type=Path, help="the folder of peers' weights, to judge MoveNet Lightning on the limbs")


def report_of(args: argparse.Namespace) -> PoseReport:
    """The report that the arguments ask for.

    Raises:
        ValueError: there are no data, or they cannot be read.
        ModelError: the model cannot be loaded.
    """
    if not args.data:
        raise ValueError("evaluate pose: --data needs folders of renders, babyPose, babymoves or COCO")
    folder, name = _model(args)
    reader = None if name == NO_MODEL else PoseReader.open(folder, name)
    kind: Kind = args.sensor or (reader.kind if reader else "rgb")
    samples = read_all(args.data, kind, args.limit)
    if reader is not None:
        reader.several = any(len(sample.persons) > 1 for sample in samples)
    mean = (
        mean_pose(read_poses(args.train_mean, kind), f"mean pose of {args.train_mean.name}")
        if args.train_mean
        else mean_pose(samples, "mean pose of these very infants")
    )
    data = ", ".join(place.name for place in args.data)
    return evaluate_pose(samples, reader, mean, peers(args.peers) if args.peers else (), data)


def _model(args: argparse.Namespace) -> tuple[Path, str]:
    """The folder and the name of the model: `--model NAME` in `--models`, or `--model FOLDER/NAME`."""
    told = Path(args.model or "pose")
    return (args.models if told.parent == Path() else told.parent), told.name


def evaluate_pose(
    samples: Sequence[PoseSample],
    reader: PoseReader | None,
    mean: ConstantPose,
    others: Sequence[Finder],
    data: str,
) -> PoseReport:
    """All figures; without pictures, as where only labels were published, of the guesses that never look alone."""
    notes = []
    pictures = any(sample.image.is_file() for sample in samples)
    if not pictures and (reader is not None or others):
        notes.append(f"no pictures here (such as {samples[0].image}): only guesses that never look are judged")
    read = _look(samples, reader) if reader is not None and pictures else None
    methods: dict[str, Answers] = {} if reader is None or read is None else {reader.name: read.answers}
    methods |= {guess.name: [guess(sample) for sample in samples] for guess in (CENTRE, mean)}
    limbs = [limbs_only(sample) for sample in samples]
    beside = {one.name: [one(sample) for sample in limbs] for one in others} if pictures else {}
    return PoseReport(
        data=data,
        kind=samples[0].kind,
        rows=tuple(row for name, answers in methods.items() for row in _rows(samples, answers, name)),
        guesses=(CENTRE.name, mean.name),
        peers=tuple(Row(name, LIMBS, figures(limbs, answers)) for name, answers in (methods | beside).items())
        if beside
        else (),
        trust=None if read is None else read.trust,
        recalls={name: recalls(samples, answers) for name, answers in methods.items()}
        | {f"{name} ({LIMBS})": recalls(limbs, answers) for name, answers in beside.items()},
        notes=tuple(notes),
    )


def _look(samples: Sequence[PoseSample], reader: PoseReader) -> _Read:
    reads = [reader.read(sample) for sample in samples]
    found, told = [read.found for read in reads], [read.told for read in reads]
    joined = join(samples, found)
    return _Read(
        found,
        Trust(
            reader.name,
            joined,
            visibility(joined, reader.visible),
            confusions(samples, told),
            tuple(silence(samples, told)),
            float(np.median([read.ms for read in reads])),
        ),
    )


def _rows(samples: Sequence[PoseSample], answers: Answers, name: str) -> list[Row]:
    """The method on everything and on each group that is not everything."""
    rows = [Row(name, EVERYTHING, figures(samples, answers))]
    for group, members in _groups(samples).items():
        chosen = [samples[n] for n in members]
        rows.append(Row(name, group, figures(chosen, [answers[n] for n in members])))
    return rows


def _groups(samples: Sequence[PoseSample]) -> Mapping[str, list[int]]:
    """The samples of each group with a labelled infant, where the name has more values than one."""
    members: dict[str, list[int]] = {}
    for number, sample in enumerate(samples):
        for group in sample.groups:
            members.setdefault(group, []).append(number)
    values = [group.split("=")[0] for group in members]
    return {
        group: numbers
        for group, numbers in sorted(members.items())
        if values.count(group.split("=")[0]) > 1 and any((samples[n].persons[..., 2] > 0).any() for n in numbers)
    }
