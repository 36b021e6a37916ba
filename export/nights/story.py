"""A newborn's day, told 4 times a second: sleep cycles, feeds, crying, lids, yawns, hiccups, hands, care and darkness.

Sleep: cycles of 50 to 60 min that begin in active sleep (about 55 % of it), 16 h of it a day, feeds every 2 to 4 h
(Grigg-Damberger, J Clin Sleep Med 2016;12(3):429; shared research/behaviour.md 5.2). Crying: episodes of bouts with
pauses; within a bout each breath lets the face relax for 0.5 to 1.5 s, which is still crying. All numbers are choices
within what is published, not measurements.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from export.nights.noise import wander

HZ = 4
BLINK_S = 0.75  # a shorter closure is a blink, and the eyes count as open
Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]


class Stage(IntEnum):
    """What the infant does for minutes at a time."""

    ACTIVE_SLEEP = 0
    QUIET_SLEEP = 1
    ALERT = 2
    DROWSY = 3
    FUSSY = 4  # an episode of crying with its pauses
    AWAY = 5  # out of the cot, being fed


class Hidden(IntEnum):
    """Why the face cannot be read."""

    NOT = 0
    NO_FACE = 1
    OCCLUDED = 2
    DARK = 3
    TURNED_AWAY = 4


ASLEEP = (Stage.ACTIVE_SLEEP, Stage.QUIET_SLEEP)


@dataclass(frozen=True, slots=True)
class Day:
    """One day of one infant at HZ: what the face shows (0..1 each), what is true of it, and what hides it."""

    lids: Floats  # closure
    cry_face: Floats
    yawn: Floats
    grimace: Floats  # brow, eyes and cheeks drawn together, without crying
    closed: Flags
    crying: Flags
    asleep: Flags
    stage: NDArray[np.int8]
    hidden: NDArray[np.int8]
    mouth_hidden: Flags  # by a pacifier: crying cannot be told, eyes can

    @property
    def at_s(self) -> Floats:
        """The time of each look."""
        return np.arange(len(self.lids)) / HZ


@dataclass
class _Page:
    """A day while it is being written."""

    rng: np.random.Generator
    n: int

    def __post_init__(self) -> None:
        self.lids = np.zeros(self.n)
        self.cry_face, self.yawn, self.grimace = np.zeros(self.n), np.zeros(self.n), np.zeros(self.n)
        self.crying, self.mouth_hidden = np.zeros(self.n, bool), np.zeros(self.n, bool)
        self.stage, self.hidden = np.zeros(self.n, np.int8), np.zeros(self.n, np.int8)

    def span(self, start_s: float, seconds: float) -> slice:
        """The looks within a time; at least one, where the day still lasts."""
        first = min(self.n, max(0, round(start_s * HZ)))
        return slice(first, min(self.n, max(first + 1, round((start_s + seconds) * HZ))))

    def times(self, within: slice, per_hour: float) -> Iterator[float]:
        """Random moments of a Poisson process within a span."""
        seconds = (within.stop - within.start) / HZ
        count = self.rng.poisson(per_hour * seconds / 3600)
        yield from within.start / HZ + np.sort(self.rng.uniform(0, seconds, count))


def tell(seed: int, hours: float = 24.0) -> Day:
    """The day that this seed gives."""
    rng = np.random.default_rng([seed, 1601])
    page = _Page(rng, round(hours * 3600 * HZ))
    for stage, within in _stages(page):
        page.stage[within] = stage
        _ACTS[stage](page, within)
    _hiccups(page)
    _hide(page)
    asleep = np.isin(page.stage, ASLEEP)
    closed = _without_short(page.lids >= 0.5, BLINK_S)
    return Day(page.lids, page.cry_face, page.yawn, page.grimace, closed, page.crying, asleep, page.stage,
               page.hidden, page.mouth_hidden)  # fmt: skip


def _stages(page: _Page) -> Iterator[tuple[Stage, slice]]:
    """Sleep in cycles until the next feed is due; then wake, cry perhaps, be fed, look about, grow drowsy."""
    rng, at_s, end_s = page.rng, 0.0, page.n / HZ
    while at_s < end_s:
        for stage, seconds in (*_sleep(rng), *_wake(rng)):
            within = page.span(at_s, seconds)
            at_s += seconds
            if within.start >= page.n:
                return
            yield stage, within


def _sleep(rng: np.random.Generator) -> Iterator[tuple[Stage, float]]:
    left_s = rng.normal(2.1, 0.5) * 3600
    while left_s > 600:
        cycle_s = float(np.clip(rng.normal(55, 5), 40, 70)) * 60
        active = float(rng.uniform(0.5, 0.62))
        yield Stage.ACTIVE_SLEEP, 0.6 * active * cycle_s
        yield Stage.QUIET_SLEEP, (1 - active) * cycle_s
        yield Stage.ACTIVE_SLEEP, 0.4 * active * cycle_s
        if rng.random() < 0.35:
            yield Stage.ALERT, float(rng.uniform(40, 150))
        left_s -= cycle_s


def _wake(rng: np.random.Generator) -> Iterator[tuple[Stage, float]]:
    yield Stage.DROWSY, float(rng.uniform(30, 180))
    if rng.random() < 0.75:
        yield Stage.FUSSY, float(rng.uniform(60, 600))
    yield Stage.AWAY, float(rng.uniform(15, 35)) * 60
    for _ in range(int(rng.integers(1, 4))):
        yield Stage.ALERT, float(rng.uniform(3, 14)) * 60
        if rng.random() < 0.35:
            yield Stage.FUSSY, float(rng.uniform(40, 300))
    yield Stage.DROWSY, float(rng.uniform(2, 8)) * 60


def _active_sleep(page: _Page, within: slice) -> None:
    page.lids[within] = 0.97
    for at_s in page.times(within, 9.0):
        page.lids[page.span(at_s, page.rng.lognormal(0.7, 0.7))] = page.rng.uniform(0.0, 0.6)
    for at_s in page.times(within, 25.0):
        _grimace(page, at_s)
    for at_s in page.times(within, 0.7):
        _yawn(page, at_s)


def _quiet_sleep(page: _Page, within: slice) -> None:
    page.lids[within] = 0.98
    for at_s in page.times(within, 2.0):
        _grimace(page, at_s)


def _alert(page: _Page, within: slice) -> None:
    page.lids[within] = 0.12 + wander(page.rng, within.stop - within.start, 0.06, 3.0)
    for at_s in page.times(within, 180.0):
        page.lids[page.span(at_s, page.rng.uniform(0.2, 0.4))] = 1.0
    for at_s in page.times(within, 15.0):
        page.lids[page.span(at_s, page.rng.lognormal(0.6, 0.6))] = 0.95
    for at_s in page.times(within, 20.0):
        _grimace(page, at_s)
    for at_s in page.times(within, 3.0):
        _yawn(page, at_s)


def _drowsy(page: _Page, within: slice) -> None:
    """Heavy lids, that fall shut for seconds at a time, more and more."""
    n = within.stop - within.start
    page.lids[within] = np.clip(0.4 + wander(page.rng, n, 0.12, 5.0), 0, 1)
    for at_s in page.times(within, 200.0):
        page.lids[page.span(at_s, page.rng.lognormal(1.2, 0.7))] = 0.95
    for at_s in page.times(within, 12.0):
        _yawn(page, at_s)


def _fussy(page: _Page, within: slice) -> None:
    """Bouts of crying with pauses; lids are squeezed shut in most bouts."""
    _alert(page, within)
    at_s, end_s = within.start / HZ + page.rng.uniform(0, 20), within.stop / HZ
    while at_s < end_s - 4:
        seconds = min(end_s - at_s, float(np.clip(page.rng.lognormal(3.3, 0.8), 3, 240)))
        bout = page.span(at_s, seconds)
        page.crying[bout] = True
        page.yawn[bout] = page.grimace[bout] = 0.0
        _breathe(page, at_s, seconds)
        if page.rng.random() < 0.8:
            page.lids[bout] = 0.96
        at_s += seconds + float(np.clip(page.rng.lognormal(2.0, 0.7), 2.0, 60.0))


def _breathe(page: _Page, at_s: float, seconds: float) -> None:
    end_s, power = at_s + seconds, float(page.rng.uniform(0.8, 1.0))
    while at_s < end_s:
        out_s = min(float(page.rng.uniform(1.0, 3.0)), end_s - at_s)
        page.cry_face[page.span(at_s, out_s)] = power
        gap_s = float(page.rng.uniform(0.5, 1.5))
        if at_s + out_s < end_s:
            page.cry_face[page.span(at_s + out_s, min(gap_s, end_s - at_s - out_s))] = page.rng.uniform(0.3, 0.7)
        at_s += out_s + gap_s


def _away(page: _Page, within: slice) -> None:
    page.lids[within] = 0.3
    page.hidden[within] = Hidden.NO_FACE


_ACTS = {
    Stage.ACTIVE_SLEEP: _active_sleep,
    Stage.QUIET_SLEEP: _quiet_sleep,
    Stage.ALERT: _alert,
    Stage.DROWSY: _drowsy,
    Stage.FUSSY: _fussy,
    Stage.AWAY: _away,
}


def _yawn(page: _Page, at_s: float) -> None:
    within = page.span(at_s, page.rng.uniform(3.0, 6.0))
    rise = np.sin(np.linspace(0.1, np.pi - 0.1, within.stop - within.start))
    page.yawn[within] = np.maximum(page.yawn[within], rise)
    page.lids[within] = np.maximum(page.lids[within], np.where(rise > 0.5, 0.95, 0.0))


def _grimace(page: _Page, at_s: float) -> None:
    within = page.span(at_s, page.rng.lognormal(0.3, 0.6))
    page.grimace[within] = page.rng.uniform(0.3, 1.0)


def _hiccups(page: _Page) -> None:
    """A few minutes of them, some times a day: the mouth jerks open every 2 to 4 s for a quarter of a second."""
    rng = page.rng
    for start_s in page.times(slice(0, page.n), 0.12):
        for at_s in _every(rng, start_s, rng.uniform(2, 9) * 60, (2.0, 4.0)):
            jerk = page.span(at_s, 0.3)
            page.grimace[jerk] = np.maximum(page.grimace[jerk], rng.uniform(0.3, 0.9))


def _hide(page: _Page) -> None:
    """Own hands, care every few hours, the head turned away, darkness, a pacifier, and looks that find no face."""
    whole, rng = slice(0, page.n), page.rng
    spells: tuple[tuple[Hidden, float, Callable[[], float]], ...] = (
        (Hidden.OCCLUDED, 4.0, lambda: rng.lognormal(1.8, 1.0)),
        (Hidden.TURNED_AWAY, 0.25, lambda: rng.uniform(3, 40) * 60),
        (Hidden.DARK, 0.06, lambda: rng.uniform(5, 60) * 60),
        (Hidden.NO_FACE, 20.0, lambda: rng.uniform(0.25, 2.0)),
    )
    for why, per_hour, seconds in spells:
        for at_s in page.times(whole, per_hour):
            _cover(page, page.span(at_s, seconds()), why)
    for start_s in page.times(whole, 0.3):
        for at_s in _every(rng, start_s, rng.uniform(2, 8) * 60, (4.0, 35.0)):
            _cover(page, page.span(at_s, rng.uniform(1, 12)), Hidden.OCCLUDED)
    for at_s in page.times(whole, 0.12):
        page.mouth_hidden[page.span(at_s, rng.uniform(3, 20) * 60)] = True


def _cover(page: _Page, within: slice, why: Hidden) -> None:
    page.hidden[within] = np.where(page.hidden[within] == Hidden.NOT, why, page.hidden[within])


def _every(rng: np.random.Generator, start_s: float, seconds: float, apart_s: tuple[float, float]) -> Iterator[float]:
    at_s = start_s
    while at_s < start_s + seconds:
        yield at_s
        at_s += rng.uniform(*apart_s)


def _without_short(flags: Flags, seconds: float) -> Flags:
    """The same without the spans of truth that are shorter than this."""
    out = flags.copy()
    edges = np.flatnonzero(np.diff(np.r_[0, flags.astype(np.int8), 0]))
    for start, end in zip(edges[::2], edges[1::2], strict=True):
        if end - start < seconds * HZ:
            out[start:end] = False
    return out
