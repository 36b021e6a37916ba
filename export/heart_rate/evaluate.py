"""Heart rate on recordings, rendered clips and whatever else is in a known layout: ours beside the peers'."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

from tqdm import tqdm

from edgemon.inference import Model
from edgemon.manifest import Metric
from edgemon.observations import heart_rate
from edgemon.observations.pulse_network import PulseNetwork
from export.heart_rate.answers import OURS_ALL, OURS_BEST, OURS_TRUSTED, SPANS_S, Answers, answer
from export.heart_rate.goals import goals
from export.heart_rate.layouts import open_any
from export.heart_rate.methods import PEAKS
from export.heart_rate.peers import PEERS
from export.heart_rate.scores import (
    BEST_SHARE,
    Score,
    Windows,
    calibration,
    far_though_sure,
    pooled,
    risk_area,
    risk_coverage,
    score,
)

METHODS = (OURS_ALL, OURS_BEST, OURS_TRUSTED, *PEERS)
ALL = "all data"
COVERAGES = tuple(k / 10 for k in range(1, 11))
_NAME, _CELLS = 30, ("windows", "coverage", "MAE", "RMSE", "MAPE %", "Pearson", "<= 5 bpm")


def default_folders() -> list[Path]:
    """The shared recordings and the rendered test set, as far as they are there."""
    shared = sorted(Path("../shared/data").glob("pulse_*"))
    return [p for p in (*shared, Path(".cache/pulses/test")) if p.is_dir()]


def evaluate_heart_rate(folders: Sequence[Path], models: Path, network: str | None = None) -> HeartRateReport:
    """Every recording of the folders; `network` names a model that is heard beside the spectra of those with patches.

    Raises:
        ValueError: a folder has no known layout, or something in it is malformed; or there is no folder.
    """
    if not folders:
        raise ValueError("no recordings: neither --data nor ../shared/data/pulse_* nor .cache/pulses/test is there")
    found = (recording for folder in folders for recording in open_any(folder, models))
    reader = PulseNetwork(Model.open(models, network)) if network else None
    observer = partial(heart_rate.HeartRateObserver, network=reader)
    bar = tqdm(found, unit=" recordings", disable=None)
    return HeartRateReport(tuple(answer(recording, {**PEERS, **PEAKS}, observer) for recording in bar))


@dataclass(frozen=True)
class HeartRateReport:
    """Answers for every recording, and all that follows from them."""

    answers: tuple[Answers, ...]

    @cached_property
    def data(self) -> dict[str, tuple[Answers, ...]]:
        """The answers by set, and all of them."""
        names = list(dict.fromkeys(a.data for a in self.answers))
        sets = {name: tuple(a for a in self.answers if a.data == name) for name in names}
        return sets | ({ALL: self.answers} if len(sets) > 1 else {})

    def windows(self, answers: Sequence[Answers], method: str, span_s: float) -> Windows:
        """All windows of a method; the best 60 % are of all of these, by quality."""
        if method == OURS_BEST:
            return self.windows(answers, OURS_ALL, span_s).best()
        return pooled(a.windows[method, span_s] for a in answers)

    def scores(self, answers: Sequence[Answers]) -> Iterator[tuple[str, float, Score]]:
        """Method, span and figures."""
        for method in METHODS:
            for span_s in SPANS_S:
                yield method, span_s, score(self.windows(answers, method, span_s))

    def lines(self) -> Iterator[str]:
        """The tables."""
        yield from _header()
        for name, answers in self.data.items():
            yield from self._set_lines(name, answers)
        yield from self._method_lines()
        yield from self._recording_lines()
        yield from self._calibration_lines()
        yield from self._risk_lines()
        yield from self._reason_lines()
        yield "to beat them all"
        for goal in goals(self.answers):
            verdict = "met" if goal.met else "-" if goal.measured is None else "SHORT"
            yield f"  {goal.name:<58}{goal.wanted:>20}  {verdict:<6}{goal.told}"

    def _set_lines(self, name: str, answers: Sequence[Answers]) -> Iterator[str]:
        told = self.windows(answers, OURS_TRUSTED, SPANS_S[0])
        yield f"{name}: {len(answers)} recordings, {len(told)} windows of 10 s"
        if silent := int((~told.pulse).sum()):
            given = int((told.answered & ~told.pulse).sum())
            estimates = self.windows(answers, OURS_ALL, SPANS_S[0])
            rated = int((estimates.answered & ~estimates.pulse & (estimates.quality > 0)).sum())
            yield f"  no pulse to be read: value given in {given} of {silent} windows ({given / silent:.1%}),"
            yield f"  an untold estimate in {rated / silent:.1%}; peers answer all"
        if outside := int(told.out_of_band.sum()):
            given = int((told.answered & told.out_of_band).sum())
            yield f"  rate outside 72-240/min: value given in {given} of {outside} windows; not in the table"
        if told.judged.any():
            yield f"  {'':<{_NAME}}{'span':>6}" + "".join(f"{cell:>10}" for cell in _CELLS)
            for method, span_s, s in self.scores(answers):
                yield f"  {method:<{_NAME}}{span_s:>4.0f} s" + _cells(s)
        yield ""

    def _method_lines(self) -> Iterator[str]:
        yield "methods: MAE in bpm, 10 s | 20 s, of the highest peak within 72-240/min of the regions' mean; and ours"
        names = (*PEAKS, OURS_ALL, OURS_BEST)
        yield f"  {'':<28}" + "".join(f"{name.removesuffix(', peak'):>19}" for name in names)
        for data, answers in self.data.items():
            if self.windows(answers, OURS_ALL, SPANS_S[0]).judged.any():
                cells = (_maes(self._spans(answers, name)) for name in names)
                yield f"  {data:<28}" + "".join(f"{cell:>19}" for cell in cells)
        yield ""

    def _spans(self, answers: Sequence[Answers], method: str) -> list[Score]:
        return [score(self.windows(answers, method, span_s)) for span_s in SPANS_S]

    def _recording_lines(self) -> Iterator[str]:
        yield "per recording: MAE in bpm, 10 s | 20 s; trusted with its coverage at 10 s"
        names = (OURS_ALL, OURS_TRUSTED, "coverage", *PEERS)
        yield f"  {'':<38}" + "".join(f"{name.removeprefix('ours, '):>18}" for name in names)
        for a in self.answers:
            if not a.windows[OURS_ALL, SPANS_S[0]].judged.any():
                continue
            cells = []
            for method in (OURS_ALL, OURS_TRUSTED, *PEERS):
                parts = [score(a.windows[method, span_s]) for span_s in SPANS_S]
                cells.append(_maes(parts))
                if method == OURS_TRUSTED:
                    cells.append(f"{parts[0].coverage:.0%} of {parts[0].windows}")
            yield f"  {a.data + ', ' + a.recording:<38}" + "".join(f"{cell:>18}" for cell in cells)
        yield ""

    def _calibration_lines(self) -> Iterator[str]:
        yield "quality against being right within 5 bpm (10 s, every estimate; where there is no pulse each is wrong)"
        for name, answers in self.data.items():
            rated = self._rated(answers)
            error, rows = calibration(rated)
            if rows:
                tenths = "  ".join(f"{edge:.1f}: {n} {right:.2f}" for edge, n, _, right in rows)
                sure, far = far_though_sure(self.windows(answers, OURS_TRUSTED, SPANS_S[0]))
                yield f"  {name:<28}ECE {error:.3f}; values at >= 0.8: {sure}, of them > 10 bpm off: {far}"
                yield f"  {'':<28}{tenths}"
        yield ""

    def _rated(self, answers: Sequence[Answers]) -> Windows:
        windows = self.windows(answers, OURS_ALL, SPANS_S[0])
        return windows.where(windows.quality > 0)

    def _risk_lines(self) -> Iterator[str]:
        yield "risk: MAE of the best windows by quality, by their share (10 s, every window)"
        yield f"  {'':<28}" + "".join(f"{share:>8.0%}" for share in COVERAGES) + f"{'area':>8}"
        for name, answers in self.data.items():
            windows = self.windows(answers, OURS_ALL, SPANS_S[0])
            if windows.judged.any():
                risks = "".join(f"{risk:>8.2f}" for risk in _risks(windows))
                yield f"  {name:<28}{risks}{risk_area(windows):>8.2f}"
        yield ""

    def _reason_lines(self) -> Iterator[str]:
        yield "windows told, or why there is no value"
        for name, answers in self.data.items():
            reasons = sum((a.reasons for a in answers), Counter[str]())
            yield f"  {name:<28}" + ", ".join(f"{reason} {n}" for reason, n in reasons.most_common())
        yield ""

    def metrics(self) -> tuple[Metric, ...]:
        """Everything as named figures; what cannot be told of a set is left out."""
        rows = []
        groups = {**self.data, **{f"{a.data}, {a.recording}": (a,) for a in self.answers}}
        for name, answers in groups.items():
            for method, span_s, s in self.scores(answers):
                where = f"{method}, {span_s:.0f} s"
                figures = zip(_CELLS, _figures(s), strict=True)
                rows += [Metric(name=n, data=name, condition=where, value=v) for n, v in figures if math.isfinite(v)]
        for name, answers in self.data.items():
            rows += self._quality_metrics(name, answers)
            rows += self._method_metrics(name, answers)
        told = [(g.name, g.wanted, g.measured) for g in goals(self.answers) if g.measured is not None]
        rows += [Metric(name="goal", data=name, condition=wanted, value=value) for name, wanted, value in told]
        return tuple(rows)

    def _method_metrics(self, name: str, answers: Sequence[Answers]) -> Iterator[Metric]:
        for method in PEAKS:
            for span_s, s in zip(SPANS_S, self._spans(answers, method), strict=True):
                if math.isfinite(s.mae):
                    yield Metric(name="MAE", data=name, condition=f"{method}, {span_s:.0f} s", value=s.mae)

    def _quality_metrics(self, name: str, answers: Sequence[Answers]) -> Iterator[Metric]:
        windows, told = (self.windows(answers, m, SPANS_S[0]) for m in (OURS_ALL, OURS_TRUSTED))
        error, tenths = calibration(self._rated(answers))
        if tenths:
            yield Metric(name="ECE", data=name, condition="every estimate, 10 s", value=error)
        for edge, count, _, right in tenths:
            yield Metric(name="share right", data=name, condition=f"quality {edge:.1f}, {count} windows", value=right)
        if windows.judged.any():
            yield Metric(name="risk-coverage area", data=name, condition="10 s", value=risk_area(windows))
            for share, risk in zip(COVERAGES, _risks(windows), strict=True):
                if math.isfinite(risk):
                    yield Metric(name="risk", data=name, condition=f"best {share:.0%}, 10 s", value=risk)
        if (~told.pulse).any():
            given = float((told.answered & ~told.pulse).sum() / (~told.pulse).sum())
            yield Metric(name="value without a pulse", data=name, condition="10 s", value=given)
        for reason, count in sum((a.reasons for a in answers), Counter[str]()).items():
            yield Metric(name="windows", data=name, condition=f"reason: {reason}", value=count)


def _header() -> Iterator[str]:
    yield (
        f"heart rate: {heart_rate.MODEL}, trusted from quality {heart_rate.MIN_QUALITY}; "
        "causal, one window a second, windows pooled"
    )
    yield "no weight of ours is fitted on recordings (the quality's are, on made traces of other seeds),"
    yield "so every recording is left out of the fit; ours chooses its window itself, and is judged by the mean truth"
    yield "of the last 10 and 20 s; in 'every window' the newest estimate stands where there is none (coverage: from"
    yield f"the first on); 'best 60 %': the {BEST_SHARE:.0%} of the windows with the highest quality"
    yield ""


def _maes(parts: Sequence[Score]) -> str:
    return " | ".join(f"{s.mae:.2f}" if math.isfinite(s.mae) else "-" for s in parts)


def _figures(s: Score) -> tuple[float, ...]:
    return s.windows, s.coverage, s.mae, s.rmse, s.mape, s.pearson, s.within_5


def _cells(s: Score) -> str:
    windows, coverage, *errors, within = _figures(s)
    cells = [f"{windows:.0f}", f"{coverage:.0%}", *(f"{e:.2f}" for e in errors), f"{within:.0%}"]
    return "".join(f"{cell if cell not in ('nan', 'nan%') else '-':>10}" for cell in cells)


def _risks(windows: Windows) -> list[float]:
    """The risk at each of COVERAGES; NaN where fewer windows have an answer."""
    coverage, risk = risk_coverage(windows)
    places = [round(share * int(windows.judged.sum())) - 1 for share in COVERAGES]
    return [float(risk[i]) if 0 <= i < len(coverage) else math.nan for i in places]
