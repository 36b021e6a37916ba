"""False changes, delays, bouts and sleep of whole simulated days: `python -m export evaluate nights`."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from edgemon.manifest import Metric
from edgemon.records import Cry, Expression, Eyes, Observation, Reason, Sleep
from edgemon.states import EXPRESSION, StateEstimator, StateSettings
from export.nights import scores
from export.nights.filters import UNKNOWN, Chained, Filter, Mean, Values
from export.nights.noise import Floats
from export.nights.said import LEVELS, Said, say
from export.nights.story import HZ, Day, Flags, Hidden, tell

TUNED_ON = range(1, 8)  # seeds of the days that the filters were chosen on
FIRST_SEED = 101
EPOCH = 30 * HZ
GOAL_FALSE, GOAL_DELAY_S = 2.0, 3.0
SHIPPED = "chain (edgemon)"
CONTESTANTS: Mapping[str, Mapping[str, Filter]] = {
    "cry": {
        "each look alone": Mean(0.0, 0.501, 0.5, 0.0, 0.0),
        "mean of 1 s, dwell 1 s": Mean(1.0, 0.7, 0.4, 1.0, 1.0),
        "mean of 0.5 s, dwells 2 and 5 s": Mean(0.5, 0.8, 0.3, 2.0, 5.0),
        SHIPPED: Chained(StateSettings().cry),
    },
    "eyes": {
        "each look alone": Mean(0.0, 0.501, 0.5, 0.0, 0.0),
        "mean of 1 s, dwell 0.5 s": Mean(1.0, 0.7, 0.4, 0.5, 0.5),
        "mean of 1 s, dwells 1.5 and 4 s": Mean(1.0, 0.7, 0.4, 1.5, 4.0),
        SHIPPED: Chained(StateSettings().eyes),
    },
}
_REASONS = {
    Hidden.NO_FACE: Reason.NO_FACE,
    Hidden.OCCLUDED: Reason.OCCLUDED,
    Hidden.DARK: Reason.DARK,
    Hidden.TURNED_AWAY: Reason.TURNED_AWAY,
}


@dataclass(slots=True)
class Tally:
    """One way's figures over days."""

    false: list[int] = field(default_factory=list)
    delays_s: list[float] = field(default_factory=list)
    missed: int = 0
    told: int = 0
    true: int = 0
    found: int = 0

    def add(self, values: Values, truth: Flags, seen: Flags) -> None:
        """Take in one day of a channel; bouts are compared where they were seen."""
        self.false.append(scores.false_changes(values, truth))
        onsets = scores.onsets(values, truth, seen)
        self.delays_s += onsets.delays_s
        self.missed += onsets.missed
        self.match(scores.merged((values == 1) & seen, scores.MERGE_S), scores.merged(truth & seen, scores.MERGE_S))

    def match(self, told: scores.Spans, true: scores.Spans) -> None:
        """Take in bouts."""
        self.told += len(told)
        self.true += len(true)
        self.found += scores.matches(told, true)

    def figures(self) -> dict[str, float]:
        """Means over days, quantiles over onsets; F1 of bouts at IoU 0.5."""
        p50, p90 = np.percentile(self.delays_s, [50, 90]) if self.delays_s else (np.nan, np.nan)
        return {
            "false changes a day": float(np.mean(self.false)),
            "worst day": float(max(self.false)),
            "delay p50 s": float(p50),
            "delay p90 s": float(p90),
            "missed": float(self.missed),
            "of onsets": float(self.missed + len(self.delays_s)),
            "bout F1": self.f1(),
        }

    def f1(self) -> float:
        """F1 of bouts that overlap by half of their union."""
        return 2 * self.found / max(1, self.told + self.true)


@dataclass(slots=True)
class SleepTally:
    """Sleep as the whole estimator tells it, in epochs."""

    told: list[Values] = field(default_factory=list)
    truth: list[Flags] = field(default_factory=list)
    bouts: Tally = field(default_factory=Tally)

    def add(self, told: Values, truth: Flags) -> None:
        """Take in the epochs of one day."""
        self.told.append(told)
        self.truth.append(truth)
        seen = told != UNKNOWN
        self.bouts.false.append(scores.false_changes(told, truth, hz=1 / 30, late_s=90.0, early_s=60.0))
        self.bouts.match(scores.merged(told == 1, 60.0, 1 / 30), scores.merged(truth & seen, 60.0, 1 / 30))

    def figures(self) -> dict[str, float]:
        """Kappa over known epochs; minutes asleep told of those that were true and seen."""
        told, truth = np.concatenate(self.told), np.concatenate(self.truth)
        known = told != UNKNOWN
        return {
            "false changes a day": float(np.mean(self.bouts.false)),
            "kappa": scores.kappa(told, truth),
            "epoch accuracy": float(((told == 1) == truth)[known].mean()),
            "coverage": float(known.mean()),
            "asleep h a day, told": float((told == 1).sum() / 120 / len(self.told)),
            "asleep h a day, true and seen": float((truth & known).sum() / 120 / len(self.told)),
            "bout F1": self.bouts.f1(),
        }


