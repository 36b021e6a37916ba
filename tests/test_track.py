"""The tracker: one id through occlusion, the infant and not the carer, and a face that does not tremble."""

from __future__ import annotations

import itertools
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


def test_a_face_hidden_for_longer_is_not_shown_but_known_again() -> None:
    """From 3 s on nothing is claimed; within 30 s one detection near where it was is the same face at once."""
    tracker = FaceTracker()
    first = watch(tracker, 0.0, 5.0, INFANT)[-1]
    assert tracker.predict(7.9) is not None
    assert tracker.predict(8.1) is None
    assert watch(tracker, 5.0, 20.0)[-1] is None
    again = watch(tracker, 25.0, 1.0, found(380, 300, 140))[0]
    assert first is not None
    assert again is not None
    assert again.track_id == first.track_id


def test_after_half_a_minute_it_is_another_track() -> None:
    """So the trace of the skin, and the heart rate, begin anew."""
    tracker = FaceTracker()
    first = watch(tracker, 0.0, 5.0, INFANT)[-1]
    watch(tracker, 5.0, 31.0)
    lone, *_, again = watch(tracker, 36.0, 1.0, INFANT)
    assert first is not None
    assert lone is None
    assert again is not None
    assert again.track_id > first.track_id


def test_an_infant_laid_down_elsewhere_is_found_once_it_lies_still() -> None:
    tracker = FaceTracker()
    first = watch(tracker, 0.0, 10.0, INFANT)[-1]
    moved = watch(tracker, 10.0, 8.0, found(120, 120))
    assert centre(moved[-1]) == pytest.approx((120, 120), abs=1)
    assert first is not None
    assert first.track_id not in {f.track_id for f in moved[16:] if f}


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


def leaning(at_s: float) -> Found:
    """A carer's face that comes in over the upper border, grows, stays a while, never quite still, and goes."""
    share = float(np.clip(min(at_s, 12 - at_s) / 2, 0, 1))
    return found(420 - 100 * share, 40 + 200 * share + 6 * np.sin(3 * at_s), 180 + 90 * share, 0.99)


@pytest.mark.parametrize("hides", [False, True])
def test_a_carer_who_leans_in_is_never_taken_for_the_infant(hides: bool) -> None:
    """Larger, from the border, moving, for seconds: whether the infant's face stays in view or not."""
    tracker = FaceTracker()
    infant = watch(tracker, 0.0, 10.0, INFANT)[-1]
    faces = []
    for k in range(60):
        at_s = 10.0 + k * PERIOD_S
        carer = leaning(at_s - 10.0)
        seen = [carer] if hides and (carer.box[1] + carer.box[3]) / 2 > 140 else [INFANT, carer]
        faces.append(tracker.update(seen, at_s, SHAPE_HW))
    faces += watch(tracker, 22.0, 2.0, INFANT)
    assert infant is not None
    assert {f.track_id for f in faces if f} == {infant.track_id}
    assert all(centre(f) == pytest.approx((320, 260), abs=3) for f in faces if f)
    assert faces[-1] is not None


def test_a_carer_who_hides_the_infant_for_long_is_not_taken_for_it_either() -> None:
    tracker = FaceTracker()
    watch(tracker, 0.0, 20.0, INFANT)
    carer = found(330, 250, 300, 1.0)
    assert set(watch(tracker, 23.2, 60.0, carer)) == {None}
    assert centre(watch(tracker, 84.0, 3.0, INFANT, found(480, 160, 300, 1.0))[-1]) == pytest.approx((320, 260), abs=2)


def test_a_camera_moved_closer_finds_the_infant_again_after_two_minutes() -> None:
    tracker = FaceTracker()
    watch(tracker, 0.0, 20.0, INFANT)
    closer = found(330, 250, 300)
    assert set(watch(tracker, 23.2, 110.0, closer)) == {None}
    assert centre(watch(tracker, 133.2, 15.0, closer)[-1]) == pytest.approx((330, 250), abs=2)


def test_a_carer_seen_first_gives_way_to_the_infant() -> None:
    tracker = FaceTracker()
    carer = found(330, 180, 290, 1.0)
    assert centre(watch(tracker, 0.0, 20.0, carer)[-1]) == pytest.approx((330, 180), abs=2)
    assert centre(watch(tracker, 20.0, 8.0, INFANT)[-1]) == pytest.approx((320, 260), abs=2)
    assert centre(watch(tracker, 28.0, 8.0, INFANT, carer)[-1]) == pytest.approx((320, 260), abs=2)


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


