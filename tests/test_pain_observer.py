"""The pain observer: off unless named, silent where a region it needs is hidden; what states make of its looks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from pydantic import ValidationError

from edgemon.config import Config, Models, PainCue
from edgemon.errors import ModelError
from edgemon.inference import ExpressionModel, Model, PainModel
from edgemon.observations.pain import PainObserver
from edgemon.records import Face, Frame, Observation, PainLook, Reason
from edgemon.states import StateEstimator, StateSettings

BED, HZ = "cot-1", 4
POINTS = np.array([[40, 45], [60, 45], [50, 55], [43, 68], [57, 68]], np.float32)


@dataclass
class Reader:
    """A network that says what it is told to."""

    says: Any
    thresholds: Mapping[str, float] = field(
        default_factory=lambda: {"pain": 0.5, "eyes_visible": 0.4, "brow_visible": 0.4, "cheeks_visible": 0.4}
    )

    @property
    def manifest(self) -> Any:
        def threshold(name: str) -> float:
            if name not in self.thresholds:
                raise ModelError(name)
            return self.thresholds[name]

        return SimpleNamespace(label="pain@0.1.0", thresholds=self.thresholds, threshold=threshold)

    def read(self, *_: object) -> Any:
        if isinstance(self.says, Exception):
            raise self.says
        return self.says


def seen(eyes: float = 0.9, brow: float = 0.9, cheeks: float = 0.9) -> SimpleNamespace:
    return SimpleNamespace(eyes_visible=eyes, brow_visible=brow, cheeks_visible=cheeks)


def frame(at_s: float = 1.0, level: int = 120) -> Frame:
    return Frame(BED, 0, at_s, np.full((100, 100, 3), level, np.uint8), "test")


def face(at_s: float = 1.0) -> Face:
    return Face(1, (25.0, 20.0, 75.0, 85.0), POINTS, 0.9, at_s, at_s)


def observe(pain: object, scores: object, **of_frame: int) -> Observation:
    return PainObserver(Reader(pain), Reader(scores)).observe(frame(**of_frame), face())


def test_a_look_says_how_likely_and_whether_that_is_enough() -> None:
    assert observe(0.7, seen()).value == PainLook(0.7, present=True)
    assert observe(0.2, seen()).value == PainLook(0.2, present=False)


@pytest.mark.parametrize("scores", [seen(eyes=0.1), seen(brow=0.1), seen(cheeks=0.1)])
def test_hidden_eyes_or_mouth_abstain_whatever_the_network_says(scores: object) -> None:
    got = observe(0.99, scores)
    assert (got.value, got.reason) == (None, Reason.OCCLUDED)


def test_darkness_no_face_and_a_network_that_fails_are_told() -> None:
    assert observe(0.9, seen(), level=3).reason is Reason.DARK
    assert PainObserver(Reader(0.9), Reader(seen())).observe(frame(), None).reason is Reason.NO_FACE
    assert observe(ModelError("broken"), seen()).reason is Reason.MODEL_FAILED
    assert observe(0.9, ModelError("broken")).reason is Reason.MODEL_FAILED


def test_a_manifest_without_its_threshold_is_refused() -> None:
    with pytest.raises(ModelError):
        PainObserver(Reader(0.9, {"eyes_visible": 0.4}), Reader(seen()))


def test_a_pain_model_tells_one_number() -> None:
    manifest = SimpleNamespace(
        label="pain@0.1.0", task="pain", input=SimpleNamespace(sized=lambda: (1, 3, 8, 8)), thresholds={}
    )

    class Network:
        def __init__(self, count: int) -> None:
            self.manifest, self._count = manifest, count

        def __call__(self, _: object) -> tuple[np.ndarray, ...]:
            return (np.zeros((1, self._count), np.float32),)

    assert PainModel(cast("Model", Network(1))).manifest.label == "pain@0.1.0"
    with pytest.raises(ModelError, match="tells 2 numbers"):
        PainModel(cast("Model", Network(2)))


def test_actions_without_a_threshold_for_their_regions_are_not_told() -> None:
    class Network:
        def __init__(self, *regions: str) -> None:
            self.manifest = SimpleNamespace(
                label="e@1",
                task="expression",
                input=SimpleNamespace(sized=lambda: (1, 3, 8, 8)),
                thresholds=dict.fromkeys(regions, 0.5),
            )

        def __call__(self, _: object) -> tuple[np.ndarray, ...]:
            return (np.zeros((1, 10), np.float32),)

    shown = ("eyes_visible", "mouth_visible", "brow_visible", "cheeks_visible")
    assert ExpressionModel(cast("Model", Network(*shown))).tells_actions
    assert not ExpressionModel(cast("Model", Network(*shown[:3]))).tells_actions


def test_the_cue_is_the_share_of_seconds_and_needs_half_of_the_window() -> None:
    estimator = StateEstimator(BED, StateSettings(pain_window_s=60.0))
    for i in range(60 * HZ):
        if i == 29 * HZ:
            assert estimator.state(i / HZ).pain_cue.value is None
        look = PainLook(0.9, present=i >= 45 * HZ) if i < 45 * HZ or i % HZ else PainLook(0.2, present=False)
        estimator.observe(Observation(BED, "pain_cue", i / HZ, look, None, 0.9, "pain@0.1.0"))
    cue = estimator.state(60.0 - 1 / HZ).pain_cue
    assert (cue.value, cue.quality) == (0.25, 1.0)
    actions = estimator.state(60.0 - 1 / HZ).pain_actions
    assert actions is not None
    assert (actions.coverage, actions.brow_bulge) == (1.0, None)
    for i in range(60 * HZ, 100 * HZ):
        estimator.observe(Observation(BED, "pain_cue", i / HZ, None, Reason.OCCLUDED, 0.0, "pain@0.1.0"))
    assert estimator.state(100.0 - 1 / HZ).pain_cue.reason is Reason.OCCLUDED


def test_looks_change_nothing_while_the_cue_is_off() -> None:
    estimator = StateEstimator(BED)
    estimator.observe(Observation(BED, "pain_cue", 0.0, PainLook(0.9, present=True), None, 0.9, "pain@0.1.0"))
    assert estimator.state(0.0).pain_cue.reason is Reason.DISABLED


def test_no_pain_model_is_named_by_default_and_one_alone_is_refused() -> None:
    assert Config().models.pain is None
    with pytest.raises(ValidationError, match=r"pain_cue\.enabled: true"):
        Config(models=Models(pain="pain"))
    assert "pain" in Config(models=Models(pain="pain"), pain_cue=PainCue(enabled=True)).models.names
