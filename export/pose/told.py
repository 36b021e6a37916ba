"""How far to trust what the network tells beside the joints' places: visibility, posture, head side, and silence."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from edgemon.records import HeadSide, Pose, Posture
from export.metrics import auc, calibration_error
from export.pose.joints import VISIBLE, Joined
from export.pose.samples import PoseSample

UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, eq=False)
class Visibility:
    """Scores (n,) of labelled joints and whether each is visible; a joint is called visible from the threshold on."""

    scores: NDArray[np.float64]
    visible: NDArray[np.bool_]
    threshold: float

    @property
    def judged(self) -> bool:
        """Whether there are joints of both kinds."""
        return bool(self.visible.any() and not self.visible.all())

    def named(self) -> Iterator[tuple[str, float]]:
        """AUC, calibration error, and the shares of visible and of covered joints that are called right."""
        called = self.scores >= self.threshold
        if self.judged:
            yield "visibility AUC", round(auc(self.scores, self.visible), 4)
            yield "visibility ECE", round(calibration_error(self.scores, self.visible), 4)
            yield "visible joints called visible", round(float(called[self.visible].mean()), 4)
            yield "covered joints called covered", round(float((~called[~self.visible]).mean()), 4)


@dataclass(frozen=True, slots=True)
class Confusion:
    """How often each value was told for each true one; the last column is what was left open."""

    what: str
    names: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]  # one row a true value, one column a told one

    @property
    def told(self) -> int:
        """How often anything was told."""
        return sum(sum(row[:-1]) for row in self.counts)

    def named(self) -> Iterator[tuple[str, float]]:
        """Accuracy where something is told, the mean of it over true values, and the share left open."""
        right = [row[n] for n, row in enumerate(self.counts)]
        total = sum(map(sum, self.counts))
        shares = [r / sum(row[:-1]) for r, row in zip(right, self.counts, strict=True) if sum(row[:-1])]
        if total and self.told:
            yield f"{self.what} accuracy when told", round(sum(right) / self.told, 4)
            yield f"{self.what} balanced accuracy when told", round(float(np.mean(shares)), 4)
        if total:
            yield f"{self.what} left open", round(1 - self.told / total, 4)

    def lines(self) -> Iterator[str]:
        """As a table."""
        yield f"  {self.what + ': true (down), told':<34}" + "".join(f"{name:>10}" for name in (*self.names, UNKNOWN))
        for name, row in zip(self.names, self.counts, strict=True):
            yield f"    {name:<32}" + "".join(f"{count:>10}" for count in row)


def visibility(joined: Joined, threshold: float) -> Visibility:
    """Over the labelled joints of the infants that were found."""
    labelled = (joined.truth[..., 2] > 0) & joined.found[:, None]
    return Visibility(joined.told[..., 2][labelled], joined.truth[..., 2][labelled] == VISIBLE, threshold)


def confusions(samples: Sequence[PoseSample], told: Sequence[Sequence[Pose]]) -> tuple[Confusion, ...]:
    """Posture and head side, over pictures of one infant whose truth is known; an infant not found is left open."""
    ones = [(s, poses[0] if poses else None) for s, poses in zip(samples, told, strict=True) if len(s.persons) == 1]
    return (
        _confusion("posture", Posture, [(s.posture, p.posture if p else None) for s, p in ones]),
        _confusion("head side", HeadSide, [(s.head_side, p.head_side if p else None) for s, p in ones]),
    )


def _confusion(what: str, kind: type[StrEnum], rows: Sequence[tuple[StrEnum | None, StrEnum | None]]) -> Confusion:
    values = list(kind)
    counts = [[0] * (len(values) + 1) for _ in values]
    for true, told in rows:
        if true is not None:
            counts[values.index(true)][len(values) if told is None else values.index(told)] += 1
    return Confusion(what, tuple(values), tuple(tuple(row) for row in counts))


def silence(samples: Sequence[PoseSample], told: Sequence[Sequence[Pose]]) -> Iterator[tuple[str, float]]:
    """Share of pictures with an infant in which none is told, and of those without one in which one is."""
    pairs = list(zip(samples, told, strict=True))
    here = [not poses for sample, poses in pairs if len(sample.persons)]
    empty = [bool(poses) for sample, poses in pairs if not len(sample.persons)]
    if here:
        yield "pictures with an infant, none told", round(float(np.mean(here)), 4)
    if empty:
        yield "pictures without an infant, one told", round(float(np.mean(empty)), 4)
