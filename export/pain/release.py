"""`release pain`: prove the graph again, measure it on unseen infants, write what a device loads."""

from __future__ import annotations

import argparse
import hashlib
import json
import statistics
import time
from pathlib import Path

import numpy as np

from edgemon.inference import Model, PainModel
from edgemon.manifest import Manifest, ModelFile, ModelOutput
from export.describe import NOTES, Notes, card, finished, read_notes, write
from export.pain.features import INPUT
from export.pain.pipeline import MAX_DIFFERENCE, SCORE, probabilities
from export.pain.report import PainReport, Row
from export.pain.samples import Samples, read, read_found
from export.pain.train import GRAPH, PROOF, TOLD

MEANING = "(1, 1) probability 0..1 of brow bulge, eye squeeze and nasolabial furrow together; no clinical scale's score"
_RUNS = 50


def run(args: argparse.Namespace) -> int:
    """Release the folder that `train pain` wrote.

    Raises:
        ValueError: something is missing there, the graph no longer says what scikit-learn said, or it has seen infants
            that it is judged on.
    """
    notes = read_notes(args.notes or NOTES / "pain.toml")
    graph, told = _made(args.weights)
    worst = _prove(args.weights / PROOF, graph)
    draft = drafted(graph, args.version, notes)
    model = PainModel(Model(draft))
    true, found = read(args.data, args.limit), read_found(args.data, args.folder, args.limit)
    _refuse_known(args.weights / PROOF, true)
    crops = {"true boxes": true, "the detector's boxes": found}
    how = (told["classifier"], told["kind"])
    reports = [_judged(model, samples, f"{args.data.name}, {name}", how) for name, samples in crops.items()]
    file = finished(draft, tuple(metric for report in reports for metric in report.metrics()))
    tables = {"on unseen infants": tuple(line for report in reports for line in report.lines())}
    tables["how it was made"] = (
        *(f"{name}: {value}" for name, value in told.items()),
        f"scikit-learn and the graph differ by at most {worst:.1e} on faces of subjects left out",
        f"{_cost_ms(model):.2f} ms of one core a face",
    )
    write(file, args.folder)
    (args.folder / "cards").mkdir(exist_ok=True)
    (args.folder / "cards" / "pain.md").write_text(card(notes, (file,), tables), encoding="utf-8")
    for name, table in tables.items():
        print(name, *table, sep="\n")
    print("released", file.manifest.label, "into", args.folder)
    return 0


def _made(folder: Path) -> tuple[bytes, dict[str, str]]:
    try:
        return (folder / GRAPH).read_bytes(), json.loads((folder / TOLD).read_text(encoding="utf-8"))
    except (OSError, json.JSONDecodeError) as error:
        raise ValueError(f"{folder}: not what `train pain --out` writes: {error}") from error


def _prove(path: Path, graph: bytes) -> float:
    if not path.is_file():
        raise ValueError(f"{path}: missing; scikit-learn's word on faces left out belongs there")
    with np.load(path) as proof:
        worst = float(np.abs(probabilities(graph, proof["crops"]) - proof["told"]).max())
    if worst > MAX_DIFFERENCE:
        raise ValueError(f"{path}: the graph differs from scikit-learn by {worst:.1e}; train again")
    return worst


def _refuse_known(path: Path, judged: Samples) -> None:
    with np.load(path) as proof:
        if "learned" not in proof:
            raise ValueError(f"{path}: does not tell whom the graph learned from; train again")
        shared = set(proof["learned"].tolist()) & set(judged.subjects.tolist())
    if shared:
        raise ValueError(f"--data: the graph learned from {len(shared)} of its subjects, such as {min(shared)}")


def drafted(graph: bytes, version: str, notes: Notes) -> ModelFile:
    """A model that can be run and measured but not yet released: it has no metrics."""
    manifest = Manifest.model_construct(
        id="pain",
        version=version,
        sha256=hashlib.sha256(graph).hexdigest(),
        precision="fp32",
        task="pain",
        intended_use=notes.intended_use,
        thresholds=dict(notes.thresholds),
        input=INPUT,
        outputs=(ModelOutput(name=SCORE, meaning=MEANING),),
        origins=notes.origins,
        metrics=(),
    )
    return ModelFile(manifest, graph)


def _judged(model: PainModel, samples: Samples, data: str, how: tuple[str, str]) -> PainReport:
    scores = np.array([model.read_crop(crop) for crop in samples.crops])
    return PainReport(f"renders {data}", samples, (Row(*how, scores),))


def _cost_ms(model: PainModel) -> float:
    """Median processor time of a face on one thread."""
    crop, took = np.zeros((*INPUT.size_px, 3), np.uint8), []
    for _ in range(_RUNS):
        begun_s = time.thread_time()
        model.read_crop(crop)
        took.append(time.thread_time() - begun_s)
    return 1e3 * statistics.median(took)
