"""The fitted classifiers as torch modules of the same parameters, so that one ONNX graph holds the whole pipeline.

Everything is in double precision, as in scikit-learn; the classifiers' own converters would need operators outside
ONNX's standard domain and know neither RELIEF-F nor the fusion.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from sklearn.ensemble import RandomForestClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.svm import SVC
from torch import Tensor, nn

from export.pain import classifiers


def _double(values: ArrayLike) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(np.asarray(values, np.float64)))


class _Head(nn.Module):
    def keep(self, **values: Tensor) -> None:
        """Parameters that never learn."""
        for name, value in values.items():
            self.register_buffer(name, value)

    def the(self, name: str) -> Tensor:
        """One of them."""
        return self.get_buffer(name)


class NaiveBayes(_Head):
    """Gaussian: log-odds of the joint likelihoods."""

    def __init__(self, fitted: GaussianNB) -> None:
        super().__init__()
        base = np.log(fitted.class_prior_) - 0.5 * np.log(2 * np.pi * fitted.var_).sum(axis=1)
        self.keep(mean=_double(fitted.theta_), variance=_double(fitted.var_), base=_double(base))

    def forward(self, x: Tensor) -> Tensor:
        """(1, D) to (1,)."""
        joint = self.the("base") - 0.5 * ((x - self.the("mean")) ** 2 / self.the("variance")).sum(dim=1)
        return joint[1:2] - joint[0:1]


class Neighbours(_Head):
    """k-NN: smoothed log-odds of the nearest faces' votes."""

    def __init__(self, fitted: KNeighborsClassifier) -> None:
        super().__init__()
        self.count = fitted.n_neighbors
        self.keep(faces=_double(fitted._fit_X), votes=_double(fitted._y))

    def forward(self, x: Tensor) -> Tensor:
        """(1, D) to (1,)."""
        near = torch.topk(((self.the("faces") - x) ** 2).sum(dim=1), self.count, largest=False).indices
        return _odds(self.the("votes")[near].sum(dim=0, keepdim=True), self.count)


class Machine(_Head):
    """SVM with a radial kernel: distance from the boundary."""

    def __init__(self, fitted: SVC) -> None:
        super().__init__()
        self.gamma, self.bias = float(fitted._gamma), float(fitted.intercept_[0])
        self.keep(faces=_double(fitted.support_vectors_), weights=_double(fitted.dual_coef_[0]))

    def forward(self, x: Tensor) -> Tensor:
        """(1, D) to (1,)."""
        kernel = torch.exp(-self.gamma * ((self.the("faces") - x) ** 2).sum(dim=1))
        return (kernel * self.the("weights")).sum(dim=0, keepdim=True) + self.bias


class Forest(_Head):
    """Random forest: smoothed log-odds of the trees' mean; leaves lead to themselves."""

    def __init__(self, fitted: RandomForestClassifier) -> None:
        super().__init__()
        trees = [e.tree_ for e in fitted.estimators_]
        self.depth, self.trees = max(t.max_depth for t in trees), len(trees)
        starts = np.cumsum([0, *(t.node_count for t in trees[:-1])])
        leaf = np.concatenate([t.children_left < 0 for t in trees])
        here = np.arange(len(leaf))
        left, right = (
            np.where(leaf, here, np.concatenate([getattr(t, side) + s for t, s in zip(trees, starts, strict=True)]))
            for side in ("children_left", "children_right")
        )
        shares = np.concatenate([t.value[:, 0, 1] / t.value[:, 0].sum(axis=1) for t in trees])
        feature = np.where(leaf, 0, np.concatenate([t.feature for t in trees]))
        threshold = np.concatenate([t.threshold for t in trees])
        self.keep(starts=torch.from_numpy(starts), left=torch.from_numpy(left), right=torch.from_numpy(right))
        self.keep(feature=torch.from_numpy(feature), threshold=_double(threshold), shares=_double(shares))

    def forward(self, x: Tensor) -> Tensor:
        """(1, D) to (1,); scikit-learn's trees compare in single precision."""
        single, node = x[0].float().double(), self.the("starts")
        for _ in range(self.depth):
            goes_left = single[self.the("feature")[node]] <= self.the("threshold")[node]
            node = torch.where(goes_left, self.the("left")[node], self.the("right")[node])
        return _odds(self.the("shares")[node].sum(dim=0, keepdim=True), self.trees)


def _odds(votes: Tensor, count: int) -> Tensor:
    smooth = (votes + 1) / (count + 2)
    return torch.log(smooth / (1 - smooth))


HEADS: dict[type, Any] = {
    GaussianNB: NaiveBayes,
    KNeighborsClassifier: Neighbours,
    SVC: Machine,
    RandomForestClassifier: Forest,
}


class Branch(_Head):
    """Standardised, selected, classified."""

    def __init__(self, fitted: classifiers.Branch) -> None:
        super().__init__()
        chosen, scale = np.flatnonzero(fitted.chooser["select"].get_support()), fitted.chooser["scale"]
        self.keep(chosen=torch.from_numpy(chosen))
        self.keep(mean=_double(scale.mean_[chosen]), spread=_double(scale.scale_[chosen]))
        self.head: nn.Module = HEADS[type(fitted.classifier)](fitted.classifier)

    def forward(self, x: Tensor) -> Tensor:
        """Features of the branch's views (1, D) to its score (1,)."""
        x = x.double()[:, self.the("chosen")]
        return torch.as_tensor(self.head((x - self.the("mean")) / self.the("spread")))


class Decision(_Head):
    """`deep` (1, A) and `handcrafted` (1, B) to the probability of pain (1, 1)."""

    def __init__(self, fitted: classifiers.Fitted) -> None:
        super().__init__()
        self.views, self.bias = tuple(b.views for b in fitted.branches), fitted.bias
        self.branches = nn.ModuleList(Branch(b) for b in fitted.branches)
        self.keep(weights=_double(fitted.weights))

    def forward(self, *features: Tensor) -> Tensor:
        """The features of the views in use, in the order of `used`."""
        by_view = dict(zip(used(self.views), features, strict=True))
        scores = [
            b(torch.cat([by_view[view] for view in views], dim=1))
            for b, views in zip(self.branches, self.views, strict=True)
        ]
        logit = (torch.cat(scores) * self.the("weights")).sum(dim=0, keepdim=True) + self.bias
        return torch.sigmoid(logit).float().view(1, 1)


def used(views: tuple[tuple[str, ...], ...]) -> tuple[str, ...]:
    """Every view that a branch reads, once."""
    return tuple(dict.fromkeys(view for branch in views for view in branch))
