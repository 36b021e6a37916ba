"""Eyes, cry, yawn and facial actions from the face of one frame, with a reason wherever they cannot be seen."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from edgemon.errors import ModelError
from edgemon.records import Box, Expression, Face, Frame, Observation, Reason

STALE_S: Final = 1.0  # a place predicted for longer may hold something else by now
DARK: Final = 12.0  # mean of 0..255: about twice the sensor's noise in the dark
MAX_TURN: Final = 0.55  # of the eyes' distance from their middle to the nose tip: about 60 degrees of yaw
MIN_AXIS: Final = 0.13  # of the box's side: eyes' distance, and eyes to mouth, of a head turned or tipped away

TOLD_BY: Final = {  # what can be known only where its region is seen
    "eyes_closed": "eyes_visible",
    "crying": "mouth_visible",
    "yawning": "mouth_visible",
    "brow_bulge": "brow_visible",
    "eye_squeeze": "eyes_visible",
    "nasolabial_furrow": "cheeks_visible",
}


class Scores(Protocol):
    """What an expression network says of one face; probabilities and visibilities 0..1."""

    @property
    def eyes_closed(self) -> float: ...
    @property
    def crying(self) -> float: ...
    @property
    def yawning(self) -> float: ...
    @property
    def eyes_visible(self) -> float: ...
    @property
    def mouth_visible(self) -> float: ...
    @property
    def brow_bulge(self) -> float | None: ...
    @property
    def eye_squeeze(self) -> float | None: ...
    @property
    def nasolabial_furrow(self) -> float | None: ...
    @property
    def brow_visible(self) -> float | None: ...
    @property
    def cheeks_visible(self) -> float | None: ...


class Promise(Protocol):
    """The part of a model's manifest that an observer needs."""

    @property
    def label(self) -> str: ...
    @property
    def thresholds(self) -> Mapping[str, float]: ...
    def threshold(self, name: str) -> float: ...


class ExpressionReader(Protocol):
    """An expression network; see `edgemon.inference.ExpressionModel`."""

    @property
    def manifest(self) -> Promise: ...
    def read(self, image: NDArray[np.uint8], box: Box, landmarks: NDArray[np.float32]) -> Scores: ...


class ExpressionObserver:
    """Reads the expression of the face in a frame; remembers nothing, so one serves all beds.

    Raises:
        ModelError: the manifest lacks the threshold eyes_visible or mouth_visible.
    """

    name = "expression"

    def __init__(self, model: ExpressionReader) -> None:
        self._model = model
        self._from = {region: model.manifest.threshold(region) for region in ("eyes_visible", "mouth_visible")}
        self._from |= {r: at for r, at in model.manifest.thresholds.items() if r in ("brow_visible", "cheeks_visible")}

    def observe(self, frame: Frame, face: Face | None) -> Observation:
        """The expression, or why there is none; a network that fails is told as `model_failed`."""
        reason = hidden(frame, face)
        if reason is not None or face is None:
            return self._seen(frame, None, reason, 0.0)
        try:
            scores = self._model.read(frame.rgb, face.box, face.landmarks)
        except ModelError:
            return self._seen(frame, None, Reason.MODEL_FAILED, 0.0)
        told = {
            name: getattr(scores, name) if shows(scores, region, self._from) else None
            for name, region in TOLD_BY.items()
        }
        if told["eyes_closed"] is None and told["crying"] is None:
            return self._seen(frame, None, Reason.OCCLUDED, min(scores.eyes_visible, scores.mouth_visible))
        visible = min(getattr(scores, TOLD_BY[name]) for name in ("eyes_closed", "crying") if told[name] is not None)
        sure = math.prod(abs(2 * p - 1) for p in (told["eyes_closed"], told["crying"]) if p is not None)
        return self._seen(frame, Expression(**told), None, visible * (1 + sure) / 2)

    def _seen(self, frame: Frame, value: Expression | None, reason: Reason | None, quality: float) -> Observation:
        return Observation(frame.bed, self.name, frame.captured_s, value, reason, quality, self._model.manifest.label)


def hidden(frame: Frame, face: Face | None) -> Reason | None:
    """Why nothing can be read from this face in this frame, if so; depth shows no face."""
    if frame.image.ndim != 3:
        return Reason.DISABLED
    if face is None:
        return Reason.NO_FACE
    if frame.captured_s - face.detected_s > STALE_S:
        return Reason.STALE
    if _turned_away(face):
        return Reason.TURNED_AWAY
    return Reason.DARK if _brightness(frame.rgb, face.box) < DARK else None


def shows(scores: Scores, region: str, visible_from: Mapping[str, float]) -> bool:
    """Whether enough of a region is seen; a network without a threshold for it cannot tell."""
    visible: float | None = getattr(scores, region)
    return visible is not None and region in visible_from and visible >= visible_from[region]


def _turned_away(face: Face) -> bool:
    right, left, nose, *mouth = face.landmarks.astype(np.float64)
    x0, y0, x1, y1 = face.box
    side_px = math.sqrt((x1 - x0) * (y1 - y0))
    across, eyes = left - right, (left + right) / 2
    down = (mouth[0] + mouth[1]) / 2 - eyes
    if min(float(np.hypot(*across)), float(np.hypot(*down))) < MIN_AXIS * side_px:
        return True
    return abs(float((nose - eyes) @ across / (across @ across))) > MAX_TURN


def _brightness(rgb: NDArray[np.uint8], box: Box) -> float:
    """Mean of every fourth pixel of the box; 0 where it lies outside the picture."""
    x0, y0, x1, y1 = (max(0, int(v)) for v in box)
    inside = rgb[y0:y1:4, x0:x1:4]
    return float(inside.mean()) if inside.size else 0.0
