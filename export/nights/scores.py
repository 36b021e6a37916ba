"""How well facts follow the truth of a day: false changes, delays, bouts, epochs."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass

import numpy as np

from export.nights.filters import UNKNOWN, Values
from export.nights.story import HZ, Flags

LATE_S, EARLY_S = 10.0, 1.0
MERGE_S = 8.0  # as edgemon.events.bouts does with crying
Spans = list[tuple[int, int]]


def spans(flags: Flags) -> Spans:
    """First and one past the last look of each run of truth."""
    edges = np.flatnonzero(np.diff(np.r_[0, flags.astype(np.int8), 0]))
    return [(int(a), int(b)) for a, b in zip(edges[::2], edges[1::2], strict=True)]


def changes(values: Values) -> list[tuple[int, int]]:
    """Where a known value differs from the known one before it, whatever was unknown between; and to what."""
    known = np.flatnonzero(values != UNKNOWN)
    moves = known[1:][values[known[1:]] != values[known[:-1]]]
    return [(int(i), int(values[i])) for i in moves]


def false_changes(
    values: Values, truth: Flags, *, hz: float = HZ, late_s: float = LATE_S, early_s: float = EARLY_S
) -> int:
    """Changes that no change of the truth explains; each explains one, in order.

    A change is explained by the first unused change of the truth to the same value that came no more than `late_s`
    before or `early_s` after, or earlier where it still held.
    """
    moves = (np.flatnonzero(truth[1:] != truth[:-1]) + 1).tolist()
    first, false = 0, 0
    for i, value in changes(values):
        until = bisect_right(moves, i + early_s * hz)
        newest = bisect_right(moves, i) - 1  # what still holds
        right = (
            k
            for k in range(first, until)
            if int(truth[moves[k]]) == value and (k == newest or i - moves[k] <= late_s * hz)
        )
        explained = next(right, None)
        if explained is None:
            false += 1
        else:
            first = explained + 1
    return false


@dataclass(frozen=True, slots=True)
class Onsets:
    """Seconds from each true onset to when it was told, and how many were never told."""

    delays_s: tuple[float, ...]
    missed: int


def onsets(values: Values, truth: Flags, seen: Flags, watch_s: float = 5.0) -> Onsets:
    """Of true spans whose first `watch_s` (or whole) were seen, and that were not told already."""
    delays, missed = [], 0
    for start, end in spans(truth):
        until = min(end, start + round(watch_s * HZ))
        before = values[max(0, start - 1)]
        if not seen[max(0, start - 4 * HZ) : until].all() or before != 0:
            continue
        told = np.flatnonzero(values[start : end + 3 * HZ] == 1)
        if told.size:
            delays.append(float(told[0]) / HZ)
        else:
            missed += 1
    return Onsets(tuple(delays), missed)


def merged(flags: Flags, gap_s: float, hz: float = HZ) -> Spans:
    """Spans with gaps up to `gap_s` taken in."""
    out: Spans = []
    for start, end in spans(flags):
        if out and start - out[-1][1] <= gap_s * hz:
            out[-1] = (out[-1][0], end)
        else:
            out.append((start, end))
    return out


def matches(told: Spans, true: Spans, iou: float = 0.5) -> int:
    """How many of the told spans overlap a true one by at least `iou` of their union."""
    found = 0
    for a, b in told:
        for c, d in true:
            if min(b, d) - max(a, c) >= iou * (max(b, d) - min(a, c)):
                found += 1
                break
    return found


def kappa(told: Values, truth: Flags) -> float:
    """Cohen's kappa where it is told; NaN where both know one class only."""
    known = told != UNKNOWN
    a, b = told[known] == 1, truth[known]
    if not a.size:
        return float("nan")
    agree, chance = float((a == b).mean()), float(a.mean() * b.mean() + (1 - a.mean()) * (1 - b.mean()))
    return (agree - chance) / (1 - chance) if chance < 1 else float("nan")
