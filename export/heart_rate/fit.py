"""`fit-heart-rate`: the weights of the quality, fitted on made traces alone, of seeds that nothing else uses."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import astuple, dataclass, fields, replace

import numpy as np

from edgemon.observations.heart_rate import HeartRateObserver
from edgemon.rppg import Signs
from export.heart_rate.made import Recipe, crying, made
from export.heart_rate.traces import Array, Recording

RIGHT_BPM = 5.0
NO_PULSE_WEIGHT = 8.0  # a rate that is told of a photograph is worse than one that is not told of an infant
TRACE = 200  # samples that the observer is handed, more than it looks back
FIRST_SEED = 9000


@dataclass(frozen=True, slots=True, eq=False)
class Looks:
    """Signs (N, S) of estimates, whether each is right within 5 bpm, and how much it counts; kinds of trace."""

    signs: Array
    right: Array
    weight: Array
    kinds: tuple[str, ...]


def traces(seed: int) -> Iterator[Recording]:
    """One of each kind: pulses faint to strong, still to shaken; crying; lamps and steps of the exposure; no pulse."""
    rng = np.random.default_rng([seed, 77])
    low, high = np.log(3e-4), np.log(5e-3)

    def recipe(pulse: bool) -> Recipe:
        amplitude = float(np.exp(rng.uniform(low, high))) if pulse else 0.0
        motion, drop = float(rng.choice([0, 0.01, 0.02, 0.04])), float(rng.choice([0, 0.02]))
        return Recipe(amplitude, float(rng.uniform(0.03, 0.2)), motion, drop)

    for part in range(5):
        yield made(seed * 100 + part, "pulse", recipe(True))
    yield made(seed * 100 + 10, "no pulse", recipe(False))
    yield made(seed * 100 + 11, "pulse in one region", replace(recipe(True), regions=1))
    yield made(seed * 100 + 12, "no pulse in one region", replace(recipe(False), regions=1))
    yield _under_a_lamp(rng, made(seed * 100 + 13, "pulse under a lamp", recipe(True)))
    yield _under_a_lamp(rng, made(seed * 100 + 14, "no pulse under a lamp", replace(recipe(False), motion=0.0)))
    for part in range(2):
        yield Recording(f"crying {seed} {part}", f"seed {seed}", "crying", "made", *crying(seed * 100 + part))


def _under_a_lamp(rng: np.random.Generator, recording: Recording) -> Recording:
    """Light that swings at a rate of the band, and steps of the exposure and the white balance."""
    t_s = recording.t_s
    swing = 1 + rng.uniform(0.002, 0.01) * np.sin(2 * np.pi * rng.uniform(1.3, 3.8) * t_s + rng.uniform(0, 6))
    gains = np.ones((len(t_s), 1, 3))
    for _ in range(4):
        colour = rng.normal(0, 0.02, 3) if rng.random() < 0.5 else np.zeros(3)
        gains[t_s > rng.uniform(5, 85)] *= np.exp(rng.normal(0, 0.04) + colour)
    return replace(recording, rgb=recording.rgb * swing[:, None, None] * gains)


def looks(seeds: range) -> Looks:
    """Every estimate, one a second, of every trace."""
    rows: list[tuple[str, tuple[float, ...], bool, float]] = []
    for seed in seeds:
        for recording in traces(seed):
            weight = NO_PULSE_WEIGHT if recording.bpm is None else 1.0
            rows += [(recording.data, s, right, weight) for s, right in _estimates(recording)]
    kinds, signs, right, weights = zip(*rows, strict=True)
    return Looks(np.array(signs), np.array(right, float), np.array(weights), tuple(kinds))


def _estimates(recording: Recording) -> Iterator[tuple[tuple[float, ...], bool]]:
    observer, samples = HeartRateObserver("cot-1"), list(recording.samples())
    for now_s in np.arange(recording.t_s[0] + 1, recording.t_s[-1]):
        stop = int(np.searchsorted(recording.t_s, now_s, side="right"))
        observer.observe(samples[max(0, stop - TRACE) : stop], float(now_s))
        if observer.signs is not None and observer.estimate is not None:
            truth = np.nan if recording.bpm is None else recording.mean_bpm(float(now_s), 10.0)
            yield astuple(observer.signs), bool(abs(observer.estimate[0] - truth) <= RIGHT_BPM)


def fit(data: Looks, ridge: float = 0.3) -> tuple[float, Array]:
    """Offset and weights (S,) by logistic regression on standardised signs (Newton's method)."""
    mean, spread = data.signs.mean(axis=0), data.signs.std(axis=0) + 1e-9
    x = np.column_stack([np.ones(len(data.signs)), (data.signs - mean) / spread])
    b = np.zeros(x.shape[1])
    for _ in range(60):
        p = 1 / (1 + np.exp(-x @ b))
        inner = x.T @ (x * (data.weight * p * (1 - p))[:, None]) + ridge * np.eye(len(b))
        b = b + np.linalg.solve(inner, x.T @ (data.weight * (data.right - p)) - ridge * b)
    weights = b[1:] / spread
    return float(b[0] - weights @ mean), weights


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `fit-heart-rate`."""
    parser.add_argument("--seeds", type=int, default=12, help="traces of each kind")


def run(args: argparse.Namespace) -> int:
    """Print the constants of edgemon/rppg/quality.py, and what they tell of other seeds."""
    offset, weights = fit(looks(range(FIRST_SEED, FIRST_SEED + args.seeds)))
    print(f"OFFSET = {offset:.2f}")
    print(f"WEIGHTS = ({', '.join(f'{w:.2f}' for w in weights)})  # {', '.join(f.name for f in fields(Signs))}")
    other = looks(range(FIRST_SEED + 500, FIRST_SEED + 500 + max(1, args.seeds // 3)))
    quality = 1 / (1 + np.exp(-(other.signs @ weights + offset)))
    print(f"{'of other seeds':<26}{'windows':>8}{'at .75 and up':>15}{'right of these':>16}")
    for kind in dict.fromkeys(other.kinds):
        of = np.array([k == kind for k in other.kinds])
        kept = of & (quality >= 0.75)
        share = f"{other.right[kept].mean():.1%}" if kept.any() else "-"
        print(f"{kind:<26}{of.sum():>8}{(quality[of] >= 0.75).mean():>15.1%}{share:>16}")
    return 0
