"""How well breaths are counted on clips of infants that nothing was tuned on, and whether the lifeless get a count."""

from __future__ import annotations

import json
import zipfile
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from edgemon.manifest import Metric
from edgemon.records import Reason
from export.respiration.breathing import FASTEST, SLOWEST
from export.respiration.cells import FINE, SIZE
from export.respiration.estimate import WINDOW_S, Signs, look, tell

Array = NDArray[np.float64]

HOP_S: Final = 2.0
NEAR: Final = 5.0
MAX_MAE, MIN_COVERAGE = 3.0, 0.5  # what a second vital must reach, with no value for the lifeless
GUESS: Final = float(np.sqrt(SLOWEST * FASTEST))  # of one who looks at nothing
_TRAITS: Final = ("motion", "light", "cover", "style")


@dataclass(frozen=True, slots=True)
class Clip:
    """Times (N,), cells (N, rows, columns), landmarks (N, 5, 2) in cells, breaths (N,) and pauses (N,); its truth."""

    truth: dict[str, object]
    t_s: Array
    cells: NDArray[np.float32]
    landmarks: NDArray[np.float32]
    breaths: Array
    pausing: NDArray[np.bool_]

    @property
    def alive(self) -> bool:
        """Whether there are breaths."""
        return bool(self.truth["respiration"])

    def rate(self, begin_s: float, end_s: float) -> float:
        """Breaths a minute within a span, but for its pauses; NaN where there are none."""
        inside = (self.t_s >= begin_s) & (self.t_s <= end_s)
        steps_s, going = np.diff(self.t_s[inside]), ~self.pausing[inside][1:]
        taken = self.breaths[inside]
        return float(60 * (taken[-1] - taken[0]) / steps_s[going].sum()) if self.alive and going.any() else float("nan")


def clips(folder: Path) -> Iterator[Clip]:
    """What `python -m export breaths` wrote.

    Raises:
        ValueError: there is none, or something in it is malformed.
    """
    rows = folder / "truth.jsonl"
    if not rows.is_file():
        raise ValueError(f"{rows}: no such file; `python -m export breaths` writes it")
    for number, line in enumerate(rows.read_text(encoding="utf-8").splitlines(), 1):
        try:
            truth = json.loads(line)
            with np.load(folder / f"{truth['name']}.npz") as file:
                cells = file["cells"].astype(np.float32) / FINE
                landmarks = file["landmarks"] * np.float32(cells.shape[2] / SIZE[0])
                yield Clip(truth, file["t_s"], cells, landmarks, file["breaths"], file["pausing"])
        except (KeyError, OSError, ValueError, zipfile.BadZipFile) as error:
            raise ValueError(f"{rows}:{number}: {error}") from error


@dataclass(frozen=True, slots=True)
class Answer:
    """Of one window: what it shows, the true rate (NaN: none), what was told (NaN: nothing), why not, and its signs."""

    truth: dict[str, object]
    true: float
    told: float
    reason: Reason | None
    signs: Signs | None


def answers(clip: Clip) -> Iterator[Answer]:
    """Windows of WINDOW_S, one every HOP_S, each looked at alone."""
    for end_s in np.arange(clip.t_s[0] + WINDOW_S, clip.t_s[-1] + 0.05, HOP_S):
        inside = (clip.t_s > end_s - WINDOW_S - 0.2) & (clip.t_s <= end_s + 0.05)
        signs = look(clip.t_s[inside], clip.cells[inside], clip.landmarks[inside])
        said = signs if isinstance(signs, Reason) else tell(signs)
        told, reason = (float("nan"), said) if isinstance(said, Reason) else (said, None)
        seen = None if isinstance(signs, Reason) else signs
        yield Answer(clip.truth, clip.rate(end_s - WINDOW_S, end_s), told, reason, seen)


