"""Figures of merit from scores and truths, as pure functions."""

from __future__ import annotations

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


def temperature(logits: ArrayLike, truth: ArrayLike) -> float:
    """The temperature that minimises the negative log-likelihood of sigmoid(logit / T), 0.1..10."""
    logit, positive = np.asarray(logits, np.float64), np.asarray(truth, bool)
    signed = np.where(positive, -logit, logit)
    grid: NDArray[np.float64] = np.geomspace(0.1, 10, 401)
    loss = [np.logaddexp(0, signed / t).mean() for t in grid]
    return float(grid[int(np.argmin(loss))])
