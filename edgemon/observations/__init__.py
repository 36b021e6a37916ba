"""Observers: each reads one thing from a face, the colour of its skin or the whole picture, and says why it cannot."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, Protocol

from edgemon.observations.expression import ExpressionObserver
from edgemon.observations.heart_rate import HeartRateObserver
from edgemon.observations.pain import PainObserver
from edgemon.observations.pose import PoseObserver
from edgemon.records import Face, Frame, Observation, SkinSample


class FaceObserver(Protocol):
    """Looks at the face in one frame."""

    @property
    def name(self) -> str: ...
    def observe(self, frame: Frame, face: Face | None) -> Observation: ...


class TraceObserver(Protocol):
    """Looks at the colour of the skin over time; `trace` is oldest first and of one bed."""

    @property
    def name(self) -> str: ...
    @property
    def reads_patches(self) -> bool: ...
    def observe(self, trace: Sequence[SkinSample], now_s: float) -> Observation: ...


FACE_OBSERVERS: Final[Mapping[str, type[ExpressionObserver] | type[PainObserver]]] = {
    ExpressionObserver.name: ExpressionObserver,
    PainObserver.name: PainObserver,
}
TRACE_OBSERVERS: Final[Mapping[str, type[HeartRateObserver]]] = {HeartRateObserver.name: HeartRateObserver}
SCENE_OBSERVERS: Final[Mapping[str, type[PoseObserver]]] = {PoseObserver.name: PoseObserver}
