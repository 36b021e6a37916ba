"""Figures of merit from scores and truths, as pure functions."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from contextlib import suppress

import numpy as np
from numpy.typing import ArrayLike, NDArray

FALSE_FRAMES = 0.02  # the share of face-free frames that may fire in the protocol of the benchmark


def auc(scores: ArrayLike, truth: ArrayLike) -> float:
    """Area under the ROC curve: the chance that a positive scores above a negative, ties counting half.

    Raises:
        ValueError: one of the classes is absent.
    """
    score, positive = np.asarray(scores, np.float64), np.asarray(truth, bool)
    count = int(positive.sum())
    if count in (0, positive.size):
        raise ValueError("AUC needs positives and negatives")
    _, inverse, counts = np.unique(score, return_inverse=True, return_counts=True)
    mean_rank = np.cumsum(counts) - (counts - 1) / 2
    ranks = mean_rank[inverse]
    return float((ranks[positive].sum() - count * (count + 1) / 2) / (count * (positive.size - count)))


def accuracy(scores: ArrayLike, truth: ArrayLike, threshold: float = 0.5) -> float:
    """Share of right decisions when a score that reaches the threshold counts as positive."""
    return float(np.mean((np.asarray(scores, np.float64) >= threshold) == np.asarray(truth, bool)))


def balanced_accuracy(scores: ArrayLike, truth: ArrayLike, threshold: float = 0.5) -> float:
    """Mean of sensitivity and specificity.

    Raises:
        ValueError: one of the classes is absent.
    """
    called, positive = np.asarray(scores, np.float64) >= threshold, np.asarray(truth, bool)
    if positive.all() or not positive.any():
        raise ValueError("balanced accuracy needs positives and negatives")
    return float((called[positive].mean() + (~called[~positive]).mean()) / 2)


def f1(scores: ArrayLike, truth: ArrayLike, threshold: float = 0.5) -> float:
    """Harmonic mean of precision and sensitivity.

    Raises:
        ValueError: nothing is positive, neither in truth nor as called.
    """
    called, positive = np.asarray(scores, np.float64) >= threshold, np.asarray(truth, bool)
    count = int(called.sum() + positive.sum())
    if not count:
        raise ValueError("F1 needs positives")
    return float(2 * (called & positive).sum() / count)


def kappa(scores: ArrayLike, truth: ArrayLike, threshold: float = 0.5) -> float:
    """Cohen's kappa: agreement beyond what the shares of both classes alone would give.

    Raises:
        ValueError: all are of one class, in truth and as called, so that chance alone agrees wholly.
    """
    called, positive = np.asarray(scores, np.float64) >= threshold, np.asarray(truth, bool)
    a, b = float(called.mean()), float(positive.mean())
    chance = a * b + (1 - a) * (1 - b)
    if chance >= 1:
        raise ValueError("kappa needs positives and negatives")
    return float((np.mean(called == positive) - chance) / (1 - chance))


def calibration_error(scores: ArrayLike, truth: ArrayLike, bins: int = 10) -> float:
    """Expected calibration error (arXiv 1706.04599, eq. 3) over bins of equal width of the probability."""
    score, positive = np.asarray(scores, np.float64), np.asarray(truth, np.float64)
    place = np.minimum((score * bins).astype(int), bins - 1)
    gaps = np.bincount(place, score - positive, minlength=bins)
    return float(np.abs(gaps).sum() / score.size)


def threshold_at(false_scores: ArrayLike, share: float = FALSE_FRAMES) -> float:
    """The lowest threshold that at most this share of face-free frames reaches, each with its highest score.

    Raises:
        ValueError: there are no frames.
    """
    score = np.sort(np.asarray(false_scores, np.float64))[::-1]
    if not score.size:
        raise ValueError("a threshold at a rate of false frames needs face-free frames")
    allowed = int(share * score.size + 1e-9)
    return float(np.nextafter(score[allowed], np.inf)) if allowed < score.size else 0.0


def share_at(scores: ArrayLike, threshold: float) -> float:
    """Share of scores that reach the threshold: recall on faces, false frames on frames without one."""
    return float(np.mean(np.asarray(scores, np.float64) >= threshold))


def at_most(count: int, of: int, confidence: float = 0.95) -> float:
    """The largest share that `count` of `of` still allow: the one-sided bound of Clopper and Pearson, by bisection."""
    if count >= of:
        return 1.0
    low, high = count / of, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        fewer = sum(math.comb(of, k) * middle**k * (1 - middle) ** (of - k) for k in range(count + 1))
        low, high = (middle, high) if fewer > 1 - confidence else (low, middle)
    return high


def temperature(logits: ArrayLike, truth: ArrayLike) -> float:
    """The temperature that minimises the negative log-likelihood of sigmoid(logit / T), 0.1..10."""
    logit, positive = np.asarray(logits, np.float64), np.asarray(truth, bool)
    signed = np.where(positive, -logit, logit)
    grid: NDArray[np.float64] = np.geomspace(0.1, 10, 401)
    loss = [np.logaddexp(0, signed / t).mean() for t in grid]
    return float(grid[int(np.argmin(loss))])


Measure = Callable[[NDArray[np.float64], NDArray[np.float64]], float]


def intervals(
    measures: Mapping[str, Measure],
    scores: ArrayLike,
    truth: ArrayLike,
    groups: ArrayLike,
    *,
    replicates: int = 1000,
    share: float = 0.95,
    seed: int = 0,
) -> dict[str, tuple[float, float]]:
    """Percentile bootstrap over groups (Efron and Tibshirani 1993, chapter 13): infants are drawn, not pictures.

    Draws in which a measure is not defined are left out of it. NaN where there are fewer than two groups or fewer than
    half of the draws are left.
    """
    score, told = np.asarray(scores, np.float64), np.asarray(truth, np.float64)
    names, place = np.unique(np.asarray(groups), return_inverse=True)
    members = np.split(np.argsort(place, kind="stable"), np.cumsum(np.bincount(place))[:-1])
    values: dict[str, list[float]] = {name: [] for name in measures}
    rng = np.random.default_rng(seed)
    for _ in range(replicates if len(names) > 1 else 0):
        drawn = np.concatenate([members[n] for n in rng.integers(0, len(names), len(names))])
        for name, measure in measures.items():
            with suppress(ValueError):
                values[name].append(measure(score[drawn], told[drawn]))
    tail = (1 - share) / 2
    spans = {name: np.quantile(v, (tail, 1 - tail)) for name, v in values.items() if len(v) >= max(1, replicates // 2)}
    return {
        name: (float(spans[name][0]), float(spans[name][1])) if name in spans else (np.nan, np.nan) for name in values
    }
