"""Branches (features, selection, classifier) and their fusion, all of scikit-learn, split by infant."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from export.pain.features import Features
from export.pain.network import DEEP, HANDCRAFTED, STRAIN
from export.pain.selection import ReliefF

Array = NDArray[np.float64]
CLASSIFIERS: Mapping[str, Callable[[], Any]] = {
    "naive bayes": lambda: GaussianNB(var_smoothing=1e-3),
    "k-NN": lambda: KNeighborsClassifier(15, algorithm="brute"),
    "SVM": lambda: SVC(C=2.0, class_weight="balanced"),
    "random forest": lambda: RandomForestClassifier(200, max_depth=8, class_weight="balanced", random_state=0),
}
Views = tuple[tuple[str, ...], ...]
KINDS: Mapping[str, Views] = {
    "deep": ((DEEP,),),
    "handcrafted": ((HANDCRAFTED,),),
    "mixed features": ((DEEP, HANDCRAFTED),),
    "fused scores": ((DEEP,), (HANDCRAFTED,)),
}
WITH_STRAIN: Mapping[str, Views] = {  # where there is a calm picture too; a device that sees one frame has none
    "strain": ((STRAIN,),),
    "all features": ((DEEP, HANDCRAFTED, STRAIN),),
    "all scores": ((DEEP,), (HANDCRAFTED,), (STRAIN,)),
}
INNER_FOLDS = 3


def kinds_of(features: Features) -> Mapping[str, Views]:
    """What can be learned from these views."""
    return {**KINDS, **WITH_STRAIN} if STRAIN in features else KINDS


def groups_of(folds: int, y: NDArray[np.bool_], subjects: NDArray[np.str_]) -> Sequence[tuple[Any, Any]]:
    """Pairs of indices to learn from and to judge; no subject is in both, and each part has its share of pain.

    Raises:
        ValueError: there are fewer subjects, or fewer with pain, than folds.
    """
    told = min(len(set(subjects[y].tolist())), len(set(subjects[~y].tolist())))
    if told < folds:
        raise ValueError(f"{told} subjects with, or without, pain do for at most as many folds; {folds} were asked for")
    splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=0)
    return list(splitter.split(np.zeros(len(y)), y, subjects))


def joined(features: Features, views: Sequence[str]) -> Array:
    """The features of several views in a row, (n, D) in double precision."""
    return np.concatenate([features[view] for view in views], axis=1).astype(np.float64)


def chooser(keep: int) -> Pipeline:
    """Standardise, then select; the same for every classifier."""
    return Pipeline([("scale", StandardScaler()), ("select", ReliefF(keep))])


def score(fitted: Any, chosen: Array) -> Array:
    """Log-odds of pain (n,) as a classifier sees them: not calibrated, and of an SVM its distance."""
    if isinstance(fitted, SVC):
        return np.asarray(fitted.decision_function(chosen))
    if isinstance(fitted, GaussianNB):
        joint = fitted.predict_joint_log_proba(chosen)
        return np.asarray(joint[:, 1] - joint[:, 0])
    share, votes = fitted.predict_proba(chosen)[:, 1], votes_of(fitted)
    smooth = (share * votes + 1) / (votes + 2)
    return np.asarray(np.log(smooth / (1 - smooth)))


def votes_of(last: Any) -> int:
    """How many neighbours or trees vote."""
    return int(last.n_neighbors if isinstance(last, KNeighborsClassifier) else last.n_estimators)


@dataclass(frozen=True, slots=True)
class Branch:
    """A classifier on the chosen features of some views in a row."""

    views: tuple[str, ...]
    chooser: Pipeline
    classifier: Any

    def score(self, features: Features) -> Array:
        """See `score`."""
        return score(self.classifier, self.chooser.transform(joined(features, self.views)))


@dataclass(frozen=True, slots=True)
class Fitted:
    """Branches and the logistic regression that makes one probability of their scores.

    probability = sigmoid(weights @ scores + bias).
    """

    kind: str
    classifier: str
    branches: tuple[Branch, ...]
    weights: Array
    bias: float

    def logit(self, features: Features) -> Array:
        """Calibrated log-odds (n,)."""
        return np.asarray(np.stack([b.score(features) for b in self.branches], axis=1) @ self.weights + self.bias)

    def probability(self, features: Features) -> Array:
        """Of pain (n,)."""
        return np.asarray(1 / (1 + np.exp(-self.logit(features))))


@dataclass(frozen=True, slots=True, eq=False)
class Known:
    """What is learned from: features, pain (n,), subjects (n,), and how many features are kept."""

    features: Features
    pain: NDArray[np.bool_]
    subjects: NDArray[np.str_]
    keep: int


def fit(known: Known) -> Mapping[tuple[str, str], Fitted]:
    """Every kind of features by every classifier.

    Branches learn from everything; what joins and calibrates them learns from scores of infants that they had not seen.
    """
    kinds = kinds_of(known.features)
    branches = {views: _fit_branches(known, views) for views in dict.fromkeys(v for k in kinds.values() for v in k)}
    out = {}
    for name in CLASSIFIERS:
        for kind, parts in kinds.items():
            pairs = [branches[views][name] for views in parts]
            weights, bias = _logistic(np.stack([unseen for _, unseen in pairs], axis=1), known.pain)
            out[name, kind] = Fitted(kind, name, tuple(branch for branch, _ in pairs), weights, bias)
    return out


def _fit_branches(known: Known, views: tuple[str, ...]) -> Mapping[str, tuple[Branch, Array]]:
    """By classifier: the branch, and the scores (n,) of faces by branches that had not seen their infants."""
    x, y = joined(known.features, views), known.pain
    unseen = {name: np.zeros(len(y)) for name in CLASSIFIERS}
    for learn, judge in groups_of(INNER_FOLDS, y, known.subjects):
        choose = chooser(known.keep).fit(x[learn], y[learn])
        shown, hidden = choose.transform(x[learn]), choose.transform(x[judge])
        for name, scores in unseen.items():
            scores[judge] = score(CLASSIFIERS[name]().fit(shown, y[learn]), hidden)
    choose = chooser(known.keep).fit(x, y)
    shown = choose.transform(x)
    return {name: (Branch(views, choose, make().fit(shown, y)), unseen[name]) for name, make in CLASSIFIERS.items()}


def _logistic(scores: Array, y: NDArray[np.bool_]) -> tuple[Array, float]:
    """Platt scaling (1999) of one score, stacking of several; fitted on standardised scores."""
    mean, spread = scores.mean(axis=0), scores.std(axis=0) + 1e-9
    regression = LogisticRegression(C=100.0).fit((scores - mean) / spread, y)
    weights = regression.coef_[0] / spread
    return weights, float(regression.intercept_[0] - weights @ mean)
