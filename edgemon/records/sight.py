"""What is seen: Frame, Face, the colour of its skin, what one face or one pose shows, and Observation."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Final

import numpy as np
from numpy.typing import NDArray

from edgemon.records.checks import require, share
from edgemon.records.words import HeadSide, Posture, Reason


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One image of one bed: RGB uint8 (H, W, 3), or depth uint16 (H, W) in millimetres."""

    bed: str
    seq: int
    captured_s: float  # from the sensor's clock where it has one
    image: NDArray[np.uint8] | NDArray[np.uint16]
    source: str

    def __post_init__(self) -> None:
        rgb = self.image.ndim == 3 and self.image.shape[2] == 3 and self.image.dtype == np.uint8
        depth = self.image.ndim == 2 and self.image.dtype == np.uint16
        require(
            rgb or depth,
            f"image must be RGB uint8 (H, W, 3) or depth uint16 (H, W), got {self.image.dtype} {self.image.shape}",
        )
        require(self.seq >= 0, f"seq must be >= 0, got {self.seq}")
        require(math.isfinite(self.captured_s), "captured_s must be finite")

    @property
    def rgb(self) -> NDArray[np.uint8]:
        """The RGB image (H, W, 3).

        Raises:
            ValueError: this is a depth frame.
        """
        require(self.image.ndim == 3, "a depth frame has no RGB")
        return self.image.astype(np.uint8, copy=False)


Box = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True, eq=False)
class Face:
    """The infant's face in one frame.

    `landmarks` is float32 (5, 2) in px, named by the subject's side: right eye, left eye, nose tip, right and left
    mouth corner (the right eye is on the image's left when the face is upright). `score` joins class score and
    predicted DIoU.
    """

    track_id: int
    box: Box  # xyxy px
    landmarks: NDArray[np.float32]
    score: float
    captured_s: float
    detected_s: float  # last real detection; between detections the tracker predicts

    def __post_init__(self) -> None:
        x0, y0, x1, y1 = self.box
        finite = all(math.isfinite(v) for v in self.box)
        require(finite and x1 > x0 and y1 > y0, f"box must be xyxy px, got {self.box}")
        require(self.landmarks.shape == (5, 2), f"landmarks must be (5, 2), got {self.landmarks.shape}")
        require(bool(np.isfinite(self.landmarks).all()), "landmarks must be finite")
        share("score", self.score)
        require(self.detected_s <= self.captured_s, "detected_s lies after captured_s")

    @property
    def roll_deg(self) -> float:
        """In-plane roll in degrees: 0 upright, positive clockwise in the image, -180..180.

        The line of the eyes and that from eyes to mouth vote together, so that a turned head keeps a steady angle.
        """
        right, left, _, *corners = self.landmarks.astype(float)
        across, down = left - right, (sum(corners) - right - left) / 2
        return math.degrees(math.atan2(across[1] - down[0], across[0] + down[1]))

    @property
    def age_s(self) -> float:
        """Seconds since the last real detection."""
        return self.captured_s - self.detected_s


@dataclass(frozen=True, slots=True, eq=False)
class SkinSample:
    """Mean colour of each skin region in one frame: float32 (R, 3) RGB in 0..255, NaN where a region is out of view.

    `patch` is the upright face as means, float32 RGB (16, 16, 3) in 0..255, where a pulse network reads it.
    """

    captured_s: float
    seq: int
    track_id: int
    rgb: NDArray[np.float32]
    patch: NDArray[np.float32] | None = None

    def __post_init__(self) -> None:
        require(self.rgb.ndim == 2 and self.rgb.shape[1] == 3, f"rgb must be (R, 3), got {self.rgb.shape}")


@dataclass(frozen=True, slots=True)
class Expression:
    """Probabilities 0..1 read from one face crop; None where the region that tells it cannot be seen.

    The last three are the facial actions of pain; a network that was not taught them leaves them None.
    """

    eyes_closed: float | None
    crying: float | None
    yawning: float | None
    brow_bulge: float | None = None
    eye_squeeze: float | None = None
    nasolabial_furrow: float | None = None

    def __post_init__(self) -> None:
        told = {f.name: getattr(self, f.name) for f in fields(self)}
        for name, value in told.items():
            if value is not None:
                share(name, value)
        require(any(value is not None for value in told.values()), "an expression of which nothing is known")


@dataclass(frozen=True, slots=True)
class PainLook:
    """How much one face resembles faces with all three facial actions of pain, and whether that is enough to count."""

    probability: float
    present: bool

    def __post_init__(self) -> None:
        share("probability", self.probability)


@dataclass(frozen=True, slots=True)
class HeartRate:
    """A pulse rate in beats per minute over the last `window_s` seconds."""

    bpm: float
    window_s: float
    method: str  # "rPPG-POS", "rPPG-CHROM", ...

    def __post_init__(self) -> None:
        require(20.0 <= self.bpm <= 300.0, f"bpm must be within 20..300, got {self.bpm}")
        require(self.window_s > 0, f"window_s must be > 0, got {self.window_s}")


KEYPOINTS: Final = (
    "left_shoulder",
    "right_shoulder",
    "left_elbow",
    "right_elbow",
    "left_wrist",
    "right_wrist",
    "left_hip",
    "right_hip",
    "left_knee",
    "right_knee",
    "left_ankle",
    "right_ankle",
    "head",
    "neck",
)  # CrowdPose order; head is the crown


@dataclass(frozen=True, slots=True, eq=False)
class Pose:
    """The joints of one infant in one frame: float32 (14, 3) of x px, y px and score 0..1, in the order of KEYPOINTS.

    A score says how far the joint can be seen; a joint under a blanket has a place and a low score.
    """

    keypoints: NDArray[np.float32]
    score: float  # that an infant lies here
    posture: Posture | None
    head_side: HeadSide | None

    def __post_init__(self) -> None:
        shape = (len(KEYPOINTS), 3)
        require(self.keypoints.shape == shape, f"keypoints must be {shape}, got {self.keypoints.shape}")
        require(bool(np.isfinite(self.keypoints).all()), "keypoints must be finite")
        scores = self.keypoints[:, 2]
        require(bool(((scores >= 0) & (scores <= 1)).all()), "scores of keypoints must be within 0..1")
        share("score", self.score)

    @property
    def trunk_px(self) -> float:
        """Length from the middle of the shoulders to the middle of the hips."""
        places = self.keypoints[:, :2].astype(float)
        return float(np.linalg.norm(places[0:2].mean(axis=0) - places[6:8].mean(axis=0)))


@dataclass(frozen=True, slots=True)
class Observation:
    """What one observer saw: a value, or the reason why there is none."""

    bed: str
    observer: str
    captured_s: float
    value: Expression | PainLook | HeartRate | Pose | None
    reason: Reason | None
    quality: float
    model: str  # "id@version" of the model or method

    def __post_init__(self) -> None:
        require((self.value is None) != (self.reason is None), "an observation has either a value or a reason")
        share("quality", self.quality)
