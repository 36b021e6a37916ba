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
class Visit:
    """Something that comes over the face at `start_s` for `seconds`, and goes again.

    `what` is pass (a carer's hand sweeps across), touch (it rests on a part), hide (two cover all) or blanket (a fold
    of cloth lies over the edge).
    """

    start_s: float
    seconds: float
    what: str


@dataclass(frozen=True)
class Turn:
    """From `start_s` on the head heads for this yaw and pitch, away from how it lay at first."""

    start_s: float
    yaw_deg: float
    pitch_deg: float


@dataclass(frozen=True)
class Script:
    """A clip's story; `tube_until_s` is when the feeding tube is taken away (0: never there).

    `view` points from the face to the camera in the head's own frame (its left, its crown, straight ahead);
    `face_share` is the face's size as a share of the picture's height. Between the times of `evening` it falls.
    """

    segments: tuple[Segment, ...]
    start_bpm: float
    identity: int
    roll_deg: float
    tube_until_s: float = 0.0
    view: tuple[float, float, float] = (0.06, -0.12, 1.0)
    face_share: float = 1 / 3
    visits: tuple[Visit, ...] = ()
    turns: tuple[Turn, ...] = ()
    evening: tuple[float, float] | None = None

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
        """The same story in another length; visits keep theirs, and come sooner or later."""
        factor = seconds / self.seconds
        return replace(
            self,
            tube_until_s=self.tube_until_s * factor,
            segments=tuple(replace(segment, seconds=segment.seconds * factor) for segment in self.segments),
            visits=tuple(replace(visit, start_s=visit.start_s * factor) for visit in self.visits),
            turns=tuple(replace(turn, start_s=turn.start_s * factor) for turn in self.turns),
            evening=None if self.evening is None else (self.evening[0] * factor, self.evening[1] * factor),
        )


def visits(identity: int) -> Script:
    """Five minutes of one infant under care: head turns, hands over and on the face, a blanket, and evening falls.

    Where the camera stands, which way the head turns and how long each hand stays differ by identity.
    """
    rng = np.random.default_rng([identity, 55])
    yaw, pitch = np.radians(rng.uniform(-20, 20)), np.radians(rng.uniform(-20, 10))
    way = float(rng.choice([-1, 1]))
    return Script(
        (
            Segment(80, "closed", False, 124, "asleep", "asleep"),
            Segment(60, "open", False, 146, "awake", "awake under care"),
            Segment(20, "closed", True, 182, "awake", "crying"),
            Segment(50, "open", False, 148, "awake", "calm again"),
            Segment(90, "closed", False, 126, "asleep", "asleep in the evening"),
        ),
        start_bpm=124,
        identity=identity,
        roll_deg=float(rng.uniform(-180, 180)),
        view=(float(np.sin(yaw) * np.cos(pitch)), float(np.sin(pitch)), float(np.cos(yaw) * np.cos(pitch))),
        face_share=float(rng.uniform(0.28, 0.44)),
        visits=tuple(
            Visit(start_s + float(rng.uniform(-2, 2)), float(rng.uniform(*_LASTS_S[what])), what)
            for what, starts_s in _VISITS.items()
            for start_s in starts_s
        ),
        turns=tuple(
            Turn(start_s, way * yaw_deg + float(rng.uniform(-8, 8)), float(rng.uniform(-8, 8)))
            for start_s, yaw_deg in _TURNS
        ),
        evening=(130.0, 260.0),
    )


_VISITS = {
    "pass": (20, 48, 84, 92, 117, 134, 146, 172, 196, 231, 264, 288),
    "touch": (30, 62, 104, 126, 153, 178, 205, 243, 274),
    "hide": (38, 111, 166, 222),
    "blanket": (54, 212),
}
_LASTS_S = {"pass": (0.8, 2.0), "touch": (1.5, 4.0), "hide": (2.0, 4.0), "blanket": (8.0, 12.0)}
_TURNS = ((14, 22), (45, -12), (72, -42), (98, 0), (121, 34), (150, -28), (187, 50), (214, 4), (238, -24), (268, 38))


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
    "visits": visits(48),
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
