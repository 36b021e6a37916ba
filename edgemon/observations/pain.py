"""The pain cue of one frame: how much a face resembles faces with the facial actions of pain; off by default."""

from __future__ import annotations

from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from edgemon.errors import ModelError
from edgemon.observations.expression import ExpressionReader, Promise, hidden, shows
from edgemon.records import Box, Face, Frame, Observation, PainLook, Reason

NEEDED: Final = ("eyes_visible", "brow_visible", "cheeks_visible")  # where the three actions are seen


class PainReader(Protocol):
    """A pain network; see `edgemon.inference.PainModel`."""

    @property
    def manifest(self) -> Promise: ...
    def read(self, image: NDArray[np.uint8], box: Box, landmarks: NDArray[np.float32]) -> float: ...


class PainObserver:
    """Reads the cue where the expression network says that eyes, brow and cheeks can be seen; remembers nothing.

    Raises:
        ModelError: a manifest lacks the threshold pain or that of one of the regions.
    """

    name = "pain_cue"

    def __init__(self, model: PainReader, expression: ExpressionReader) -> None:
        self._model, self._expression = model, expression
        self._present_from = model.manifest.threshold("pain")
        self._from = {region: expression.manifest.threshold(region) for region in NEEDED}

    def observe(self, frame: Frame, face: Face | None) -> Observation:
        """Whether all three actions are there, or why that cannot be told."""
        reason = hidden(frame, face)
        if reason is not None or face is None:
            return self._seen(frame, None, reason, 0.0)
        try:
            scores = self._expression.read(frame.rgb, face.box, face.landmarks)
            visible = min(getattr(scores, region) or 0.0 for region in NEEDED)
            if not all(shows(scores, region, self._from) for region in NEEDED):
                return self._seen(frame, None, Reason.OCCLUDED, visible)
            p = self._model.read(frame.rgb, face.box, face.landmarks)
        except ModelError:
            return self._seen(frame, None, Reason.MODEL_FAILED, 0.0)
        return self._seen(frame, PainLook(p, p >= self._present_from), None, visible * (1 + abs(2 * p - 1)) / 2)

    def _seen(self, frame: Frame, value: PainLook | None, reason: Reason | None, quality: float) -> Observation:
        return Observation(frame.bed, self.name, frame.captured_s, value, reason, quality, self._model.manifest.label)
