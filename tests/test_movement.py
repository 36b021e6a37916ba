"""A minute of movement: known speeds are told, wherever the infant lies; what was not seen is None."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from moving import REST, TRUNK_PX, Array, keypoints, pose, scored, swinging, times, turned

from edgemon.movement import MovementWindow, formulas, summarize, summarize_motion, track_of
from edgemon.movement.body import FASTEST_HZ, rate_hz
from edgemon.records import LimbMovement, Motion, MovementSummary

L_WRIST, R_WRIST, L_ANKLE, R_ANKLE = 4, 5, 10, 11
L_HIP, R_HIP = 6, 7


def minute(places: Array, at_s: Array, scores: Array | float = 1.0) -> MovementSummary:
    """The summary of a minute of places (n, 14, 2)."""
    track = track_of(list(at_s), [keypoints(p, scores) for p in places])
    return summarize("a", 0.0, 60.0, track, [])


def told(limb: LimbMovement) -> tuple[float, float]:
    assert limb.speed_trunks_s is not None
    assert limb.active is not None
    return limb.speed_trunks_s, limb.active


@pytest.mark.parametrize("hz", [10, 15, 30])
def test_a_limb_that_swings_has_the_speed_it_swings_with(hz: float) -> None:
    """A sine of amplitude A and f Hz covers 4 A f a second; the rest of the infant is still."""
    at_s = times(60, hz)
    summary = minute(swinging(at_s, {L_WRIST: (0.3, 0.5, 0.0)}), at_s)
    speed, active = told(summary.left_arm)
    assert speed == pytest.approx(4 * 0.3 * 0.5, rel=0.12)
    assert active == pytest.approx(2 / np.pi * np.arccos(0.25 / (0.3 * np.pi)), abs=0.06)
    assert told(summary.right_arm) == told(summary.left_leg) == told(summary.right_leg) == (0.0, 0.0)
    assert summary.index == pytest.approx(active / 4)
    assert summary.still == pytest.approx(1 - active)
    assert summary.dominant_hz == pytest.approx(0.5, abs=0.07)
    assert summary.coverage == pytest.approx(1.0, abs=0.01)
    assert summary.pose_hz == pytest.approx(hz)


@pytest.mark.parametrize("fps", [10, 12, 15, 24, 25, 30])
def test_ten_poses_a_second_are_ten_whatever_frames_they_come_with(fps: int) -> None:
    """Of 25 frames a second a pose comes after two or three."""
    due = np.arange(0, 60, 0.1)
    at_s = np.unique(np.ceil(due * fps - 1e-6) / fps)
    summary = minute(swinging(at_s, {L_WRIST: (0.3, 0.5, 0.0)}), at_s)
    assert summary.pose_hz == pytest.approx(10, rel=0.01)
    assert told(summary.left_arm)[0] == pytest.approx(4 * 0.3 * 0.5, rel=0.2)
    assert summary.dominant_hz == pytest.approx(0.5, abs=0.07)


@pytest.mark.parametrize("at_s", [[], [1.0], [1.0, 1.0], [0.0, 1e-9, 2e-9, 59.0]])
def test_odd_times_have_a_rate_that_is_a_number(at_s: list[float]) -> None:
    assert 0 <= rate_hz(np.array(at_s)) <= FASTEST_HZ


@pytest.mark.parametrize("hz", [0.5, 1.0, 2.0, 5.0])
def test_a_limb_that_drifts_is_told_at_any_rate(hz: float) -> None:
    """At a steady speed even two poses a second apart tell all; what needs more poses is not told."""
    at_s = times(60, hz)
    places = swinging(at_s, {})
    triangle = 1.6 * TRUNK_PX * (1 - np.abs((at_s / 4) % 2 - 1))  # 0.4 trunks a second, back and forth in 8 s
    places[:, R_ANKLE, 1] += triangle
    summary = minute(places, at_s)
    speed, active = told(summary.right_leg)
    assert speed == pytest.approx(0.4, rel=0.08)  # a step across a turn is shorter than the limb's way
    assert active > 0.85
    needs_more = (summary.dominant_hz, summary.spectral_entropy, summary.arms_correlation, summary.legs_correlation,
                  summary.onsets, summary.synchrony)  # fmt: skip
    assert needs_more == (None,) * 6


def test_noise_of_a_pixel_is_no_movement() -> None:
    """At rest with joints that waver by one pixel of a trunk of fifty."""
    rng = np.random.default_rng(1)
    for hz in (1, 5, 10, 30):
        at_s = times(60, hz)
        places = swinging(at_s, {}) / 2 + rng.normal(0, 1, (len(at_s), 14, 2))
        summary = minute(places, at_s)
        assert summary.index is not None
        assert summary.index < 0.01, hz


turns = st.tuples(st.floats(0.3, 3), st.floats(-3.1, 3.1), st.tuples(st.floats(-200, 200), st.floats(-200, 200)))


@settings(max_examples=20, deadline=None)
@given(turns, st.sampled_from([1.0, 12.0]), st.integers(0, 2**16))
def test_where_the_infant_lies_makes_no_difference(
    turn: tuple[float, float, tuple[float, float]], hz: float, seed: int
) -> None:
    """Translation, scale and rotation of the picture leave every field as it was."""
    at_s = times(60, hz)
    rng = np.random.default_rng(seed)
    swings = {joint: (rng.uniform(0.05, 0.4), rng.uniform(0.1, 2), rng.uniform(0, 6)) for joint in (4, 5, 10, 11)}
    places = swinging(at_s, swings)
    one, other = minute(places, at_s), minute(turned(places, *turn), at_s)
    for field in fields(MovementSummary):
        a, b = getattr(one, field.name), getattr(other, field.name)
        if field.name == "position_entropy_bits":
            assert a == pytest.approx(b, abs=0.5)  # float32 may put a place into the next cell
        elif field.name == "onsets":
            assert abs((a or 0) - (b or 0)) <= 2  # and a speed across the threshold
        elif isinstance(a, LimbMovement):
            assert told(a) == pytest.approx(told(b), abs=0.01)
        elif isinstance(a, float) and field.name != "synchrony":
            assert a == pytest.approx(b, abs=0.01), field.name


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**16))
def test_left_and_right_change_places_with_the_infant(seed: int) -> None:
    """The mirrored infant's left arm is the right one."""
    at_s = times(60, 12)
    rng = np.random.default_rng(seed)
    places = swinging(at_s, {joint: (rng.uniform(0, 0.4), rng.uniform(0.1, 2), 0.0) for joint in (4, 5, 10, 11)})
    mirrored = (places * (-1, 1))[:, [1, 0, 3, 2, 5, 4, 7, 6, 9, 8, 11, 10, 12, 13]]
    one, other = minute(places, at_s), minute(mirrored, at_s)
    for a, b in zip(one.limbs, np.array(other.limbs)[[1, 0, 3, 2]], strict=True):
        assert told(a) == pytest.approx(told(b), abs=1e-3)


