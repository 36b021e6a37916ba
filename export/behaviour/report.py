"""Everything that is measured of one expression model, beside its goals."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from edgemon.manifest import Metric
from export.behaviour.judge import TRUE_CROP, Abstention, FalseCalls
from export.behaviour.reads import Reads, Span

COMPARED = ("AUC", "accuracy", "balanced accuracy")
INT8_POINTS = 0.5


@dataclass(frozen=True, slots=True)
class Goal:
    """One number to reach and what was measured; None where there is nothing to measure it on."""

    name: str
    wanted: str
    measured: float | None
    met: bool
    told: str = ""

    def line(self) -> str:
        """The verdict."""
        verdict = "not measured" if self.measured is None else "met" if self.met else "SHORT"
        told = self.told or ("" if self.measured is None else f"{self.measured:.4f}")
        return f"  {verdict:<13}{self.name}: wanted {self.wanted}, measured {told or 'nothing'}"


@dataclass(frozen=True, slots=True)
class Difference:
    """What int8 loses by target and measure, in points, and on which and at least how many faces of a target."""

    points: Mapping[str, float]
    data: str
    faces: int

    @property
    def worst(self) -> tuple[str, float]:
        """The figure that loses most."""
        return max(self.points.items(), key=lambda item: item[1])

    def lines(self) -> Iterator[str]:
        """Every loss; negative where int8 is better."""
        yield f"int8 beside fp32, points lost on {self.data}"
        for name, lost in self.points.items():
            yield f"  {name:<40}{lost:>8.2f}"


def difference(fp32: Reads, int8: Reads, data: str) -> Difference:
    """The figures of one less those of the other on the same faces."""
    theirs = {target: column.measured() for target, stratum, column in int8.columns() if stratum == "all"}
    return Difference(
        {
            f"{target}, {name}": 100 * (column.measured()[name] - theirs[target][name])
            for target, stratum, column in fp32.columns()
            if stratum == "all" and target in theirs
            for name in COMPARED
        },
        data,
        min((len(column.truth) for _, stratum, column in fp32.columns() if stratum == "all"), default=0),
    )


@dataclass(frozen=True, slots=True)
class BehaviourReport:
    """Reads by how faces were cropped with the share of faces read, abstentions, adults, and int8 beside fp32."""

    data: str
    reads: Mapping[str, tuple[Reads, float]]
    abstentions: tuple[Abstention, ...] = ()
    adults: FalseCalls | None = None
    int8: Difference | None = None
    warnings: tuple[str, ...] = ()

    def beside(self, int8: Reads) -> BehaviourReport:
        """The same with what int8 loses on crops by true boxes."""
        lost = difference(self.reads[TRUE_CROP][0], int8, f"{self.data}, {TRUE_CROP}")
        return replace(self, int8=lost)

    def figures(self) -> dict[str, float]:
        """What int8 is judged by before it is released."""
        return {
            f"{crop}, {target}, {name}": column.measured()[name]
            for crop, (reads, _) in self.reads.items()
            for target, stratum, column in reads.columns()
            if stratum == "all"
            for name in ("AUC", "balanced accuracy")
        }

    def intervals(self) -> dict[str, dict[str, dict[str, Span]]]:
        """The 95 % intervals over infants by crop, target and measure."""
        return {crop: reads.intervals() for crop, (reads, _) in self.reads.items()}

    def metrics(self) -> tuple[Metric, ...]:
        """Everything as named figures; a cell that lacks one of the classes is left out."""
        rows = []
        for crop, (reads, share) in self.reads.items():
            data = f"{self.data}, {crop} ({len(reads)} faces)"
            rows.append(Metric(name="faces read", data=data, condition="all lights", value=round(share, 4)))
            rows += reads.metrics(data)
        for a in self.abstentions:
            for shown, value in (("open", a.open), ("painted over", a.covered)):
                data = f"{self.data} ({a.faces})"
                rows.append(
                    Metric(name=f"{a.region} below its threshold", data=data, condition=shown, value=round(value, 4))
                )
        if self.adults is not None and self.adults.found:
            data = f"{self.adults.name}, the detector's crops ({self.adults.found} of {self.adults.frames} found)"
            for name, calls in self._false_calls():
                rows.append(Metric(name=name, data=data, condition="studio", value=round(float(calls.mean()), 4)))
        return tuple(rows)

    def goals(self) -> Iterator[Goal]:
        """The yardsticks, on crops by true boxes."""
        reads, _ = self.reads.get(TRUE_CROP, next(iter(self.reads.values())))
        for target in ("eyes_closed", "crying"):
            column = reads.of(target)
            told = column.measured() if column.judged else {}
            auc, ece = told.get("AUC"), told.get("ECE")
            yield Goal(f"AUC of {target}", ">= 0.99", auc, auc is not None and auc >= 0.99)
            yield Goal(f"ECE of {target}", "<= 0.03", ece, ece is not None and ece <= 0.03)
        if self.int8 is not None and self.int8.points:
            (name, lost), faces = self.int8.worst, self.int8.faces
            told_of = f"{lost:.2f} ({name}; one face in {faces} is {100 / faces:.2f})"
            what = "int8 against fp32, the figure that loses most"
            yield Goal(what, f"<= {INT8_POINTS} points", lost, lost <= INT8_POINTS, told_of)
        for (name, calls), limit in zip(self._false_calls(), (0.03, 0.01), strict=True):
            share = float(calls.mean()) if calls.size else None
            told_of = self.adults.told(calls) if self.adults is not None and calls.size else ""
            yield Goal(f"real adults, {name}", f"<= {limit:.0%}", share, share is not None and share <= limit, told_of)

    def _false_calls(self) -> tuple[tuple[str, NDArray[np.bool_]], ...]:
        none = np.empty(0, bool)
        closed, crying = (none, none) if self.adults is None else (self.adults.closed, self.adults.crying)
        return ("open eyes called closed", closed), ("calm called crying", crying)

    def lines(self) -> Iterator[str]:
        """The tables and the verdicts."""
        yield from (f"WARNING: {text}" for text in self.warnings)
        for crop, (reads, share) in self.reads.items():
            yield f"{self.data}, {crop}: {len(reads)} faces, {share:.1%} of all"
            yield from reads.lines()
        if self.abstentions:
            yield "faces of which a region is held to be hidden, so that what it tells is unknown"
            for a in self.abstentions:
                yield f"  {a.region:<16} open {a.open:>6.1%}, painted over {a.covered:>6.1%} of {a.faces}"
        if self.int8 is not None:
            yield from self.int8.lines()
        yield "goals"
        yield from (goal.line() for goal in self.goals())