def test_a_steady_move_is_foreseen_and_dies_away() -> None:
    """Between detections half a second apart the face is shown ahead of the last one, and soon rests."""
    tracker = FaceTracker()
    for k in range(6):
        tracker.update([found(200 + 75 * k, 260)], 0.5 * k, SHAPE_HW)
    last, ahead, later = 575.0, centre(tracker.predict(2.9))[0], centre(tracker.predict(5.4))[0]
    assert last + 15 < ahead < last + 75
    assert later - ahead < 30


def test_one_detection_that_a_hand_has_spoilt_does_not_lose_the_face() -> None:
    """Smaller and aside, as of a face half covered: the next whole one is still the same."""
    tracker = FaceTracker()
    before = watch(tracker, 0.0, 10.0, INFANT)[-1]
    spoilt = watch(tracker, 10.0, 0.2, found(370, 310, 105, 0.7))
    after = watch(tracker, 10.2, 1.0, found(315, 255, 165))
    assert centre(spoilt[0]) == pytest.approx((320, 260), abs=1)
    assert before is not None
    assert {f.track_id for f in after if f} == {before.track_id}
    assert centre(after[1]) == pytest.approx((315, 255), abs=4)


def test_trackers_do_not_influence_each_other() -> None:
    one, other = FaceTracker(), FaceTracker()
    assert [f.track_id for f in watch(one, 0.0, 1.0, INFANT) if f] == [
        f.track_id for f in watch(other, 0.0, 1.0, INFANT) if f
    ]


def test_a_face_on_a_common_edge_belongs_to_one_region() -> None:
    left, right = FaceTracker(Region(x1=0.5)), FaceTracker(Region(x0=0.5))
    assert [watch(t, 0.0, 1.0, INFANT)[-1] is not None for t in (left, right)] == [False, True]


def test_calm_is_a_face_found_in_one_place_alone() -> None:
    tracker = FaceTracker()
    watch(tracker, 0.0, 10.0, INFANT)
    assert tracker.still_s(10.0) == pytest.approx(9.8)
    watch(tracker, 10.0, 0.2, INFANT, found(480, 100))
    assert tracker.still_s(10.2) == 0.0
    watch(tracker, 10.2, 5.0, INFANT)
    assert tracker.still_s(15.2) > 9.0
    watch(tracker, 15.2, 0.2)
    assert tracker.still_s(15.4) == 0.0
    watch(tracker, 15.4, 1.0, INFANT)
    assert tracker.still_s(16.4) < 1.1


boxes = st.tuples(st.floats(0, 300), st.floats(0, 300), st.floats(5, 200), st.floats(5, 200)).map(
    lambda v: (v[0], v[1], v[0] + v[2], v[1] + v[3])
)


@given(a=boxes, b=boxes)
@settings(max_examples=100, deadline=None)
def test_diou_is_symmetric_bounded_and_one_for_the_same_box(a: Box, b: Box) -> None:
    assert diou(a, b) == pytest.approx(diou(b, a))
    assert -1 <= diou(a, b) <= 1 + 1e-9
    assert diou(a, a) == pytest.approx(1.0)


places = st.tuples(st.floats(-50, 700), st.floats(-50, 530), st.floats(20, 300), st.floats(0.1, 1.0))


@given(st.lists(st.tuples(st.floats(-1.0, 4.0), st.lists(places, max_size=3)), max_size=60))
@settings(max_examples=100, deadline=None)
def test_whatever_is_detected_the_laws_hold(
    steps: list[tuple[float, list[tuple[float, float, float, float]]]],
) -> None:
    """Shown faces lie in the cot region and are recent, time never goes back, and an id that has gone stays gone."""
    cot = Region(x0=0.1, y0=0.2, x1=0.7, y1=0.9)
    tracker, now_s = FaceTracker(cot), 0.0
    shown: list[Face] = []
    for step_s, seen in steps:
        now_s += step_s
        updated = tracker.update([found(*place) for place in seen], now_s, SHAPE_HW)
        shown += [face for face in (updated, tracker.predict(now_s + 0.1), tracker.predict(now_s)) if face]
    for face in shown:
        x_px, y_px = centre(face)
        assert 0.1 * 640 <= x_px < 0.7 * 640
        assert 0.2 * 480 <= y_px < 0.9 * 480
        assert face.age_s <= 3.0
    ids = [face.track_id for face in shown]
    runs = [track_id for track_id, _ in itertools.groupby(ids)]
    pairs = list(itertools.pairwise(shown))
    assert all(a.detected_s <= b.detected_s for a, b in pairs if a.track_id == b.track_id)
    assert len(set(runs)) == len(runs)
