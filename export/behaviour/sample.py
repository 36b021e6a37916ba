"""One labelled face of anybody's data, and what its annotators' words mean to the network."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from edgemon.records import Box
from export.babyehanet import TARGETS

Framing = Literal["crop", "scene"]
Labels = Mapping[str, float]
ACTIONS = ("brow_bulge", "eye_squeeze", "nasolabial_furrow")


@dataclass(frozen=True, slots=True, eq=False)
class Place:
    """Where the face is: box xyxy and landmarks (5, 2) as in `Face`, px of the picture."""

    box: Box
    landmarks: NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """A picture, or the frame at `time_s` of a clip, whom it shows if that is known, and what it is known to show.

    `labels` are 0..1 by target; a target that they do not name is unknown. The face of a "crop" fills the picture
    upright, as a detector's box cut it out; that of a "scene" is looked for unless `place` tells it. `where` is the
    file and line that say so; `stratum` is what figures are told apart by.
    """

    path: Path
    labels: Labels
    framing: Framing
    where: str
    subject: str | None = None
    time_s: float | None = None
    stratum: str = "all"
    place: Place | None = None

    @property
    def source(self) -> str:
        """What never falls into two splits: the subject; where none is known the clip or the picture."""
        return str(self.path) if self.subject is None else f"subject {self.subject}"


def _same(value: float, *names: str) -> dict[str, float]:
    return dict.fromkeys(names, value)


_ASLEEP, _AWAKE = _same(1, "eyes_closed"), _same(0, "eyes_closed")
_NOTHING: Labels = {}
_CRYING, _NO_CRY = _same(1, "crying"), _same(0, "crying")
# Sleep and pain are states, which a picture shows by eyes and actions: taken at their word they are labels with errors.
MEANINGS: Mapping[str, Labels] = {
    **dict.fromkeys(("sleep", "sleeping", "asleep", "eyes closed"), _ASLEEP),
    **dict.fromkeys(("awake", "wake", "eyes open"), _AWAKE),
    **dict.fromkeys(("crying", "cry"), _CRYING),
    **dict.fromkeys(("normal", "not crying", "notcrying", "non crying", "no cry", "calm"), _NO_CRY),
    **dict.fromkeys(("yawn", "yawning"), _same(1, "yawning")),
    "pain": _same(1, *ACTIONS),
    **dict.fromkeys(("no pain", "nopain", "non pain"), _same(0, *ACTIONS)),
    "rest": _same(0, "crying", *ACTIONS),
    **dict.fromkeys(("air", "air stimulus", "friction", "unknown"), _NOTHING),
}


@dataclass(frozen=True, slots=True)
class Reading:
    """How annotations are read: words, columns that go by other names, subjects in file names, framing, frame rate.

    `subject` is a regular expression whose first group, in the path below the data folder, names the infant.
    """

    meanings: Mapping[str, Labels] = field(default_factory=lambda: MEANINGS)
    columns: Mapping[str, str] = field(default_factory=dict)
    subject: re.Pattern[str] | None = None
    framing: Framing | None = None
    rate_hz: float = 1.0

    def subject_in(self, name: str) -> str | None:
        """The infant that a path names."""
        match = None if self.subject is None else self.subject.search(name)
        return match[1] if match else None

    def labels_of(self, words: Iterable[str], where: str) -> dict[str, float]:
        """What several words say together.

        Raises:
            ValueError: a word is not known, or two contradict each other; names where.
        """
        labels: dict[str, float] = {}
        for word in words:
            meaning = self.meanings.get(plain(word))
            if meaning is None:
                known = ", ".join(self.meanings)
                raise ValueError(f"{where}: label {word!r}; one of {known} would be right, or tell it by --meaning")
            labels = joined(labels, meaning, where)
        return labels


def plain(word: str) -> str:
    """A label in lower case with single spaces."""
    return re.sub(r"[\s_-]+", " ", word).strip().lower()


def joined(labels: Labels, more: Labels, where: str) -> dict[str, float]:
    """Both sets of labels.

    Raises:
        ValueError: they contradict each other; names where.
    """
    for name in labels.keys() & more.keys():
        if labels[name] != more[name]:
            raise ValueError(f"{where}: {name} is both {labels[name]:g} and {more[name]:g}")
    return {**labels, **more}


def meanings_of(told: Iterable[str]) -> Mapping[str, Labels]:
    """The usual meanings with those told as `word=target:value,target:value`; `word=` says that it means nothing.

    Raises:
        ValueError: one is malformed, or names a target that the network has not.
    """
    meanings = dict(MEANINGS)
    for text in told:
        word, sign, rest = text.partition("=")
        labels = {}
        for part in filter(None, rest.split(",")):
            target, _, value = part.strip().partition(":")
            if target not in TARGETS or value not in ("0", "1"):
                raise ValueError(f"--meaning {text}: {part!r}; TARGET:0 or TARGET:1 with one of {', '.join(TARGETS)}")
            labels[target] = float(value)
        if not sign or not plain(word):
            raise ValueError(f"--meaning {text}: LABEL=TARGET:VALUE[,TARGET:VALUE] would be right")
        meanings[plain(word)] = labels
    return meanings


def columns_of(told: Iterable[str]) -> Mapping[str, str]:
    """Names of columns from `role=name`.

    Raises:
        ValueError: one is malformed.
    """
    pairs = [text.partition("=") for text in told]
    for role, sign, name in pairs:
        if role not in ROLES or not name:
            raise ValueError(f"--columns {role}{sign}{name}: ROLE=NAME with one of {', '.join(ROLES)} would be right")
    return {role: name for role, _, name in pairs}


ROLES: Mapping[str, tuple[str, ...]] = {
    "file": ("file", "filename", "path", "image", "clip"),
    "subject": ("subject", "infant", "baby", "patient"),  # an id is often that of the row
    "label": ("label", "class", "condition", "state"),
    "start_s": ("start_s", "start", "onset_s"),
    "end_s": ("end_s", "end", "offset_s"),
}
