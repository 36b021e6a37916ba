"""The tracker: one id through occlusion, the infant and not the carer, and a face that does not tremble."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edgemon.config import Region
from edgemon.faces.track import FaceTracker, diou
from edgemon.records import Box, Face

SHAPE_HW = (480, 640)
PERIOD_S = 0.2
OFFSETS = np.array([[-0.2, -0.1], [0.2, -0.1], [0, 0.08], [-0.14, 0.25], [0.14, 0.25]])


@dataclass(frozen=True)
class Found:
    box: Box
    landmarks: NDArray[np.float32]
    score: float = 0.9


def found(x_px: float, y_px: float, size_px: float = 150.0, score: float = 0.9) -> Found:
    half = size_px / 2
    landmarks = (np.array([x_px, y_px]) + size_px * OFFSETS).astype(np.float32)
    return Found((x_px - half, y_px - half, x_px + half, y_px + half), landmarks, score)


INFANT = found(320, 260)


def watch(tracker: FaceTracker, from_s: float, seconds: float, *seen: Found) -> list[Face | None]:
    times = from_s + PERIOD_S * np.arange(1, round(seconds / PERIOD_S) + 1)
    return [tracker.update(seen, float(t), SHAPE_HW) for t in times]


def centre(face: Face | None) -> tuple[float, float]:
    assert face is not None
    return (face.box[0] + face.box[2]) / 2, (face.box[1] + face.box[3]) / 2


def test_one_lone_detection_is_no_face() -> None:
    tracker = FaceTracker()
    assert tracker.update([INFANT], 0.0, SHAPE_HW) is None
    assert tracker.update([], 0.2, SHAPE_HW) is None
    assert tracker.update([INFANT], 0.4, SHAPE_HW) is not None


def test_the_id_survives_an_occlusion_of_two_seconds() -> None:
    tracker = FaceTracker()
    before = watch(tracker, 0.0, 5.0, INFANT)[-1]
    hidden = watch(tracker, 5.0, 2.0)[-1]
    after = watch(tracker, 7.0, 1.0, INFANT)[0]
    assert before is not None
    assert hidden is not None
    assert after is not None
    assert before.track_id == hidden.track_id == after.track_id
    assert hidden.age_s == pytest.approx(2.0)
    assert after.age_s == 0.0


def test_a_face_gone_for_longer_than_three_seconds_is_gone() -> None:
    tracker = FaceTracker()
    first = watch(tracker, 0.0, 5.0, INFANT)[-1]
    assert tracker.predict(7.9) is not None
    assert tracker.predict(8.1) is None
    assert watch(tracker, 5.0, 4.0)[-1] is None
    again = watch(tracker, 9.0, 1.0, INFANT)[-1]
    assert first is not None
    assert again is not None
    assert again.track_id != first.track_id


def test_a_larger_face_outside_the_cot_is_never_followed() -> None:
    tracker = FaceTracker(Region(x0=0.25, y0=0.25, x1=0.9, y1=1.0))
    carer = found(100, 100, 260, 0.99)
    assert watch(tracker, 0.0, 3.0, carer)[-1] is None
    assert centre(watch(tracker, 3.0, 3.0, carer, INFANT)[-1]) == pytest.approx((320, 260), abs=1)
    assert watch(tracker, 6.0, 4.0, carer)[-1] is None


def test_a_carer_bending_over_the_cot_does_not_take_the_track() -> None:
    tracker = FaceTracker()
    infant = watch(tracker, 0.0, 10.0, INFANT)[-1]
    bending = watch(tracker, 10.0, 8.0, INFANT, found(480, 160, 280, 1.0))
    hiding = watch(tracker, 18.0, 2.0, found(330, 250, 300, 1.0))
    after = watch(tracker, 20.0, 1.0, INFANT)
    assert infant is not None
    assert {f.track_id for f in [*bending, *hiding, *after] if f} == {infant.track_id}


def test_the_infant_is_found_again_after_a_carer_has_hidden_it() -> None:
    tracker = FaceTracker()
    watch(tracker, 0.0, 20.0, INFANT)
    carer = found(330, 250, 300, 1.0)
    assert centre(watch(tracker, 20.0, 15.0, carer)[-1]) == pytest.approx((330, 250), abs=2)
    leaving = found(480, 160, 300, 1.0)
    assert centre(watch(tracker, 35.0, 14.0, INFANT, leaving)[-1]) == pytest.approx((320, 260), abs=2)


def test_a_lasting_face_replaces_a_fleeting_one() -> None:
    tracker = FaceTracker(Region(x0=0.2, y0=0.2, x1=0.8, y1=0.9))
    watch(tracker, 0.0, 1.0, found(180, 140, 150, 0.95))
    assert centre(watch(tracker, 1.0, 12.0, INFANT)[-1]) == pytest.approx((320, 260), abs=1)


def test_a_face_turned_within_the_picture_keeps_its_id() -> None:
    tracker = FaceTracker()
    faces = [
        tracker.update([found(320 + 60 * np.sin(t), 260 + 40 * np.cos(t))], t, SHAPE_HW)
        for t in np.arange(0.0, 12.0, PERIOD_S)
    ]
    assert len({f.track_id for f in faces if f}) == 1


def test_jitter_is_smoothed_and_frames_between_detections_never_jump() -> None:
    rng = np.random.default_rng(0)
    tracker = FaceTracker()
    shown = []
    for k in range(300):
        if k % 6 == 0:
            face = tracker.update([found(*(np.array([320.0, 260.0]) + rng.normal(0, 2.0, 2)))], k / 30, SHAPE_HW)
        else:
            face = tracker.predict(k / 30)
        if face is not None and k > 60:
            shown.append(face.landmarks[2])
    path = np.array(shown)
    assert path.std(axis=0).max() < 1.2, "of 2 px of jitter"
    assert np.abs(np.diff(path, axis=0)).max() < 0.5


def test_a_fast_move_is_followed_at_once() -> None:
    tracker = FaceTracker()
    watch(tracker, 0.0, 5.0, INFANT)
    watch(tracker, 5.0, 0.2, found(370, 260))
    assert centre(tracker.predict(5.4))[0] == pytest.approx(370, abs=3)


def test_trackers_share_no_ids() -> None:
    one, other = FaceTracker(), FaceTracker()
    assert [f.track_id for f in watch(one, 0.0, 1.0, INFANT) if f] == [
        f.track_id for f in watch(other, 0.0, 1.0, INFANT) if f
    ]


boxes = st.tuples(st.floats(0, 300), st.floats(0, 300), st.floats(5, 200), st.floats(5, 200)).map(
    lambda v: (v[0], v[1], v[0] + v[2], v[1] + v[3])
)


@given(a=boxes, b=boxes)
@settings(max_examples=100, deadline=None)
def test_diou_is_symmetric_bounded_and_one_for_the_same_box(a: Box, b: Box) -> None:
    assert diou(a, b) == pytest.approx(diou(b, a))
    assert -1 <= diou(a, b) <= 1 + 1e-9
    assert diou(a, a) == pytest.approx(1.0)


@given(
    st.lists(
        st.tuples(st.floats(0.01, 2.0), st.lists(st.tuples(st.floats(0, 640), st.floats(0, 480)), max_size=3)),
        max_size=30,
    )
)
@settings(max_examples=50, deadline=None)
def test_whatever_is_detected_the_face_is_valid_and_recent(
    steps: list[tuple[float, list[tuple[float, float]]]],
) -> None:
    tracker, now_s = FaceTracker(), 0.0
    for step_s, places in steps:
        now_s += step_s
        face = tracker.update([found(x, y) for x, y in places], now_s, SHAPE_HW)
        assert face is None or face.age_s <= 3.0
