"""Which estimates of a heart rate are told."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from edgemon.observations.telling import Telling

Estimates = list[tuple[float, float]]


def told(estimates: Estimates) -> list[bool]:
    """For estimates (bpm, quality), one a second."""
    telling = Telling(0.7)
    return [telling.tells(bpm, quality, float(second)) for second, (bpm, quality) in enumerate(estimates)]


def test_a_rate_is_told_when_it_comes_again() -> None:
    assert told([(150, 0.9), (152, 0.9), (151, 0.9)]) == [False, True, True]


def test_a_sure_peak_of_noise_is_not_told() -> None:
    assert not any(told([(150, 0.95), (150, 0.1), (210, 0.95), (90, 0.95), (150, 0.95)]))


def test_a_rate_that_goes_on_may_be_less_sure() -> None:
    assert told([(150, 0.8), (150, 0.8), (150, 0.55), (150, 0.55), (150, 0.4)]) == [False, True, True, True, False]
    assert not any(told([(150, 0.55)] * 20))


def test_after_ten_silent_seconds_it_must_come_twice_again() -> None:
    silent: Estimates = [(150, 0.1)] * 11
    assert told([(150, 0.8), (150, 0.8), *silent, (150, 0.8), (150, 0.8)])[-2:] == [False, True]
    assert told([(150, 0.8), (150, 0.8), *silent[:5], (150, 0.8)])[-1]


def test_a_leap_is_told_once_it_has_held_for_a_window() -> None:
    seen = told([(150, 0.9)] * 5 + [(210, 0.9)] * 15)
    assert seen[1:5] == [True] * 4
    assert seen[5:15] == [False] * 10
    assert seen[-1]


def test_another_face_must_come_twice_too() -> None:
    telling = Telling(0.7)
    assert [telling.tells(150, 0.9, at_s) for at_s in (0.0, 1.0)] == [False, True]
    telling.forget()
    assert [telling.tells(150, 0.9, at_s) for at_s in (2.0, 3.0)] == [False, True]


@given(st.lists(st.tuples(st.floats(72, 240), st.floats(0, 1)), max_size=60))
def test_nothing_unsure_is_told_and_nothing_told_is_alone(estimates: Estimates) -> None:
    seen = np.array(told(estimates), bool)
    for second in np.flatnonzero(seen):
        bpm, quality = estimates[second]
        assert quality >= 0.5
        recent = estimates[max(0, second - 10) : second]
        assert any(q >= 0.5 for b, q in recent), bpm
