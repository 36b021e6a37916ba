"""What a model says of faces beside what they show: figures by target and light, with intervals over infants."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgemon.inference import ExpressionModel
from edgemon.manifest import Metric
from export import metrics
from export.babyehanet import TARGETS
from export.behaviour.faces import Faces
from export.expression_data import JUDGED

Array = NDArray[np.float64]
Span = tuple[float, float] | None
MEASURES: Mapping[str, Callable[[Array, Array], float]] = {
    "AUC": metrics.auc,
    "accuracy": metrics.accuracy,
    "balanced accuracy": metrics.balanced_accuracy,
    "F1": metrics.f1,
    "kappa": metrics.kappa,
    "ECE": metrics.calibration_error,
}
BY_STRATUM = ("AUC", "balanced accuracy")
ALL = "all"


@dataclass(frozen=True, slots=True, eq=False)
class Column:
    """Scores, truths and groups (n,) of one target where both are told."""

    scores: Array
    truth: Array
    groups: NDArray[np.str_]

    @property
    def judged(self) -> bool:
        """Whether both classes are there."""
        return bool(self.truth.size and 0 < (self.truth >= 0.5).sum() < self.truth.size)

    def measured(self) -> dict[str, float]:
        """Every figure."""
        return {name: measure(self.scores, self.truth) for name, measure in MEASURES.items()}

    def intervals(self) -> dict[str, Span]:
        """The 95 % interval of every figure over infants; None where there are too few of them."""
        spans = metrics.intervals(MEASURES, self.scores, self.truth, self.groups)
        return {name: None if np.isnan(span[0]) else span for name, span in spans.items()}


@dataclass(frozen=True, slots=True, eq=False)
class Reads:
    """Scores (n, 10), NaN where the model tells none, truths (n, 10), whether each can be judged (n, 10), strata (n,),
    and infants or whatever else stays together (n,), which is the `unit`."""

    scores: Array
    truth: Array
    judged: NDArray[np.bool_]
    strata: NDArray[np.str_]
    groups: NDArray[np.str_]
    unit: str = "infants"

    def __len__(self) -> int:
        return len(self.scores)

    def of(self, target: str, stratum: str = ALL) -> Column:
        """One target where it can be judged."""
        column = TARGETS.index(target)
        keep = self.judged[:, column] & ~np.isnan(self.scores[:, column])
        if stratum != ALL:
            keep &= self.strata == stratum
        return Column(self.scores[keep, column], self.truth[keep, column], self.groups[keep])

    def columns(self) -> Iterator[tuple[str, str, Column]]:
        """Every judged target, over all and in each stratum, that holds both classes."""
        strata = sorted({str(name) for name in self.strata})
        for target in JUDGED:
            for stratum in (ALL, *(strata if len(strata) > 1 else ())):
                column = self.of(target, stratum)
                if column.judged:
                    yield target, stratum, column

    def metrics(self, data: str) -> Iterator[Metric]:
        """The figures as a manifest tells them."""
        for target, stratum, column in self.columns():
            where = f"{target}; {'all lights' if stratum == ALL else stratum} ({len(column.truth)})"
            for name, value in column.measured().items():
                if stratum == ALL or name in BY_STRATUM:
                    yield Metric(name=name, data=data, condition=where, value=round(value, 4))

    def intervals(self) -> dict[str, dict[str, Span]]:
        """The 95 % intervals by target and measure."""
        return {target: column.intervals() for target, stratum, column in self.columns() if stratum == ALL}

    def lines(self) -> Iterator[str]:
        """The table; beneath each target its intervals over infants."""
        yield f"  {'':<32}{'n':>6}{self.unit:>9}" + "".join(f"{name:>19}" for name in MEASURES)
        for target, stratum, column in self.columns():
            name = target if stratum == ALL else f"  {stratum}"
            cells = "".join(f"{value:>19.4f}" for value in column.measured().values())
            yield f"  {name:<32}{len(column.truth):>6}{len(np.unique(column.groups)):>9}{cells}"
            if stratum == ALL:
                spans = ("too few" if s is None else f"{s[0]:.3f} to {s[1]:.3f}" for s in column.intervals().values())
                yield f"  {'  95 % over ' + self.unit:<47}" + "".join(f"{span:>19}" for span in spans)


def read(model: ExpressionModel, faces: Faces, groups: NDArray[np.str_] | None = None, unit: str = "infants") -> Reads:
    """Read every crop as the device does."""
    rows = [[_number(getattr(got, name)) for name in TARGETS] for got in map(model.read_crop, faces.crops)]
    return reads_of(np.array(rows, np.float64), faces, groups, unit)


def reads_of(scores: Array, faces: Faces, groups: NDArray[np.str_] | None = None, unit: str = "infants") -> Reads:
    """Scores (n, k) of the first k targets beside the labels."""
    rest = np.full((len(faces), len(TARGETS) - scores.shape[1]), np.nan)
    return Reads(
        np.hstack([scores, rest]),
        faces.told,
        faces.weight > 0,
        faces.strata,
        faces.sources if groups is None else groups,
        unit,
    )


def _number(score: float | None) -> float:
    return np.nan if score is None else score
