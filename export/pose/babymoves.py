"""Joints of a hundred infants at 12 to 18 weeks without their pictures (Passmore et al., PLOS Digital Health 2024).

Labels alone serve for priors and for what predictors score that never look. Hand stands for wrist, heel for ankle,
crown for head; nobody marked a neck, so it is not labelled. All infants lie supine.
"""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Final

import numpy as np

from edgemon.records import KEYPOINTS, Posture
from export.pose.samples import Kind, PoseSample

_PARTS: Final = {"wrist": "Hand", "ankle": "Heel"}
_NAMES: Final = {
    number: f"{side[0].upper()}{_PARTS.get(part, part.capitalize())}"
    for number, (side, _, part) in enumerate(name.partition("_") for name in KEYPOINTS[:12])
} | {KEYPOINTS.index("head"): "Crown"}


def babymoves(path: Path, kind: Kind) -> tuple[PoseSample, ...]:
    """`labels.npz` or the folder that holds it; the subject is the video.

    Raises:
        ValueError: not such a file, or depth is asked for; names the file.
    """
    file = path / "labels.npz" if path.is_dir() else path
    if kind == "depth":
        raise ValueError(f"{file}: labels of colour videos; there is no depth")
    try:
        with file.open("rb") as raw, np.load(raw, allow_pickle=False) as table:
            joints, sizes, groups, names = (table[key] for key in ("joints", "hw", "group", "names"))
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise ValueError(f"{file}: not the labels' table (joints, hw, group, names): {error}") from error
    place = {str(name): number for number, name in enumerate(names)}
    missing = set(_NAMES.values()) - place.keys()
    if missing or joints.shape[1:] != (len(place), 2):
        raise ValueError(f"{file}: lacks {', '.join(sorted(missing)) or 'x and y of each name'}")
    samples = []
    for number, (marked, (height, width), group) in enumerate(zip(joints, sizes.tolist(), groups, strict=True)):
        person = np.zeros((1, len(KEYPOINTS), 3), np.float32)
        for joint, name in _NAMES.items():
            if np.isfinite(marked[place[name]]).all():
                person[0, joint] = (*marked[place[name]], 2)
        image = file.parent / f"{number:06d}.jpg"
        samples.append(PoseSample(image, kind, (width, height), person, str(group), Posture.SUPINE))
    return tuple(samples)
