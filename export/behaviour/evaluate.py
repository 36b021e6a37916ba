"""`python -m export evaluate behaviour`: released models on renders, real adults and anybody's labelled faces."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from edgemon.faces.detect import FaceDetector
from edgemon.inference import ExpressionModel, Model
from export.behaviour.faces import crop_all
from export.behaviour.judge import (
    TRUE_CROP,
    Crops,
    crops_of,
    read_adults,
    read_covered,
    read_crops,
)
from export.behaviour.reads import read
from export.behaviour.report import BehaviourReport
from export.behaviour.sample import Reading
from export.behaviour.sources import is_renders, open_all
from export.behaviour.splits import grouping
from export.face_precision import Finder

RENDERS = (Path(".cache/renders/expression_test"), Path(".cache/renders/test"))
ADULTS = Path("../shared/data/faces_london")


def evaluate_behaviour(
    model: ExpressionModel,
    finder: Finder,
    renders: Path,
    photographs: Path | None,
    *,
    limit: int | None = None,
    crops: Crops | None = None,
) -> BehaviourReport:
    """One model on renders and, where there are photographs, on adults; `crops` are of the renders, if made already."""
    reads = read_crops(model, crops or crops_of(renders, finder, limit))
    adults = read_adults(model, photographs, finder) if photographs else None
    return BehaviourReport(f"renders {renders.name}", reads, read_covered(model, renders, limit), adults)


def beside_int8(
    models: Path, name: str, renders: Path, photographs: Path | None, *, limit: int | None = None
) -> BehaviourReport:
    """The released model, and what its int8 graph loses on the same crops where there is one."""
    finder = FaceDetector(Model.open(models, "face"))
    crops = crops_of(renders, finder, limit)
    model = ExpressionModel(Model.open(models, name))
    report = evaluate_behaviour(model, finder, renders, photographs, limit=limit, crops=crops)
    if not (models / f"{name}-int8.toml").is_file():
        return replace(report, warnings=(f"{models} holds no {name}-int8: what int8 loses is not measured",))
    faces, _ = crops.faces[TRUE_CROP]
    int8 = read(ExpressionModel(Model.open(models, f"{name}-int8")), faces)
    return report.beside(int8)


def evaluate_own(model: ExpressionModel, finder: Finder, places: Sequence[Path], reading: Reading) -> BehaviourReport:
    """One model on anybody's labelled faces, with what makes the figures doubtful."""
    samples = open_all(places, reading)
    faces, missed = crop_all(samples, finder)
    grouped = grouping(faces)
    reads = read(model, faces, grouped.names, grouped.unit)
    name = ", ".join(place.name for place in places)
    read_share = 1 - missed / len(samples)
    return BehaviourReport(name, {"crops as read": (reads, read_share)}, warnings=tuple(grouped.warnings()))


def default_renders() -> Path:
    """The rendered test set of unseen identities.

    Raises:
        ValueError: it is not there.
    """
    for folder in RENDERS:
        if is_renders(folder):
            return folder
    raise ValueError(f"--data: missing, and no renders in {RENDERS[0]}; make them with `python -m export synthesize`")
