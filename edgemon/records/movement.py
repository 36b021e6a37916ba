"""How an infant moved: between two frames, and over a minute."""

from __future__ import annotations

from dataclasses import dataclass

from edgemon.records.checks import require, share


@dataclass(frozen=True, slots=True)
class Motion:
    """What changed in the picture from one frame to the next.

    The centroid of the pixels that changed lies at shares 0..1 of the picture's width and height.
    """

    at_s: float
    quantity: float  # share 0..1 of the pixels that changed
    x: float | None  # None: nothing changed
    y: float | None

    def __post_init__(self) -> None:
        share("quantity", self.quantity)
        require((self.x is None) == (self.y is None), "a centroid has both x and y, or there is none")


@dataclass(frozen=True, slots=True)
class MotionSummary:
    """A minute's quantity and centroid of motion at full frame rate, after Adde 2009; no infant need be seen for it.

    Lengths are shares of the picture (x of its width, y of its height); None where too little changed to tell.
    """

    quantity: float  # mean share 0..1 of pixels that changed between two frames
    quantity_sd: float
    moving: float  # share 0..1 of the frames in which something changed
    x: float | None  # mean of the centroid
    y: float | None
    centroid_sd: float | None
    centroid_speed: float | None  # mean, a second
    centroid_acceleration: float | None  # mean, a second squared
    dominant_hz: float | None  # of the quantity within 0.3..5 Hz: a limb that swings at f makes it beat at 2 f
    spectral_entropy: float | None  # 0 one rate only, 1 all alike

    def __post_init__(self) -> None:
        for name in ("quantity", "moving"):
            share(name, getattr(self, name))


@dataclass(frozen=True, slots=True)
class LimbMovement:
    """How the end of one limb, wrist or ankle, moved against the trunk; None where it was seen too little."""

    seen: float  # share 0..1 of the minute
    speed_trunks_s: float | None  # mean, in trunk lengths a second
    active: float | None  # share 0..1 of the time seen in which it moved faster than the threshold

    def __post_init__(self) -> None:
        share("seen", self.seen)
        require((self.speed_trunks_s is None) == (self.active is None), "speed and active are known together")
        require(self.speed_trunks_s is None or self.speed_trunks_s >= 0, "speed_trunks_s must be >= 0")
        if self.active is not None:
            share("active", self.active)


@dataclass(frozen=True, slots=True)
class MovementSummary:
    """How the infant in one bed moved in a minute, as far as it was seen.

    Information for people who study movement: no general-movement assessment, and no part of one.
    None: seen too little, or not seen often enough for it (rhythm, correlation and synchrony need 10 poses a second).
    """

    bed: str
    start_s: float
    end_s: float
    coverage: float  # share 0..1 of the four limbs' time in which they were seen
    pose_hz: float
    frames_hz: float
    left_arm: LimbMovement
    right_arm: LimbMovement
    left_leg: LimbMovement
    right_leg: LimbMovement
    index: float | None  # 0 no limb moved .. 1 all four moved all the time: mean of the limbs' `active`
    still: float | None  # share 0..1 of the time in which no limb that was seen moved
    position_entropy_bits: float | None  # of the limbs' ends on a grid of a tenth of the trunk, one place a second
    dominant_hz: float | None  # of the limbs' velocity within 0.3..5 Hz
    spectral_entropy: float | None  # 0 one rate only, 1 all alike
    arms_correlation: float | None  # of the left and the right wrist's speed, -1..1
    legs_correlation: float | None
    onsets: int | None  # how often a limb began to move
    synchrony: float | None  # share 0..1 of the onsets in which three limbs or more began within 0.3 s
    motion: MotionSummary | None

    def __post_init__(self) -> None:
        require(self.end_s > self.start_s, f"end_s must lie after start_s, got {self.end_s} and {self.start_s}")
        for name in ("coverage", "index", "still", "spectral_entropy", "synchrony"):
            value = getattr(self, name)
            if value is not None:
                share(name, value)
        for name in ("arms_correlation", "legs_correlation"):
            value = getattr(self, name)
            require(value is None or -1.0 <= value <= 1.0, f"{name} must be within -1..1, got {value}")

    @property
    def limbs(self) -> tuple[LimbMovement, LimbMovement, LimbMovement, LimbMovement]:
        """Left arm, right arm, left leg, right leg."""
        return self.left_arm, self.right_arm, self.left_leg, self.right_leg
