"""Face crops in folders that are named for what they show, as sets of sleep/awake and crying/normal faces are kept."""

from __future__ import annotations

from pathlib import Path

from export.behaviour.sample import Reading, Sample, joined, plain
from export.datasets.files import PICTURES


def has_label_folders(folder: Path, reading: Reading) -> bool:
    """Whether any folder below is named for what its pictures show."""
    return any(path.is_dir() and reading.meanings.get(plain(path.name)) for path in folder.rglob("*"))


def folders(folder: Path, reading: Reading) -> tuple[Sample, ...]:
    """Every picture below a folder such as sleep, awake, crying or normal, at any depth; case does not matter.

    Folders of other names (train, valid, images) say nothing: splits that came with a set are not kept, for they are
    rarely by infant.

    Raises:
        ValueError: two folders around one picture contradict each other; names the picture.
    """
    samples = []
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() not in PICTURES or path.name.startswith("."):
            continue
        inside = path.relative_to(folder)
        labels: dict[str, float] = {}
        for part in inside.parts[:-1]:
            labels = joined(labels, reading.meanings.get(plain(part), {}), str(path))
        if labels:
            subject = reading.subject_in(inside.as_posix())
            samples.append(Sample(path, labels, reading.framing or "crop", str(path), subject))
    return tuple(samples)
