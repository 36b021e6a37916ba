"""What happens in a clip: segments of state, the heart rate they ask for, and the pulse wave that follows."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

Series = NDArray[np.float64]
MAX_SLEW_BPM_S = 2.0
STEP_S = 1 / 240


@dataclass(frozen=True)
class Segment:
    """`seconds` of one state; the heart rate heads for `hr_bpm` at no more than MAX_SLEW_BPM_S."""

    seconds: float
    eyes: str
    cry: bool
    hr_bpm: float
    sleep: str
    note: str


@dataclass(frozen=True)
class Script:
    """A clip's story; `tube_until_s` is when the feeding tube is taken away (0: never there)."""

    segments: tuple[Segment, ...]
    start_bpm: float
    identity: int
    roll_deg: float
    tube_until_s: float = 0.0

    @property
    def seconds(self) -> float:
        """Length of all segments."""
        return sum(segment.seconds for segment in self.segments)

    def at(self, t_s: float) -> Segment:
        """The segment that plays at a time."""
        left = t_s
        for segment in self.segments:
            if left < segment.seconds:
                return segment
            left -= segment.seconds
        return self.segments[-1]

    def scaled(self, seconds: float) -> Script:
        """The same story in another length."""
        factor = seconds / self.seconds
        return replace(
            self,
            tube_until_s=self.tube_until_s * factor,
            segments=tuple(replace(segment, seconds=segment.seconds * factor) for segment in self.segments),
        )


SCRIPTS = {
    "demo": Script(
        (
            Segment(30, "closed", False, 122, "asleep", "asleep"),
            Segment(14, "open", False, 140, "awake", "waking"),
            Segment(24, "closed", True, 188, "awake", "crying"),
            Segment(22, "open", False, 150, "awake", "calm again"),
        ),
        start_bpm=122,
        identity=39,
        roll_deg=32,
        tube_until_s=71,
    ),
    "awake": Script((Segment(20, "open", False, 146, "awake", "awake and calm"),), 143, identity=69, roll_deg=-28),
}


def heart_rate(script: Script, seed: int) -> Series:
    """Heart rate in bpm each STEP_S: the script's, slew-limited, with slow and respiratory variability."""
    count = int(np.ceil(script.seconds / STEP_S)) + 1
    out, value = np.empty(count), script.start_bpm
    for step in range(count):
        out[step] = value
        value += float(np.clip(script.at(step * STEP_S).hr_bpm - value, -1, 1)) * (MAX_SLEW_BPM_S * 0.94 * STEP_S)
    phases = np.random.default_rng([seed, 77]).uniform(0, 2 * np.pi, 3)
    t = np.arange(count) * STEP_S
    waves = sum(
        depth * np.sin(2 * np.pi * hz * t + phase)
        for depth, hz, phase in zip((0.5, 0.25, 0.02), (0.035, 0.09, 0.75), phases, strict=True)
    )
    varied: Series = out + waves
    return varied


def beat_phase(rate_bpm: Series) -> Series:
    """Beats since the start (cumulative phase) of a rate sampled each STEP_S."""
    return np.concatenate([[0.0], np.cumsum(rate_bpm[:-1] / 60 * STEP_S)])


def ppg(phase: Series | float) -> Series:
    """PPG wave of a beat phase in cycles: fast systolic rise, dicrotic bump, zero mean, peak-to-peak near 1."""
    cycle = np.asarray(phase, np.float64) % 1.0
    out = np.zeros_like(cycle)
    for shift in (-1.0, 0.0, 1.0):
        out += np.exp(-0.5 * ((cycle - 0.24 - shift) / 0.105) ** 2)
        out += 0.42 * np.exp(-0.5 * ((cycle - 0.56 - shift) / 0.12) ** 2)
    wave: Series = out - 0.3895
    return wave