def believe(day: Day, said: Said) -> tuple[Values, Values, Values]:
    """Eyes closed and crying at every look, asleep in every epoch, as edgemon's estimator tells them."""
    estimator = StateEstimator("cot")
    eyes, cry = np.full(len(day.lids), UNKNOWN, np.int8), np.full(len(day.lids), UNKNOWN, np.int8)
    sleep = np.full(len(day.lids) // EPOCH, UNKNOWN, np.int8)
    rows = zip(said.eyes.tolist(), said.cry.tolist(), said.yawn.tolist(), day.hidden.tolist(), strict=True)
    for i, (closed, crying, yawning, hidden) in enumerate(rows):
        at_s = i / HZ
        reason = _REASONS.get(Hidden(hidden)) if hidden else None
        mouth = (None, None) if math.isnan(crying) else (crying, yawning)
        value = None if reason else Expression(closed, *mouth)
        estimator.observe(Observation("cot", EXPRESSION, at_s, value, reason, 0.0 if reason else 0.9, "night@1"))
        state = estimator.state(at_s)
        if state.eyes.value is not None:
            eyes[i] = state.eyes.value is Eyes.CLOSED
        if state.cry.value is not None:
            cry[i] = state.cry.value is Cry.CRYING
        if i and i % EPOCH == 0 and state.sleep.value is not None:
            sleep[i // EPOCH - 1] = state.sleep.value is Sleep.ASLEEP
    return eyes, cry, sleep


@dataclass(frozen=True)
class NightsReport:
    """Figures by level of noise, then channel, then way."""

    days: int
    seed: int
    figures: Mapping[str, Mapping[str, Mapping[str, Mapping[str, float]]]]

    def metrics(self) -> tuple[Metric, ...]:
        """Every figure that is a number."""
        data = f"{self.days} simulated days, seeds {self.seed} to {self.seed + self.days - 1}"
        return tuple(
            Metric(name=name, data=data, condition=f"{level}; {channel}; {way}", value=round(value, 4))
            for level, channels in self.figures.items()
            for channel, ways in channels.items()
            for way, row in ways.items()
            for name, value in row.items()
            if np.isfinite(value)
        )

    def lines(self) -> Iterator[str]:
        """The tables, and whether the goal is met."""
        yield f"{self.days} days at {HZ} Hz from seed {self.seed}; filters were chosen on seeds {[*TUNED_ON]}"
        for level, channels in self.figures.items():
            for channel, ways in channels.items():
                names = list(next(iter(ways.values())))
                yield f"{level}, {channel}"
                yield f"  {'':<34}" + "".join(f"{name:>{max(10, len(name) + 2)}}" for name in names)
                for way, row in ways.items():
                    yield f"  {way:<34}" + "".join(f"{row[name]:>{max(10, len(name) + 2)}.2f}" for name in names)
            row = channels["cry"][SHIPPED]
            false, delay_s = row["false changes a day"], row["delay p90 s"]
            met = "met" if false <= GOAL_FALSE and delay_s <= GOAL_DELAY_S else "not met"
            yield (
                f"{level}: {false:.2f} false changes of crying a day (goal {GOAL_FALSE:g}) at an onset delay of "
                f"{row['delay p50 s']:.2f} s at the median and {delay_s:.2f} s at p90 (goal {GOAL_DELAY_S:g}): {met}"
            )


def evaluate_nights(days: int, seed: int, hours: float = 24.0) -> NightsReport:
    """All ways on the same days.

    Raises:
        ValueError: no days, or days that the filters were chosen on.
    """
    if days < 1 or set(TUNED_ON) & set(range(seed, seed + days)):
        raise ValueError(f"evaluate nights: at least one day, and none of the seeds {[*TUNED_ON]} of the tuning")
    figures = {}
    for level, errors in LEVELS.items():
        tallies = {channel: {way: Tally() for way in ways} for channel, ways in CONTESTANTS.items()}
        sleep = SleepTally()
        for number in range(seed, seed + days):
            sys.stderr.write(f"{level}: day {number - seed + 1} of {days}\n")
            day = tell(number, hours)
            said = say(day, errors, number)
            closed, crying, asleep = believe(day, said)
            p = {"cry": cry_of(said), "eyes": said.eyes}
            for channel, values, truth in (("cry", crying, day.crying), ("eyes", closed, day.closed)):
                for way, tally in tallies[channel].items():
                    told = values if way == SHIPPED else CONTESTANTS[channel][way].follow(p[channel])
                    tally.add(told, truth, np.isfinite(p[channel]))
            sleep.add(asleep, day.asleep[: len(asleep) * EPOCH].reshape(-1, EPOCH).mean(axis=1) > 0.5)
        figures[level] = {
            **{channel: {way: t.figures() for way, t in ways.items()} for channel, ways in tallies.items()},
            "sleep in epochs of 30 s": {SHIPPED: sleep.figures()},
        }
    return NightsReport(days, seed, figures)


def cry_of(said: Said) -> Floats:
    """Crying with a likelier yawn held against it, as the estimator does."""
    return np.where(said.yawn > said.cry, np.minimum(said.cry, 1 - said.yawn), said.cry)
