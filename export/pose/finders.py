"""Who finds joints in a picture: the device's network here, peers in movenet.py, guesses in baselines.py."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from edgemon.inference import Model
from edgemon.observations.pose_network import PoseNetwork
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
        self.network = PoseNetwork(model)
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
        """Look at one picture and decode twice what is seen.

        The time is that of both looks and one decoding.
        """
        picture = sample.read()
        began_s = time.perf_counter()
        (seen,) = self.network.look([picture], several=self.several)
        told = seen.poses(centre=self.centre, visible=self.visible, posture=self.posture, several=self.several)
        ms = 1000 * (time.perf_counter() - began_s)
        return Read(seen.poses(centre=0.0, visible=self.visible, posture=0.0, several=self.several), told, ms)