@dataclass(frozen=True)
class Score:
    """Of windows with breaths: how many, the share told, and of these the errors per minute."""

    windows: int
    coverage: float
    mae: float
    near: float

    @classmethod
    def of(cls, some: Iterable[Answer]) -> Score:
        """Score the answers of infants."""
        rows = [a for a in some if np.isfinite(a.true)]
        errors = np.array([abs(a.told - a.true) for a in rows if np.isfinite(a.told)])
        if not len(errors):
            return cls(len(rows), 0.0, float("nan"), float("nan"))
        return cls(len(rows), len(errors) / len(rows), float(errors.mean()), float((errors <= NEAR).mean()))


@dataclass(frozen=True)
class RespirationReport:
    """Every window's answer, and what follows."""

    data: str
    answers: tuple[Answer, ...]

    @cached_property
    def infants(self) -> tuple[Answer, ...]:
        """Windows with breaths."""
        return tuple(a for a in self.answers if a.truth["respiration"])

    @cached_property
    def false(self) -> dict[str, tuple[int, int]]:
        """By kind of what does not breathe: windows with a value, and all."""
        rest = [a for a in self.answers if not a.truth["respiration"]]
        kinds = Counter(str(a.truth["kind"]) for a in rest)
        told = Counter(str(a.truth["kind"]) for a in rest if np.isfinite(a.told))
        return {kind: (told[kind], count) for kind, count in kinds.items()}

    def scores(self) -> Iterator[tuple[str, Score]]:
        """All infants, then by each trait."""
        yield "all infants", Score.of(self.infants)
        for trait in _TRAITS:
            for value in sorted({str(a.truth[trait]) for a in self.infants}):
                yield f"{trait} {value}", Score.of(a for a in self.infants if a.truth[trait] == value)

    @property
    def guessed(self) -> float:
        """Mean error of one who always says GUESS."""
        return float(np.mean([abs(a.true - GUESS) for a in self.infants if np.isfinite(a.true)]))

    @property
    def shown(self) -> bool:
        """Whether it may be told as a vital."""
        score = Score.of(self.infants)
        silent = all(told == 0 for told, _ in self.false.values())
        return score.mae <= MAX_MAE and score.coverage >= MIN_COVERAGE and silent and bool(self.false)

    def metrics(self) -> list[Metric]:
        """The figures by condition."""
        out = []
        for condition, score in self.scores():
            cells = {"windows": score.windows, "coverage": score.coverage, "MAE /min": score.mae}
            out += [
                Metric(name=name, data=self.data, condition=condition, value=round(value, 4))
                for name, value in (cells | {"within 5/min": score.near}).items()
                if np.isfinite(value)
            ]
        for kind, (told, count) in self.false.items():
            out.append(Metric(name="told", data=self.data, condition=f"{kind}, of {count}", value=told))
        return out

    def lines(self) -> Iterator[str]:
        """The table."""
        clips = len({a.truth["name"] for a in self.answers})
        yield f"respiration, {self.data}: {clips} clips, windows of {WINDOW_S:.0f} s every {HOP_S:.0f} s"
        yield f"{'':22}{'windows':>8}{'told':>8}{'MAE /min':>10}{'<= 5/min':>10}"
        for name, score in self.scores():
            yield f"{name:22}{score.windows:8}{score.coverage:8.0%}{score.mae:10.2f}{score.near:10.0%}"
        yield f"always {GUESS:.0f} a minute has an MAE of {self.guessed:.1f}"
        for kind, (told, count) in sorted(self.false.items()):
            yield f"{kind}, without breaths: {told} of {count} windows were told a rate"
        reasons = Counter(str(a.reason) for a in self.infants if a.reason)
        yield "infants without a rate: " + (", ".join(f"{why} {n}" for why, n in reasons.most_common()) or "none")
        yield f"wanted: MAE <= {MAX_MAE:g} at {MIN_COVERAGE:.0%} told, nothing told of the lifeless: " + (
            "shown" if self.shown else "NOT shown"
        )


def evaluate_respiration(folder: Path) -> RespirationReport:
    """Every clip of a folder.

    Raises:
        ValueError: there is no clip, or one is malformed.
    """
    found = tuple(answer for clip in clips(folder) for answer in answers(clip))
    if not found:
        raise ValueError(f"{folder}: no clip there is as long as a window of {WINDOW_S:g} s")
    return RespirationReport(folder.name, found)
