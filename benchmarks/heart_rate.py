"""Heart rate from colour traces: error, coverage and time of the observer, on made traces and on recorded ones.

`python benchmarks/heart_rate.py [--data ../shared/data/pulse_rhesus] [--json FILE]`. Made traces say what
the mathematics can do, not what a camera at a cot will see; recorded ones are monkeys with a newborn's heart rate.
"""

from __future__ import annotations

import argparse
import json
import math
import platform
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, astuple, dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgemon.observations.heart_rate import WINDOW_S, HeartRateObserver
from edgemon.records import HeartRate, SkinSample

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))  # the tests' made traces
from pulses import crying

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Recording:
    """A trace (N, R, 3) at times (N,) and its true rate; None where there is no pulse at all."""

    name: str
    t_s: Array
    rgb: Array
    bpm: Array | None

    @property
    def samples(self) -> list[SkinSample]:
        pairs = zip(self.t_s, self.rgb, strict=True)
        return [SkinSample(float(t), i, 1, rgb.astype(np.float32)) for i, (t, rgb) in enumerate(pairs)]


@dataclass(frozen=True)
class Estimate:
    """One window: the error of its answer at any quality (infinite without a pulse), and whether it was told."""

    error_bpm: float
    trusted: bool
    quality: float
    spent_s: float
    evidence: tuple[float, ...] = ()


@dataclass(frozen=True)
class Score:
    """All answers at any quality, and those that the observer stands by."""

    name: str
    windows: int
    mae_forced_bpm: float | None
    mae_bpm: float | None
    within_4_bpm: float | None
    coverage: float
    estimate_ms: float


class Recipe(NamedTuple):
    """Amplitude of the pulse and of motion as shares of the light, noise in levels, share of frames dropped."""

    amplitude: float
    noise: float
    motion: float
    drop: float = 0.0


