"""One recording of skin colour with the heart rate that belongs to it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgemon.faces.patch import SIDE
from edgemon.records import SkinSample

Array = NDArray[np.float64]
KNOWN_SHARE = 0.9  # of a window, in which the reference must be known for the window to be judged


@dataclass(frozen=True, slots=True, eq=False)
class Recording:
    """Mean colours (N, R, 3) 0..255 at rising times (N,) and the true rate (N,), NaN where it is not known.

    A region out of view is NaN; a frame without a face is NaN in all. `bpm` is None where there is no pulse to be read
    and the right answer is to abstain. `data` names the set that it is pooled with, `group` the subject or session.
    """

    name: str
    group: str
    data: str
    layout: str
    t_s: Array
    rgb: Array
    bpm: Array | None
    patches: NDArray[np.float32] | None = None
    track_id: NDArray[np.int64] | None = None

    def __post_init__(self) -> None:
        count = len(self.t_s)
        for name, wanted in (
            ("t_s", (count,)),
            ("rgb", (count, self.rgb.shape[1] if self.rgb.ndim == 3 else 0, 3)),
            ("bpm", (count,)),
            ("patches", (count, SIDE, SIDE, 3)),
            ("track_id", (count,)),
        ):
            value = getattr(self, name)
            if value is not None and value.shape != wanted:
                raise ValueError(f"{self.name}: {name} is {value.shape}, not {wanted}")
        if count < 2 or self.rgb.shape[1] == 0 or not bool((np.diff(self.t_s) > 0).all()):
            raise ValueError(f"{self.name}: needs a region, and two or more samples whose times rise")

    @property
    def fs_hz(self) -> float:
        """Samples a second, by the median step."""
        return float(1 / np.median(np.diff(self.t_s)))

    def ends_s(self, window_s: float) -> Array:
        """When the windows end: one a second, from the first whole one on."""
        return np.asarray(np.arange(self.t_s[0] + window_s, self.t_s[-1] + 1e-6))

    def mean_bpm(self, now_s: float, window_s: float) -> float:
        """The true rate of the window that ends at `now_s`; NaN where too little of it is known."""
        if self.bpm is None:
            return float("nan")
        bpm = self.bpm[np.searchsorted(self.t_s, now_s - window_s) : np.searchsorted(self.t_s, now_s, side="right")]
        known = bpm[np.isfinite(bpm)]
        return float(known.mean()) if len(known) and len(known) >= KNOWN_SHARE * len(bpm) else float("nan")

    def samples(self) -> list[SkinSample]:
        """What the daemon would have put into its trace: frames without a face are left out."""
        rgb = self.rgb.astype(np.float32)
        ids = np.ones(len(rgb), np.int64) if self.track_id is None else self.track_id
        seen = np.isfinite(rgb).any(axis=(1, 2))
        shown = [None] * len(rgb) if self.patches is None else list(self.patches)
        return [SkinSample(float(self.t_s[i]), int(i), int(ids[i]), rgb[i], shown[i]) for i in np.flatnonzero(seen)]


def steps_at(t_s: Array, starts_s: Array, values: Array, end_s: float) -> Array:
    """Values that hold from each start to the next, the last one to `end_s`, at the times (N,); NaN outside."""
    place = np.searchsorted(starts_s, t_s, side="right") - 1
    return np.where((place >= 0) & (t_s < end_s), values[np.maximum(place, 0)], np.nan)