def test_limbs_that_swing_together_correlate_and_those_in_turn_do_not() -> None:
    """Speeds, not places: alternating kicks of one rate correlate too, a quarter of a period apart they oppose."""
    at_s = times(60, 20)
    same = minute(swinging(at_s, {4: (0.3, 0.5, 0.0), 5: (0.3, 0.5, 0.0)}), at_s)
    apart = minute(swinging(at_s, {10: (0.3, 0.5, 0.0), 11: (0.3, 0.5, np.pi / 2)}), at_s)
    assert same.arms_correlation == pytest.approx(1.0, abs=0.01)
    assert apart.legs_correlation is not None
    assert apart.legs_correlation < -0.8
    assert same.legs_correlation is None  # neither moved at all


def bursts(at_s: Array, starts: dict[int, list[float]]) -> Array:
    """Each joint moves away and back within a second from each of its starts."""
    places = swinging(at_s, {})
    for joint, begun in starts.items():
        for start_s in begun:
            phase = np.clip(at_s - start_s, 0, 1)
            places[:, joint, 1] += 0.3 * TRUNK_PX * np.sin(np.pi * phase)
    return places


def test_onsets_are_synchronous_where_three_limbs_begin_together() -> None:
    """Three limbs at once five times, and one alone five times: 15 of 20."""
    at_s = times(60, 20)
    together, alone = [3.0, 15.0, 27.0, 39.0, 51.0], [9.0, 21.0, 33.0, 45.0, 57.0]
    summary = minute(bursts(at_s, {4: together, 5: together, 10: together + alone}), at_s)
    assert summary.onsets == 20
    assert summary.synchrony == pytest.approx(15 / 20)
    one_by_one = minute(bursts(at_s, {4: alone, 5: together}), at_s)
    assert (one_by_one.onsets, one_by_one.synchrony) == (10, 0.0)


