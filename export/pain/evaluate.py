"""`evaluate pain`: every kind of features by every classifier, and N-CNN, on the same held-out infants."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from export.pain import ncnn
from export.pain.classifiers import Known, fit, groups_of
from export.pain.features import CACHE, Features, extract
from export.pain.network import network_of
from export.pain.report import PainReport, Row
from export.pain.samples import Samples, merged, read

JITTER_SEED = 0
Learner = tuple[Samples, Features]


def take(features: Features, keep: NDArray[np.int64]) -> Features:
    """Those at an index."""
    return {view: values[keep] for view, values in features.items()}


def rows_of(learn: Learner, judge: Learner, keep: int, ncnn_minutes: float) -> Iterator[Row]:
    """Everything fitted on the one and told of the other."""
    (known, known_features), (unseen, unseen_features) = learn, judge
    for fitted in fit(Known(known_features, known.pain, known.subjects, keep)).values():
        yield Row(fitted.classifier, fitted.kind, fitted.probability(unseen_features))
    if ncnn_minutes > 0:
        yield Row("N-CNN", "network", ncnn.probabilities(ncnn.train(known, ncnn_minutes), unseen))


def leave_subjects_out(samples: Samples, features: Features, *, folds: int, keep: int, minutes: float) -> list[Row]:
    """Rows whose every probability was told of an infant that its fold had not learned from."""
    scores: dict[tuple[str, str], NDArray[np.float64]] = {}
    for learn, judge in groups_of(folds, samples.pain, samples.subjects):
        known, unseen = ((samples.take(part), take(features, part)) for part in (learn, judge))
        for row in rows_of(known, unseen, keep, minutes):
            scores.setdefault((row.classifier, row.kind), np.zeros(len(samples)))[judge] = row.scores
    return [Row(*name, told) for name, told in scores.items()]


def _pairs(count: int) -> Path:
    """A folder of pairs of `count` infants of the test split, rendered where it is not there yet."""
    from export.pain import pairs  # noqa: PLC0415  (the renderer is needed for nothing else)

    folder = CACHE / f"pairs-{count}"
    return folder if (folder / pairs.TABLE).is_file() else pairs.write(folder, count).parent


def report_of(args: argparse.Namespace) -> PainReport:
    """The table that the arguments ask for.

    Raises:
        ValueError: no --data, or a source or the network is unusable.
    """
    if args.pairs is not None:
        args.data = [*args.data, _pairs(args.pairs)]
    if not args.data:
        raise ValueError("evaluate pain: --data: missing; a folder of renders, or a csv path,subject,label, is needed")
    torch.set_num_threads(1)
    network = network_of(args, args.models)
    samples = merged([read(path, args.limit, JITTER_SEED) for path in args.data])
    if args.pairs is not None and samples.calm is None:
        raise ValueError("--pairs: strain needs a calm picture of every face; --data holds faces without one")
    names = " and ".join(path.name for path in args.data)
    features = extract(network, samples)
    how = f"{network.name}, layer {network.layer}"
    if args.test is None:
        rows = leave_subjects_out(samples, features, folds=args.folds, keep=args.keep, minutes=args.ncnn_minutes)
        return PainReport(f"{names}, {args.folds} folds of unseen subjects ({how})", samples, tuple(rows))
    unseen = read(args.test)
    shared = set(samples.subjects.tolist()) & set(unseen.subjects.tolist())
    if shared:
        raise ValueError(f"--test {args.test}: {len(shared)} of its subjects are in --data too, such as {min(shared)}")
    judge = (unseen, extract(network, unseen))
    both = {view: values for view, values in features.items() if view in judge[1]}  # strain only where both have it
    rows = list(rows_of((samples, both), judge, args.keep, args.ncnn_minutes))
    return PainReport(f"{args.test.name}, learned from {len(samples)} faces of {names} ({how})", unseen, tuple(rows))
