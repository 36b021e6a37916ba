"""`train pain`: choose the best pipeline on infants left out, fit it on all others, write it as one ONNX graph."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from export.pain.classifiers import Known, fit, groups_of
from export.pain.evaluate import JITTER_SEED, leave_subjects_out, take
from export.pain.features import Features, extract
from export.pain.network import VIEWS, network_of
from export.pain.pipeline import check_parity, to_onnx
from export.pain.report import PainReport, Row
from export.pain.samples import Samples, merged, read

HELD_OUT = 10  # one part in so many of the subjects proves the parity
PROVED = 60  # faces
GRAPH, TOLD, PROOF = "pain.onnx", "pain.json", "parity.npz"


def run(args: argparse.Namespace) -> int:
    """Write OUT/pain.onnx, what it was made of, crops with scikit-learn's word on them, and whom it learned from.

    Raises:
        ValueError: data, network or choice is unusable, or the graph differs from scikit-learn.
    """
    if not args.data or args.out is None:
        raise ValueError("train pain: --data and --out are needed: faces with known pain, and a folder to write to")
    torch.set_num_threads(1)
    network = network_of(args, args.models)
    samples = merged([read(path, args.limit, JITTER_SEED) for path in args.data])
    made = extract(network, samples)
    features = {view: made[view] for view in VIEWS}  # a device has no calm picture
    learn, judge = groups_of(HELD_OUT, samples.pain, samples.subjects)[0]
    known, known_features = samples.take(learn), take(features, learn)
    classifier, kind = _choice(args, known, known_features)
    fitted = fit(Known(known_features, known.pain, known.subjects, args.keep))[classifier, kind]
    graph = to_onnx(network, fitted, {view: values.shape[1] for view, values in features.items()})
    proof, proof_features = samples.take(judge[:PROVED]), take(features, judge[:PROVED])
    worst = check_parity(graph, fitted, proof_features, proof.crops)
    print(f"scikit-learn and the graph differ by at most {worst:.1e} on {len(proof)} faces of subjects left out")
    scores = fitted.probability(take(features, judge))
    for line in PainReport("subjects left out", samples.take(judge), (Row(classifier, kind, scores),)).lines():
        print(line)
    _write(args.out, graph, proof, fitted.probability(proof_features), known.subjects)
    told = {"classifier": classifier, "kind": kind, "network": network.name, "layer": network.layer, "keep": args.keep}
    told |= {"learned from": known.told(), "parity": worst}
    (args.out / TOLD).write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    print(f"{args.out / GRAPH}: {len(graph) / 1e6:.2f} MB, {classifier} on {kind}")
    return 0


def _choice(args: argparse.Namespace, samples: Samples, features: Features) -> tuple[str, str]:
    """The classifier and kind of features that the arguments name, else those of the highest AUC, subjects left out."""
    if args.classifier and args.kind:
        return args.classifier, args.kind
    rows = leave_subjects_out(samples, features, folds=args.folds, keep=args.keep, minutes=0)
    rows = [r for r in rows if args.classifier in (None, r.classifier) and args.kind in (None, r.kind)]
    report = PainReport(f"{args.folds} folds of unseen subjects", samples, tuple(rows))
    for line in report.lines():
        print(line)
    return report.best.classifier, report.best.kind


def _write(folder: Path, graph: bytes, proof: Samples, told: NDArray[np.float64], learned: NDArray[np.str_]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / GRAPH).write_bytes(graph)
    np.savez(folder / PROOF, crops=proof.crops, told=told, learned=np.unique(learned))