def test_spectral_entropy_tells_one_rate_from_many() -> None:
    """Near 0 for one sine, near 1 for noise, and not told of limbs at rest."""
    at_s = times(60, 20)
    rng = np.random.default_rng(3)
    noise = swinging(at_s, {})
    noise[:, 4] += rng.normal(0, 12, (len(at_s), 2))
    sine, many = minute(swinging(at_s, {4: (0.4, 1.0, 0)}), at_s), minute(noise, at_s)
    assert sine.spectral_entropy is not None
    assert many.spectral_entropy is not None
    assert sine.spectral_entropy < 0.35
    assert many.spectral_entropy > 0.85
    assert minute(swinging(at_s, {}), at_s).spectral_entropy is None


def test_position_entropy_grows_with_the_places_a_limb_visits() -> None:
    """None visited: 0 bits; 8 cells alike on one limb of four: 3 / 4 bits."""
    at_s = times(64, 1)
    places = swinging(at_s, {})
    assert minute(places, at_s).position_entropy_bits == 0.0
    places[:, L_WRIST, 1] += np.arange(64) % 8 * 0.1 * TRUNK_PX
    assert minute(places, at_s).position_entropy_bits == pytest.approx(3 / 4)


def test_a_limb_under_a_blanket_is_not_told() -> None:
    """Legs that are not seen have neither speed nor a part in the index; hidden hips do not hide the arms."""
    at_s = times(60, 1)
    places = swinging(at_s, {})
    covered = np.array([float(j not in (6, 7, 8, 9, 10, 11)) for j in range(14)])
    summary = minute(places, at_s, covered)
    assert summary.left_leg == summary.right_leg == LimbMovement(0.0, None, None)
    assert told(summary.left_arm) == (0.0, 0.0)
    assert summary.coverage == pytest.approx(0.5, abs=0.02)
    assert summary.index == 0.0
    nothing = minute(places, at_s, 0.0)
    assert (nothing.index, nothing.still, nothing.position_entropy_bits, nothing.coverage) == (None, None, None, 0.0)


@pytest.mark.parametrize(
    ("hz", "seen", "is_told"), [(1, 0.8, True), (1, 0.6, False), (20, 0.8, True), (20, 0.6, False)]
)
def test_seventy_percent_must_be_seen(hz: float, seen: float, is_told: bool) -> None:
    """A limb seen in one long part of the minute only."""
    at_s = times(60 * seen, hz)
    summary = minute(swinging(at_s, {}), at_s)
    assert (summary.index is not None) == is_told
    assert summary.coverage == pytest.approx(seen, abs=0.03)


def test_short_gaps_of_a_fast_track_are_bridged_and_long_ones_are_not() -> None:
    """Every fourth pose missing changes nothing; three seconds without any are not seen."""
    at_s = times(60, 20)
    places = swinging(at_s, {4: (0.3, 0.5, 0.0)})
    some = np.arange(len(at_s)) % 4 != 0
    whole, thin = minute(places, at_s), minute(places[some], at_s[some])
    assert told(thin.left_arm) == pytest.approx(told(whole.left_arm), abs=0.04)
    gap = (at_s < 20) | (at_s > 23)
    assert minute(places[gap], at_s[gap]).left_arm.seen == pytest.approx(57 / 60, abs=0.02)


