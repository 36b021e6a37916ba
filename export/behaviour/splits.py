"""Splits by infant: what stays together, how loudly it must be said where that is not known, and the parts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from export.behaviour.faces import Faces
from export.behaviour.similar import linked, near

SHARES = (3, 1, 1)  # of the faces: trained on, chosen by, judged on
Index = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Grouping:
    """Groups (n,) that no split parts: a subject, a clip of nobody known, or pictures that are nearly the same.

    `near_faces` have a near-duplicate in another picture or clip; `near_subjects` pairs are of two known subjects.
    """

    groups: Index
    known: NDArray[np.bool_]
    subjects: int
    near_faces: int
    near_subjects: int

    @property
    def count(self) -> int:
        """The groups."""
        return int(self.groups.max()) + 1

    @property
    def names(self) -> NDArray[np.str_]:
        """The group of each face (n,), as figures tell them apart."""
        return np.array([f"group {n}" for n in self.groups])

    @property
    def unit(self) -> str:
        """What a group is."""
        return "infants" if self.known.all() else "groups"

    def lines(self) -> Iterator[str]:
        """What is known."""
        yield (
            f"{int(self.known.sum())} of {len(self.known)} faces are of {self.subjects} known subjects; {self.count} "
            f"groups stay together; {self.near_faces} faces are nearly the same as one from elsewhere"
        )

    def warnings(self) -> Iterator[str]:
        """What makes the figures doubtful."""
        unknown = int((~self.known).sum())
        if unknown:
            yield (
                f"THE SUBJECT OF {unknown} OF {len(self.known)} FACES IS NOT KNOWN: the same infant is surely on both "
                "sides of the split, and every figure and interval below flatters. Name infants in a column `subject`, "
                "or by --subject REGEX from the names of files."
            )
        if unknown and self.near_faces:
            yield f"{self.near_faces} faces have a near-duplicate; such are kept on one side, but not all are found."
        if self.near_subjects:
            yield f"{self.near_subjects} pairs of nearly the same picture are of two subjects: are they one infant?"


def grouping(faces: Faces) -> Grouping:
    """Subjects and clips, joined where their pictures are nearly the same."""
    names, labels = np.unique(faces.sources, return_inverse=True)
    labels = labels.astype(np.int64)
    close, both, links = np.zeros(len(faces), bool), 0, [np.empty((0, 2), np.int64)]
    for pairs in near(faces.hashes, labels):
        close[pairs] = True
        both += int(faces.known[pairs].all(axis=1).sum())
        links.append(np.unique(labels[pairs], axis=0))
    groups = linked(len(names), np.concatenate(links))[labels]
    return Grouping(groups, faces.known, len(np.unique(labels[faces.known])), int(close.sum()), both)


def parts(groups: Index, faces: Faces, shares: Sequence[float] = SHARES, seed: int = 0) -> Index:
    """The part (n,) of each face: no group in two, each label's values spread as the shares are, as far as they go.

    Groups, the large ones first and equal ones in an order drawn by the seed, go where most is lacking.

    Raises:
        ValueError: there are fewer groups than parts.
    """
    count = int(groups.max()) + 1
    if count < len(shares):
        raise ValueError(f"{count} infants or groups of pictures; at least {len(shares)} are needed to split them")
    cells = np.hstack([faces.weight * (faces.told >= 0.5), faces.weight * (faces.told < 0.5), np.ones((len(faces), 1))])
    held = np.zeros((count, cells.shape[1]))
    np.add.at(held, groups, cells)
    wanted = np.array(shares)[:, None] / sum(shares) * np.maximum(held.sum(axis=0), 1)
    have, part = np.zeros_like(wanted), np.zeros(count, np.int64)
    order = np.random.default_rng(seed).permutation(count)
    for number, group in enumerate(order[np.argsort(-held[order, -1], kind="stable")]):
        lack = ((1 - have / wanted) * held[group] / held.sum(axis=0).clip(min=1)).sum(axis=1)
        empty = [p for p in range(len(shares)) if not have[p, -1]]
        if len(empty) >= count - number:
            lack[[p for p in range(len(shares)) if p not in empty]] = -np.inf
        part[group] = int(lack.argmax())
        have[part[group]] += held[group]
    return part[groups]


def left_out(grouped: Grouping) -> Iterator[tuple[int, NDArray[np.bool_]]]:
    """Each group with a known subject, and where it is (n,), to be judged on by what is trained on all others.

    Raises:
        ValueError: fewer than three such groups are there.
    """
    names = np.unique(grouped.groups[grouped.known])
    if len(names) < 3:
        raise ValueError(f"--leave-one-subject-out: {len(names)} subjects are known; at least three are needed")
    for name in names:
        yield int(name), (grouped.groups == name) & grouped.known
