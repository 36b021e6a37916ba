"""What is measured of movement, as a table and as named figures."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from edgemon.manifest import Metric
from edgemon.movement.body import LIMBS, Array
from edgemon.records import MovementSummary

TRUE: Final = "true joints"
LEAST: Final = 3  # pairs for a correlation
DATA: Final = "clips of `synthesize limbs`"


@dataclass(frozen=True, slots=True)
class Minute:
    """One window as told by a method at so many poses a second, and as true joints of every frame tell it."""

    method: str
    hz: float
    told: MovementSummary
    truth: MovementSummary


@dataclass(frozen=True, slots=True, eq=False)
class Flow:
    """Second by second: quantity of motion of the picture, and the limbs' true mean speed in trunk lengths a second."""

    clip: str
    quantity: Array
    speed: Array


@dataclass(frozen=True, slots=True, eq=False)
class Ends:
    """The share of a clip's frames with a pose, and the errors of wrists and ankles told, in trunk lengths."""

    clip: str
    posed: float
    errors: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Agreement:
    """Pairs of what was told and what is true: how many of how many, mean absolute error, bias, and Pearson's r."""

    pairs: int
    asked: int
    error: float
    bias: float
    r: float

    @classmethod
    def of(cls, told: list[float | None], true: list[float | None]) -> Agreement:
        """Compare what both know."""
        both = [(a, b) for a, b in zip(told, true, strict=True) if a is not None and b is not None]
        asked = sum(b is not None for b in true)
        if not both:
            return cls(0, asked, math.nan, math.nan, math.nan)
        a, b = np.array(both).T
        return cls(len(both), asked, float(np.abs(a - b).mean()), float((a - b).mean()), correlated(a, b))


def correlated(a: Array, b: Array) -> float:
    """Pearson's r; NaN of fewer than LEAST pairs, or where one does not vary."""
    if len(a) < LEAST or np.ptp(a) < 1e-12 or np.ptp(b) < 1e-12:
        return math.nan
    return float(np.corrcoef(a, b)[0, 1])


Read = Callable[[MovementSummary], list[float | None]]
FIGURES: Final[tuple[tuple[str, Read], ...]] = (
    ("limb's speed, trunks/s", lambda s: [limb.speed_trunks_s for limb in s.limbs]),
    ("limb's time active", lambda s: [limb.active for limb in s.limbs]),
    ("time still", lambda s: [s.still]),
    ("index", lambda s: [s.index]),
    ("dominant frequency, Hz", lambda s: [s.dominant_hz]),
)


@dataclass(frozen=True)
class MovementReport:
    """The minutes of all clips, at all rates, by the network and by true joints taken as seldom."""

    model: str
    minutes: tuple[Minute, ...]
    flows: tuple[Flow, ...]
    ends: tuple[Ends, ...]

    def agreement(self, method: str, hz: float, read: Read) -> Agreement:
        """How a method at a rate agrees with the truth over all minutes (and limbs)."""
        chosen = [m for m in self.minutes if (m.method, m.hz) == (method, hz)]
        return Agreement.of([v for m in chosen for v in read(m.told)], [v for m in chosen for v in read(m.truth)])

    def coverage(self, method: str, hz: float) -> float:
        """Mean share of the limbs' time in which they were seen."""
        return float(np.mean([m.told.coverage for m in self.minutes if (m.method, m.hz) == (method, hz)]))

    def flow(self) -> float:
        """Pearson's r of the picture's quantity of motion and the limbs' speed, over all seconds of all clips."""
        return correlated(*(np.concatenate([getattr(f, side) for f in self.flows]) for side in ("quantity", "speed")))

    def metrics(self) -> tuple[Metric, ...]:
        """Everything as named figures."""
        return tuple(
            Metric(name=name, data=DATA, condition=condition, value=value)
            for condition, name, value in self._values()
            if math.isfinite(value)
        )

    def _values(self) -> Iterator[tuple[str, str, float]]:
        for method, hz in self._ways():
            condition = f"{method}; {hz:g} poses a second"
            yield condition, "coverage", self.coverage(method, hz)
            for name, read in FIGURES:
                found = self.agreement(method, hz, read)
                yield condition, f"{name}: told", float(found.pairs)
                yield condition, f"{name}: mean absolute error", found.error
                yield condition, f"{name}: bias", found.bias
                yield condition, f"{name}: correlation", found.r
        yield "every frame", "quantity of motion with limbs' speed by second: correlation", self.flow()
        for ends in self.ends:
            yield f"{self.model}; {ends.clip}", "share of frames with a pose", ends.posed
            for part, value in zip((50, 90), _quantiles(ends), strict=True):
                yield f"{self.model}; {ends.clip}", f"error of wrists and ankles p{part}, trunk lengths", value

    def _ways(self) -> list[tuple[str, float]]:
        """Methods and rates, the network first."""
        ways = dict.fromkeys((m.method, m.hz) for m in self.minutes)
        return sorted(ways, key=lambda way: (way[0] == TRUE, way[1]))

    def lines(self) -> Iterator[str]:
        """The tables."""
        truths = list({id(m.truth): m.truth for m in self.minutes}.values())
        yield f"movement on {len(self.ends)} clips, {len(truths)} minutes; the truth: true joints of every frame"
        yield from map(_truth_line, truths)
        yield "against the truth: mean absolute error (bias, correlation) over minutes and limbs; n told of all"
        for method, hz in self._ways():
            yield f"  {method} at {hz:g} poses/s, coverage {self.coverage(method, hz):.2f}"
            for name, read in FIGURES:
                yield f"    {name:<26}{_told(self.agreement(method, hz, read))}"
        yield "the picture's quantity of motion beside the limbs' true speed, by second"
        for flow in self.flows:
            yield (
                f"    {flow.clip:<26}r {_shown(correlated(flow.quantity, flow.speed))}; "
                f"quantity {flow.quantity.mean():.4f}, speed {flow.speed.mean():.3f} trunks/s"
            )
        yield f"    {'all seconds':<26}r {_shown(self.flow())}"
        yield f"{self.model}: wrists and ankles told, error in trunk lengths p50 / p90, and frames with a pose"
        for ends in self.ends:
            p50, p90 = _quantiles(ends)
            yield f"    {ends.clip:<26}{_shown(p50)} / {_shown(p90)}; {ends.posed:.2f}"


def _quantiles(ends: Ends) -> tuple[float, float]:
    if not len(ends.errors):
        return math.nan, math.nan
    return float(np.quantile(ends.errors, 0.5)), float(np.quantile(ends.errors, 0.9))


def _truth_line(truth: MovementSummary) -> str:
    limbs = ", ".join(
        f"{name.replace('_', ' ')} {_shown(limb.speed_trunks_s)} ({_shown(limb.active)})"
        for name, limb in zip(LIMBS, truth.limbs, strict=True)
    )
    return (
        f"  {truth.bed} from {truth.start_s:.0f} s: trunks/s (active) {limbs}; still {_shown(truth.still)}, "
        f"index {_shown(truth.index)}, dominant {_shown(truth.dominant_hz)} Hz"
    )


def _told(found: Agreement) -> str:
    if not found.pairs:
        return f"not told (0 of {found.asked})"
    return f"{found.error:.3f} ({found.bias:+.3f}, r {_shown(found.r)}); n {found.pairs} of {found.asked}"


def _shown(value: float | None) -> str:
    return f"{value:.3f}" if value is not None and math.isfinite(value) else "-"