def test_window_tells_each_minute_once() -> None:
    """Minutes follow one another; what nothing came in is not told; a pose out of order is left out."""
    window = MovementWindow("a")
    assert window.summary(1e6) is None
    for t_s in np.arange(100.0, 230.0):
        window.pose(pose(REST + 300), t_s)
        window.pose(pose(REST), t_s - 3)
        window.motion(Motion(t_s, 0.0, None, None))
    assert window.summary(159.9) is None
    first, second = window.summary(230.0), window.summary(230.0)
    assert first is not None
    assert second is not None
    assert [(s.bed, s.start_s, s.end_s) for s in (first, second)] == [("a", 100.0, 160.0), ("a", 160.0, 220.0)]
    assert first.index == 0.0
    assert first.motion is not None
    assert window.summary(230.0) is None
    window.pose(pose(REST), 1000.0)
    third, fourth = window.summary(1100.0), window.summary(1100.0)
    assert third is not None
    assert fourth is not None
    assert (third.start_s, third.index) == (220.0, None)  # ten poses are no minute
    assert (fourth.start_s, fourth.end_s) == (1000.0, 1060.0)
    assert window.summary(1e6) is None


def test_motion_tells_quantity_and_centroid() -> None:
    """A centroid on a circle: its SD is the radius, its speed the arc a second."""
    at_s = times(60, 30)
    turn = 2 * np.pi * 0.5 * at_s
    quantity = 0.05 + 0.03 * np.sin(2 * np.pi * 1.5 * at_s)
    frames = [
        Motion(float(t), float(q), 0.5 + 0.1 * float(np.cos(a)), 0.4 + 0.1 * float(np.sin(a)))
        for t, q, a in zip(at_s, quantity, turn, strict=True)
    ]
    summary = summarize_motion(frames)
    assert summary is not None
    assert summary.quantity == pytest.approx(0.05, abs=1e-3)
    assert summary.quantity_sd == pytest.approx(0.03 / np.sqrt(2), rel=0.01)
    assert (summary.x, summary.y) == (pytest.approx(0.5, abs=1e-3), pytest.approx(0.4, abs=1e-3))
    assert summary.centroid_sd == pytest.approx(0.1, rel=0.01)
    assert summary.centroid_speed == pytest.approx(0.1 * np.pi, rel=0.01)
    assert summary.centroid_acceleration == pytest.approx(0.1 * np.pi**2, rel=0.01)
    assert summary.dominant_hz == pytest.approx(1.5, abs=0.07)
    assert summary.moving == 1.0
    assert summarize_motion(frames[:1]) is None


def test_a_still_picture_has_no_centroid() -> None:
    summary = summarize_motion([Motion(i / 30, 0.0, None, None) for i in range(1800)])
    assert summary is not None
    assert (summary.quantity, summary.moving) == (0.0, 0.0)
    assert (summary.x, summary.centroid_sd, summary.centroid_speed, summary.dominant_hz) == (None,) * 4


def test_bridged_is_linear_and_never_invents() -> None:
    """Inside short gaps the straight line; NaN in long gaps, before the first and after the last."""
    values = formulas.bridged(
        np.array([-1.0, 0.0, 0.5, 1.0, 2.0, 2.5, 3.0, 3.5]),
        np.array([0.0, 1.0, 3.0]),
        np.array([0.0, 10.0, 20.0]),
        max_gap_s=1.0,
    )
    assert values == pytest.approx([np.nan, 0, 5, 10, np.nan, np.nan, 20, np.nan], nan_ok=True)


def test_scores_are_part_of_the_track() -> None:
    """An end below the threshold is NaN; with three of the trunk's joints hidden nothing is told."""
    joints = scored(swinging(times(5, 1), {}), seen=lambda joint: joint != R_WRIST)
    track = track_of([0, 1, 2, 3, 4], list(joints.astype(np.float32)))
    assert np.isnan(track.ends[:, 1]).all()
    assert np.isfinite(track.ends[:, [0, 2, 3]]).all()
    assert track.ends[0, 0] == pytest.approx([0.7, -0.5])
    hidden = scored(swinging(times(5, 1), {}), seen=lambda joint: joint not in (1, L_HIP, R_HIP))
    assert np.isnan(track_of([0, 1, 2, 3, 4], list(hidden.astype(np.float32))).ends).all()
