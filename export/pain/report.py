"""The table of the seed: deep, handcrafted and fused features by classifier, on infants that were not learned from."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgemon.manifest import Metric
from export.metrics import accuracy, auc, balanced_accuracy, calibration_error, f1, intervals
from export.pain.samples import Samples

Array = NDArray[np.float64]
Measure = Callable[[Array, NDArray[np.bool_]], float]
MEASURES: Mapping[str, Measure] = {
    "AUC": auc,
    "accuracy": accuracy,
    "balanced accuracy": balanced_accuracy,
    "F1": f1,
    "ECE": calibration_error,
}


@dataclass(frozen=True, slots=True, eq=False)
class Row:
    """One way to tell, and the probabilities (n,) that it gave."""

    classifier: str
    kind: str
    scores: Array

    def of(self, judged: Samples, stratum: str | None = None) -> dict[str, float]:
        """All measures, of one stratum where one is given."""
        keep = judged.strata == stratum if stratum else np.ones(len(judged), bool)
        return {name: measure(self.scores[keep], judged.pain[keep]) for name, measure in MEASURES.items()}

    def interval(self, judged: Samples) -> tuple[float, float]:
        """The 95 % interval of the AUC over subjects."""
        return intervals({"AUC": auc}, self.scores, judged.pain, judged.subjects)["AUC"]


@dataclass(frozen=True, slots=True, eq=False)
class PainReport:
    """Rows on the same faces, and where those come from."""

    data: str
    judged: Samples
    rows: tuple[Row, ...]

    @property
    def best(self) -> Row:
        """The row of the highest AUC."""
        return max(self.rows, key=lambda row: auc(row.scores, self.judged.pain))

    @property
    def strata(self) -> tuple[str, ...]:
        """Those that hold faces with and without pain, where there are several."""
        names = sorted(set(self.judged.strata.tolist()))
        both = [n for n in names if 0 < self.judged.pain[self.judged.strata == n].mean() < 1]
        return tuple(both) if len(names) > 1 else ()

    def lines(self) -> Iterator[str]:
        """The table."""
        yield f"pain cue on {self.data}: {self.judged.told()}"
        heads = ["AUC (95 % over subjects)", *list(MEASURES)[1:], *(f"AUC {name}" for name in self.strata)]
        yield f"  {'':<32}" + "".join(f"{head:>{max(10, len(head) + 2)}}" for head in heads)
        for row in self.rows:
            told = row.of(self.judged)
            low, high = row.interval(self.judged)
            cells = [f"{told['AUC']:.3f} ({low:.3f}-{high:.3f})", *(f"{v:.3f}" for v in list(told.values())[1:])]
            cells += [f"{row.of(self.judged, name)['AUC']:.3f}" for name in self.strata]
            padded = (f"{cell:>{max(10, len(head) + 2)}}" for cell, head in zip(cells, heads, strict=True))
            yield f"  {row.classifier:<15}{row.kind:<17}" + "".join(padded)

    def metrics(self) -> tuple[Metric, ...]:
        """Every cell as a named figure."""
        return tuple(
            Metric(name=name, data=self.data, condition=f"{where}; {stratum or 'all'} ({count})", value=round(value, 4))
            for row in self.rows
            for where in [" ".join(word for word in (row.classifier, row.kind) if word)]
            for stratum in (None, *self.strata)
            for count in [int((self.judged.strata == stratum).sum()) if stratum else len(self.judged)]
            for name, value in row.of(self.judged, stratum).items()
        )
