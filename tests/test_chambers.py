"""The 38 features of Chambers 2020: published names, known values, the same wherever the infant lies."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from moving import Array, keypoints, scored, swinging, times, turned

from edgemon.movement import chambers

HZ = 20.0


def told(swings: dict[int, tuple[float, float, float]], seconds: float = 60.0) -> dict[str, float]:
    return chambers.features(times(seconds, HZ), scored(swinging(times(seconds, HZ), swings)))


def test_there_are_the_published_38() -> None:
    """As in the authors' list without its four of speed."""
    assert len(chambers.FEATURES) == len(set(chambers.FEATURES)) == 38
    assert set(told({})) == set(chambers.FEATURES)


def test_an_infant_at_rest() -> None:
    """Places and angles are those of the made infant; nothing varies."""
    rest = told({})
    assert rest["Wrist_medianx"] == pytest.approx((0.70 - 0.72) / 2, abs=1e-6)
    assert rest["Wrist_mediany"] == pytest.approx((0.50 + 0.46) / 2, abs=1e-6)
    assert rest["Ankle_mediany"] == pytest.approx(1 + (0.65 + 0.68) / 2, abs=1e-6)  # the hips' middle lies at 1
    left = np.degrees(np.arctan2(62 - 40, 25)), np.degrees(np.arctan2(70 - 62, 25))
    right = np.degrees(np.arctan2(60 - 40, 22)), np.degrees(np.arctan2(72 - 60, 24))
    bends = [180 - (upper - lower) for upper, lower in (left, right)]
    assert rest["Elbow_mean_angle"] == pytest.approx(np.mean(bends), abs=1e-3)
    varies = [name for name in chambers.FEATURES if "median" not in name and "mean_angle" not in name]
    assert [rest[name] for name in varies if "lrCorr" not in name] == pytest.approx(
        [0.0] * len([name for name in varies if "lrCorr" not in name]), abs=1e-6
    )
    assert all(np.isnan(rest[name]) for name in varies if "lrCorr" in name)  # no correlation of what never changes


def test_a_slow_sine_has_the_spread_and_speed_of_a_sine() -> None:
    """Both wrists: the IQR of a sine is sqrt 2 times its amplitude, its median absolute velocity sqrt 2 pi f A."""
    amplitude, hz = 0.3, 0.1
    slow = told({4: (amplitude, hz, 0.0), 5: (amplitude, hz, 0.0)}, seconds=120)
    assert slow["Wrist_IQRx"] == pytest.approx(np.sqrt(2) * amplitude, rel=0.03)
    assert slow["Wrist_medianvelx"] == pytest.approx(np.sqrt(2) * np.pi * hz * amplitude, rel=0.04)
    assert slow["Wrist_IQRvelx"] == pytest.approx(np.sqrt(2) * 2 * np.pi * hz * amplitude, rel=0.04)
    assert slow["Wrist_IQRaccx"] == pytest.approx(np.sqrt(2) * (2 * np.pi * hz) ** 2 * amplitude, rel=0.05)
    assert slow["Ankle_IQRx"] == pytest.approx(0.0, abs=1e-6)
    assert slow["Wrist_lrCorr_x"] == pytest.approx(-1.0, abs=0.02)  # one comes near as the other goes away


def test_an_entropy_is_that_of_the_rounded_places() -> None:
    """Even over n values of x at one of y: half of log n nats."""
    at_s = times(60, HZ)
    places = swinging(at_s, {})
    for joint in (4, 5):
        places[:, joint, 0] += np.linspace(0, 40, len(at_s))  # 0.4 trunks in cells of a hundredth
    entropy = chambers.features(at_s, scored(places))["Wrist_meanent"]
    assert entropy == pytest.approx(np.log(40) / 2, rel=0.03)


turns = st.tuples(st.floats(0.3, 3), st.floats(-3.1, 3.1), st.tuples(st.floats(-200, 200), st.floats(-200, 200)))


@settings(max_examples=20, deadline=None)
@given(turns, st.integers(0, 2**16))
def test_where_the_infant_lies_makes_no_difference(turn: tuple[float, float, tuple[float, float]], seed: int) -> None:
    at_s = times(30, HZ)
    rng = np.random.default_rng(seed)
    places = swinging(at_s, {j: (rng.uniform(0.05, 0.4), rng.uniform(0.1, 1), rng.uniform(0, 6)) for j in range(14)})
    one = chambers.features(at_s, scored(places))
    other = chambers.features(at_s, scored(turned(places, *turn)))
    for name in chambers.FEATURES:
        close = 0.05 if "ent" in name.split("_")[1] else 1e-6
        assert other[name] == pytest.approx(one[name], rel=1e-6, abs=close), name


def test_what_is_not_seen_or_too_slow_is_not_told() -> None:
    """A hidden ankle takes the ankles' features with it and the knees', and no others; 5 poses a second take all."""
    at_s = times(60, HZ)
    places = swinging(at_s, {4: (0.2, 0.3, 0), 5: (0.2, 0.4, 0)})
    hidden = chambers.features(at_s, scored(places, seen=lambda joint: joint != 10))
    unknown = {name for name, value in hidden.items() if np.isnan(value)}
    assert {n for n in chambers.FEATURES if n.startswith(("Ankle", "Knee"))} == unknown
    slow_s = times(60, 5)
    slow = chambers.features(slow_s, scored(swinging(slow_s, {})))
    assert all(np.isnan(value) for value in slow.values())


@pytest.mark.parametrize(
    ("seconds", "ends"), [(130, [60, 120]), (155, [60, 120, 155]), (20, [20]), (0.05, []), (60, [60])]
)
def test_a_row_for_each_minute(seconds: float, ends: list[float]) -> None:
    at_s = times(seconds, HZ)
    poses = [keypoints(place) for place in swinging(at_s, {})]
    found = chambers.rows("a", list(at_s), poses)
    assert [row.end_s for row in found] == pytest.approx(ends, abs=0.06)
    assert all(len(row.values) == 38 and row.pose_hz == pytest.approx(HZ) and row.seen == 1.0 for row in found)


def _published_sd(angles_deg: Array) -> float:
    """The authors' sqrt(degrees(1 - R))."""
    return float(np.sqrt(np.degrees(1 - abs(np.exp(1j * np.radians(angles_deg)).mean()))))


def test_our_sd_of_an_angle_gives_the_published_one() -> None:
    """As the module says: R = exp(-SD^2 / 2)."""
    angles = np.random.default_rng(4).normal(140, 20, 500)
    ours = chambers._angle_features(angles, HZ)["stdev_angle"]
    assert ours == pytest.approx(20, rel=0.1)
    assert np.sqrt(np.degrees(1 - np.exp(-(np.radians(ours) ** 2) / 2))) == pytest.approx(_published_sd(angles))