def made(seed: int, name: str, how: Recipe) -> Recording:
    """90 s at about 30 fps of three regions: a pulse with variability, common motion, drift and sensor noise."""
    amplitude, noise, motion, drop = how
    rng = np.random.default_rng(seed)
    t_s = np.cumsum(np.maximum(1 / 30 + rng.normal(0, 0.003, 2700), 0.004))
    t_s = t_s[rng.random(len(t_s)) >= drop]
    n = len(t_s)
    wander = np.cumsum(rng.normal(0, 1, n)) * 0.08
    bpm = np.clip(rng.uniform(95, 215) + wander - wander.mean(), 88, 225)
    phase = 2 * np.pi * np.cumsum(bpm / 60 * np.gradient(t_s))
    beat = -(np.cos(phase) + 0.35 * np.cos(2 * phase + 1.0)) * (1 + 0.2 * np.sin(2 * np.pi * 0.7 * t_s))
    skin = np.array([rng.uniform(90, 200), rng.uniform(60, 140), rng.uniform(45, 120)])
    shade = 1 + 0.05 * np.sin(2 * np.pi * t_s / rng.uniform(20, 60))
    bouts = np.repeat(rng.random(n // 60 + 1) < 0.3, 60)[:n]
    walk = np.convolve(np.cumsum(rng.normal(0, 1, n)) - np.linspace(0, 1, n), np.ones(5) / 5, "same")
    shake = motion * bouts * np.tanh((walk - np.convolve(walk, np.ones(31) / 31, "same")) / 2)
    rgb = np.empty((n, 3, 3))
    for region in range(3):
        pulse = amplitude * rng.uniform(0.6, 1.2) * beat[:, None] * np.array([0.33, 0.77, 0.53])
        glare = rng.uniform(0.3, 1.0) * shake[:, None] * (1 + rng.normal(0, 0.05, 3))
        rgb[:, region] = skin * (shade[:, None] + pulse + glare) + rng.normal(0, noise, (n, 3))
    return Recording(name, t_s, rgb, bpm if amplitude > 0 else None)


MADE = {
    "made: still": Recipe(0.004, 0.06, 0.005),
    "made: noisy": Recipe(0.003, 0.15, 0.005, 0.02),
    "made: moving": Recipe(0.004, 0.06, 0.03, 0.02),
    "made: faint": Recipe(0.001, 0.15, 0.01),
    "made: fainter": Recipe(0.0005, 0.12, 0.01),
    "made: photograph, still": Recipe(0.0, 0.06, 0.0),
    "made: photograph, moving": Recipe(0.0, 0.06, 0.03),
}


def every(seeds: range) -> dict[str, list[Estimate]]:
    """Windows of all made traces, one trace of each kind per seed, two of crying."""
    found = {name: [e for s in seeds for e in estimates(made(s, name, how))] for name, how in MADE.items()}
    cries = [Recording("made: crying", *crying(s)) for s in range(2 * seeds.start, 2 * seeds.stop)]
    return found | {"made: crying": [e for recording in cries for e in estimates(recording)]}


def fit(found: dict[str, list[Estimate]]) -> Array:
    """Offset and weights of belief, agreement and steadiness: logistic regression, photographs counted four times."""
    kept = [(e, 4.0 if "photograph" in name else 1.0) for name, of in found.items() for e in of if e.evidence]
    x = np.array([(1.0, *e.evidence) for e, _ in kept])
    right, weight = np.array([e.error_bpm <= 5 for e, _ in kept]), np.array([w for _, w in kept])
    b = np.zeros(x.shape[1])
    for _ in range(50):
        p = 1 / (1 + np.exp(-x @ b))
        b += np.linalg.solve(x.T @ (x * (weight * p * (1 - p))[:, None]) + 0.01 * np.eye(len(b)),
                             x.T @ (weight * (right - p)) - 0.01 * b)  # fmt: skip
    return np.asarray(b)


def recorded(folder: Path) -> Iterator[Recording]:
    """Sessions in the layout of pulse_rhesus: float32 RGB means and a mean rate per 5 or 8.5 s."""
    rates = {"Session1": (30, 8.5), "Session2": (30, 8.5), "Session4": (100, 5.0), "Session5": (50, 5.0)}
    for name, (fs_hz, segment_s) in rates.items():
        parts = sorted((folder / name).glob("*Region?.bin")) or [folder / name / f"{name}.bin"]
        rgb = np.stack([np.fromfile(p, "<f4").reshape(-1, 3) for p in parts], axis=1).astype(np.float64)
        steps = np.array([float(v) for v in (folder / name / f"{name}_REF.csv").read_text().split(",")])
        t_s = np.arange(len(rgb)) / fs_hz
        bpm = steps[np.minimum((t_s / segment_s).astype(int), len(steps) - 1)]
        yield Recording(f"recorded: {name}", t_s, rgb, bpm)


def estimates(recording: Recording) -> Iterator[Estimate]:
    """One window a second, by an observer that has seen only what came before."""
    samples, strict, forced = recording.samples, HeartRateObserver("cot-1"), HeartRateObserver("cot-1", 0.0)
    for now_s in np.arange(WINDOW_S, recording.t_s[-1]):
        stop = int(np.searchsorted(recording.t_s, now_s, side="right"))
        trace = samples[max(0, stop - 1500) : stop]
        began_s = time.perf_counter()
        seen = strict.observe(trace, float(now_s))
        spent_s = time.perf_counter() - began_s
        guess = forced.observe(trace, float(now_s)).value
        evidence = astuple(strict.evidence) if strict.evidence else ()
        error = _error(recording, guess, float(now_s))
        yield Estimate(error, seen.value is not None, seen.quality, spent_s, evidence)


def _error(recording: Recording, guess: object, now_s: float) -> float:
    if recording.bpm is None or not isinstance(guess, HeartRate):
        return math.inf
    inside = (recording.t_s > now_s - guess.window_s) & (recording.t_s <= now_s)
    return abs(guess.bpm - float(recording.bpm[inside].mean()))


def score(name: str, of: list[Estimate]) -> Score:
    """The figures of one kind of data."""
    error, kept = np.array([e.error_bpm for e in of]), np.array([e.trusted for e in of])
    known = np.isfinite(error)
    return Score(
        name, len(of), _mean(error[known]), _mean(error[known & kept]), _mean(error[known & kept] <= 4),
        float(kept.mean()), 1e3 * float(np.mean([e.spent_s for e in of])),
    )  # fmt: skip


def calibration(of: list[Estimate]) -> list[tuple[float, int, float]]:
    """Of windows in each tenth of quality: its lower edge, how many, and the share that is right within 5 bpm."""
    tenth = np.array([min(9, int(10 * e.quality)) for e in of])
    right = np.array([e.error_bpm <= 5 for e in of])
    return [(k / 10, int((tenth == k).sum()), float(right[tenth == k].mean())) for k in range(10) if (tenth == k).any()]


def _mean(values: NDArray[np.generic]) -> float | None:
    return float(values.mean()) if values.size else None


def main() -> None:
    """Print the table; write it as JSON when asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data/pulse_rhesus"))
    parser.add_argument("--json", type=Path)
    parser.add_argument("--fit", action="store_true", help="fit the quality on other made traces than those reported")
    args = parser.parse_args()
    if args.fit:
        print("offset, belief, agreement, steadiness:", fit(every(range(100, 106))).round(2))
        return
    found = every(range(6))
    if args.data.is_dir():
        found |= {recording.name: list(estimates(recording)) for recording in recorded(args.data)}
    scores = [score(name, of) for name, of in found.items()]
    tenths = calibration([e for of in found.values() for e in of])
    print(f"{'data':26} {'windows':>7} {'MAE any q':>10} {'MAE':>6} {'<= 4 bpm':>8} {'coverage':>8} {'ms':>6}")
    for s in scores:
        cells = [f"{v:.2f}" if v is not None else "-" for v in (s.mae_forced_bpm, s.mae_bpm, s.within_4_bpm)]
        errors = f"{cells[0]:>10} {cells[1]:>6} {cells[2]:>8}"
        print(f"{s.name:26} {s.windows:7} {errors} {s.coverage:8.2f} {s.estimate_ms:6.2f}")
    print("quality, windows, right within 5 bpm:", "  ".join(f"{q:.1f} {n} {r:.2f}" for q, n, r in tenths))
    if args.json:
        text = {"machine": platform.platform(), "scores": [asdict(s) for s in scores], "calibration": tenths}
        args.json.write_text(json.dumps(text, indent=1))


if __name__ == "__main__":
    main()
