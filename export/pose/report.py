"""What is measured of poses, as a table and as named figures."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgemon.manifest import Metric
from edgemon.records import KEYPOINTS
from export.pose.figures import Figures
from export.pose.joints import COVERED, VISIBLE, Joined
from export.pose.los import Los
from export.pose.told import Confusion, Visibility

EVERYTHING = "all"
LIMBS = "limbs only"


@dataclass(frozen=True, slots=True)
class Row:
    """One method on one group of samples."""

    method: str
    group: str
    figures: Figures


@dataclass(frozen=True, slots=True, eq=False)
class Trust:
    """What the network tells at its thresholds, and its joints one by one."""

    model: str
    joined: Joined
    visibility: Visibility
    confusions: tuple[Confusion, ...]
    silence: tuple[tuple[str, float], ...]
    ms: float


@dataclass(frozen=True)
class PoseReport:
    """Rows by method and group, peers on the limbs, and how far the network's other words can be trusted.

    `guesses` names the methods that never look: the table shows their LOS beside each group's.
    """

    data: str
    kind: str
    rows: tuple[Row, ...]
    guesses: tuple[str, ...]
    peers: tuple[Row, ...]
    trust: Trust | None
    recalls: Mapping[str, NDArray[np.float64]]  # by method, at each of oks.THRESHOLDS
    notes: tuple[str, ...] = ()

    def metrics(self) -> tuple[Metric, ...]:
        """Everything as named figures."""
        return tuple(
            Metric(name=name, data=f"{self.data} ({self.kind})", condition=condition, value=value)
            for condition, name, value in self._values()
            if math.isfinite(value)
        )

    def _guessed(self, group: str) -> tuple[float, ...]:
        """LOS of the guesses on a group."""
        return tuple(
            row.figures.los.mean
            for name in self.guesses
            for row in (*self.rows, *self.peers)
            if row.method == name and row.group == group
        )

    def _values(self) -> Iterator[tuple[str, str, float]]:
        for row in (*self.rows, *self.peers):
            yield from ((f"{row.method}; {row.group} ({row.figures.infants})", *pair) for pair in row.figures.named())
        if self.trust is not None:
            for source in (
                self.trust.visibility.named(),
                *(c.named() for c in self.trust.confusions),
                self.trust.silence,
            ):
                yield from ((f"{self.trust.model}; at its thresholds", *pair) for pair in source)
            yield f"{self.trust.model}; one thread", "time of a picture p50, ms", round(self.trust.ms, 2)
            for v, seen in ((VISIBLE, "visible"), (COVERED, "covered")):
                for joint, (p50, _) in zip(KEYPOINTS, _quantiles(self.trust.joined, v), strict=True):
                    yield f"{self.trust.model}; {joint}, {seen}", "error p50, trunk lengths", round(p50, 4)

    def lines(self) -> Iterator[str]:
        """The tables."""
        yield f"poses on {self.data}, {self.kind}"
        yield from (f"  {note}" for note in self.notes)
        yield f"  beside each LOS those of the guesses that never look: {', '.join(self.guesses)}"
        shown = [row for row in self.rows if row.group == EVERYTHING or row.method == self.rows[0].method]
        yield from _table(shown, self._guessed)
        if self.peers:
            yield "limbs only (12 joints; head and neck unlabelled), beside peers"
            yield from _table(self.peers, self._guessed)
        yield "LOS by limb over visible joints; A x B is the picture's own size; a missed infant counts 0"
        for row in self.rows:
            if row.group == EVERYTHING:
                yield "  " + f"{row.method:<46}" + _limbs(row.figures.los)
        if self.trust is not None:
            yield from _trusted(self.trust)


HEADS = ("infants", "AP", "AP.50", "AP.75", "AR", "AR.50", "AR.75", "AP v=2", "AR v=2", "LOS", "of guesses",
         "LOS v>0", "p50", "p90", "covered", "PCKsh")  # fmt: skip


def _table(rows: Sequence[Row], guessed: Callable[[str], tuple[float, ...]]) -> Iterator[str]:
    yield f"  {'method, group; errors in trunk lengths':<58}" + "".join(f"{h:>{_wide(h)}}" for h in HEADS)
    for row in rows:
        f = row.figures
        p = f.precision
        guesses = " ".join(_shown(value) for value in guessed(row.group))
        seen = (math.nan, math.nan) if f.seen is None else (f.seen.ap, f.seen.ar)
        before = (p.ap, p.ap50, p.ap75, p.ar, p.ar50, p.ar75, *seen, f.los.mean)
        after = (f.los_labelled.mean, f.error_p50, f.error_p90, f.covered_p50, f.pck)
        cells = (str(f.infants), *map(_shown, before), guesses, *map(_shown, after))
        told = "".join(f"{cell:>{_wide(head)}}" for cell, head in zip(cells, HEADS, strict=True))
        yield f"  {row.method + ', ' + row.group:<58}{told}"


def _wide(head: str) -> int:
    return 13 if head == "of guesses" else 8


def _shown(value: float) -> str:
    return f"{value:.3f}" if math.isfinite(value) else "-"


def _limbs(figure: Los) -> str:
    cells = (f"{limb} {_shown(value)}" for limb, value in figure.limbs.items())
    return f"{', '.join(cells)}; mean {figure.mean:.4f}; {figure.counted} limbs, {figure.missed} missed"


def _quantiles(joined: Joined, v: int) -> list[tuple[float, float]]:
    """Error p50 and p90 of each joint; NaN where none has this v."""
    columns = (column[np.isfinite(column)] for column in joined.errors(v).T)
    return [
        (float(np.quantile(c, 0.5)), float(np.quantile(c, 0.9))) if c.size else (math.nan, math.nan) for c in columns
    ]


def _trusted(trust: Trust) -> Iterator[str]:
    yield f"{trust.model}: errors by joint in trunk lengths, p50 / p90, visible and covered"
    both = (_quantiles(trust.joined, v) for v in (VISIBLE, COVERED))
    for name, seen, covered in zip(KEYPOINTS, *both, strict=True):
        yield f"    {name:<20}" + "  ".join(f"{_shown(a):>9} / {_shown(b):<9}" for a, b in (seen, covered))
    yield f"{trust.model}: at its thresholds; {trust.ms:.1f} ms a picture on one thread, letterbox to poses (p50)"
    for source in (trust.visibility.named(), trust.silence, *(c.named() for c in trust.confusions)):
        yield from (f"    {name:<48}{value:.4f}" for name, value in source)
    for confusion in trust.confusions:
        if any(map(sum, confusion.counts)):
            yield from confusion.lines()
