"""The pulse network at work: probabilities of the rate, and the pulse wave, from the last 2 to 6 s of face patches."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from edgemon import rppg
from edgemon.errors import ModelError
from edgemon.inference import Model, Tensor

FS_HZ: Final = 30.0
SHORTEST: Final = 60  # frames at FS_HZ
LONGEST: Final = 180
_NEAR_BPM: Final = 5.0


@dataclass(frozen=True, slots=True)
class PulseReading:
    """Probabilities over GRID_BPM (B,) of the window's mean rate, the wave (M,) at FS_HZ and its length."""

    probabilities: rppg.Array
    wave: rppg.Array

    @property
    def seconds(self) -> float:
        """From the first frame to after the last."""
        return len(self.wave) / FS_HZ

    @property
    def bpm(self) -> float:
        """The rate with half of the probability below it: of all, the one with the least expected error."""
        total = np.cumsum(self.probabilities)
        return float(np.interp(0.5, total - self.probabilities / 2, rppg.GRID_BPM))

    @property
    def quality(self) -> float:
        """Probability 0..1 that `bpm` is right within 5 bpm."""
        return min(1.0, float(self.probabilities[np.abs(rppg.GRID_BPM - self.bpm) <= _NEAR_BPM].sum()))


class PulseNetwork:
    """Reads one face at a time and remembers nothing, so one serves all beds."""

    def __init__(self, model: Model) -> None:
        if model.manifest.task != "pulse":
            raise ModelError(f"model {model.manifest.label} is a {model.manifest.task} model, not a pulse model")
        self.manifest = model.manifest
        self._run: Callable[[Tensor], tuple[Tensor, ...]] = model

    def read(self, t_s: rppg.Array, patches: NDArray[np.float32]) -> PulseReading | None:
        """What patches (N, 16, 16, 3), RGB 0..255 as `edgemon.faces.patch` makes them, say; times (N,) rise.

        Patches that are not finite count as frames that were lost. None where less than 2 s lie after the last gap.

        Raises:
            ModelError: the network fails, or a number that comes out is not finite.
        """
        even = evenly(t_s, patches)
        if len(even) < SHORTEST:
            return None
        wave, logits = self._run(np.ascontiguousarray(even.transpose(0, 3, 1, 2)[None], np.float32))
        return PulseReading(probabilities_of(logits[0].astype(np.float64)), wave[0].astype(np.float64))


def evenly(t_s: rppg.Array, patches: NDArray[np.float32]) -> NDArray[np.float32]:
    """At most the last 6 s of patches after the last gap, at FS_HZ: (M, 16, 16, 3)."""
    newest = t_s > (t_s[-1] if len(t_s) else 0.0) - (LONGEST + 2) / FS_HZ
    newest &= np.isfinite(patches).all(axis=(1, 2, 3))
    t_s, patches = t_s[newest], patches[newest]
    first = rppg.unbroken_from(t_s)
    t_s, patches = t_s[first:], patches[first:]
    if len(t_s) < 2:
        return patches[:0]
    flat = rppg.resample(t_s, patches.reshape(len(t_s), -1).astype(np.float64), FS_HZ)
    return np.asarray(flat[-LONGEST:].reshape(-1, *patches.shape[1:]), np.float32)


def probabilities_of(logits: rppg.Array) -> rppg.Array:
    """Probabilities of logits (..., B)."""
    raised = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray(raised / raised.sum(axis=-1, keepdims=True))
