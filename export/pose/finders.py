"""Who finds joints in a picture: the device's network here, peers in movenet.py, guesses in baselines.py."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np

from edgemon.inference import Image, Model, Tensor, letterbox, prepare
from edgemon.observations.pose import decode
from edgemon.records import Pose
from export.pose.samples import Kind, PoseSample


class Finder(Protocol):
    """Poses of one sample, best first or not."""

    @property
    def name(self) -> str:
        """As tables tell it."""

    def __call__(self, sample: PoseSample) -> tuple[Pose, ...]:
        """In the picture's pixels."""


@dataclass(frozen=True, slots=True)
class Read:
    """What the network says of one picture: at no threshold at all, and what it tells at those it ships with."""

    found: tuple[Pose, ...]
    told: tuple[Pose, ...]
    ms: float


class PoseReader:
    """A released model, with the device's letterboxing and decoder; several infants are looked for when asked."""

    def __init__(self, model: Model, several: bool = False) -> None:
        """Take the model's thresholds.

        Raises:
            ValueError: another task's model.
            ModelError: a threshold is missing.
        """
        if model.manifest.task != "pose":
            raise ValueError(
                f"model {model.manifest.label} is a {model.manifest.task} model; evaluate pose needs one of poses"
            )
        self.manifest = model.manifest
        self.name = model.manifest.label
        self.several = several
        self._run: Callable[[Tensor], tuple[Tensor, ...]] = model
        self.centre, self.visible = (self.manifest.threshold(name) for name in ("centre", "visible"))
        tells = any(output.name == "attributes" for output in self.manifest.outputs)
        self.posture = self.manifest.threshold("posture") if tells else 1.0

    @classmethod
    def open(cls, folder: Path, name: str, several: bool = False) -> PoseReader:
        """Load NAME from a folder."""
        return cls(Model.open(folder, name), several)

    @property
    def kind(self) -> Kind:
        """What it was taught to look at."""
        return "depth" if self.manifest.input.colour == "depth" else "rgb"

    def read(self, sample: PoseSample) -> Read:
        """Look at one picture once and decode it twice; the time is that of letterbox, network and one decoding."""
        picture = sample.read()
        began_s = time.perf_counter()
        maps, scale = self.maps(picture)
        told = self.decoded(maps, scale, self.visible, centre=self.centre, posture=self.posture)
        ms = 1000 * (time.perf_counter() - began_s)
        return Read(self.decoded(maps, scale, self.visible), told, ms)

    def maps(self, picture: Image) -> tuple[list[Tensor], float]:
        """What the network says of one picture, and how it was scaled for it."""
        fitted, scale = letterbox(picture, self.manifest.input.size_px)
        return [output[0] for output in self._run(prepare(fitted, self.manifest.input))], scale

    def decoded(
        self, maps: Sequence[Tensor], scale: float, visible: float, *, centre: float = 0.0, posture: float = 0.0
    ) -> tuple[Pose, ...]:
        """The poses in the picture's pixels, at these thresholds."""
        found = decode(*maps, centre_from=centre, visible_from=visible, posture_from=posture, several=self.several)
        return tuple(replace(pose, keypoints=(pose.keypoints / (scale, scale, 1)).astype(np.float32)) for pose in found)
