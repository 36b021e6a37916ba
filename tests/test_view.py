"""Clear, dark or covered: what the thumbnail says of a view without a face, on pictures of the demo clip."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edgemon.config import Bed, Region
from edgemon.faces.view import View
from edgemon.frames import open_source
from edgemon.records import Box, Reason

Picture = NDArray[np.uint8]
FACE: Box = (245.0, 165.0, 405.0, 345.0)
STEP_S = 0.2


@pytest.fixture(scope="module")
def cot() -> Picture:
    """The demo's first picture."""
    source = open_source(Bed(id="cot-1", source="clip"), paced=False)
    source.open()
    frame = source.read()
    source.close()
    assert frame is not None
    return frame.rgb


def noisy(picture: NDArray[np.generic], seed: int = 0) -> Picture:
    grain = np.random.default_rng(seed).normal(0, 3, picture.shape)
    return np.clip(picture + grain, 0, 255).astype(np.uint8)


def wall(height: int = 480, width: int = 640) -> Picture:
    y, x = np.mgrid[0:height, 0:width]
    return noisy(np.repeat((140 + 40 * x / width - 20 * y / height)[..., None], 3, 2))


def hand_on_the_lens() -> Picture:
    y, x = np.mgrid[0:480, 0:640]
    return noisy(np.stack([120 + 25 * np.sin(x / 200), 60 + 10 * np.cos(y / 170), 45 + 0 * x], -1))


def fogged(cot: Picture) -> Picture:
    return noisy(cv2.GaussianBlur(cot, (0, 0), 16) * 0.35 + 110)


def elsewhere(cot: Picture) -> Picture:
    """The camera turned away: as much detail, and none of it where it was."""
    return noisy(np.roll(cot[:, ::-1], 250, axis=0))


def blanket(cot: Picture) -> Picture:
    """A cloth over the infant's head."""
    out = cot.copy()
    cv2.ellipse(out, (325, 255), (190, 160), 20, 0, 360, (60, 90, 150), -1)
    return noisy(out)


def turned_away(cot: Picture) -> Picture:
    """Dark hair in place of the face."""
    out = cot.copy()
    x0, y0, x1, y1 = (int(v) for v in FACE)
    cv2.ellipse(out, ((x0 + x1) // 2, (y0 + y1) // 2), ((x1 - x0) // 2, (y1 - y0) // 2), 0, 0, 360, (70, 52, 44), -1)
    return noisy(out)


def empty(cot: Picture) -> Picture:
    """The infant taken out: sheet where head and body lay, the rest of the cot as it was."""
    out = cot.copy()
    out[120:, 120:520] = cot[:40, :40].mean(axis=(0, 1)).astype(np.uint8)
    return noisy(out)


def watch(view: View, picture: Picture, from_s: float, seconds: float, found: Box | None = None) -> list[Reason | None]:
    times = from_s + STEP_S * np.arange(round(seconds / STEP_S))
    return [view.judge(picture, float(t), found) for t in times]


def after_a_face(cot: Picture, then: Picture, seconds: float = 10.0) -> list[Reason | None]:
    view = View()
    watch(view, cot, 0.0, 10.0, FACE)
    return watch(view, then, 10.0, seconds)


@pytest.mark.parametrize("hide", [lambda _: wall(), lambda _: hand_on_the_lens(), fogged, elsewhere, blanket])
def test_what_covers_the_view_is_told_within_two_seconds(cot: Picture, hide: object) -> None:
    said = after_a_face(cot, hide(cot))  # type: ignore[operator]
    assert set(said[:5]) == {None}, "not before it has lasted"
    assert set(said[10:]) == {Reason.OBSTRUCTED}


@pytest.mark.parametrize("show", [noisy, turned_away, empty])
def test_a_clear_view_without_a_face_is_not_covered(cot: Picture, show: object) -> None:
    assert set(after_a_face(cot, show(cot))) == {None}  # type: ignore[operator]


def test_a_hand_that_passes_covers_nothing(cot: Picture) -> None:
    view = View()
    watch(view, cot, 0.0, 10.0, FACE)
    said = watch(view, hand_on_the_lens(), 10.0, 0.8) + watch(view, cot, 10.8, 3.0)
    assert set(said) == {None}


def test_light_switched_off_is_dark_and_never_covered(cot: Picture) -> None:
    """Nor when it comes on again; nor is a night light that leaves a tenth."""
    view = View()
    watch(view, cot, 0.0, 10.0, FACE)
    off, low, on = noisy(cot * 0.02), noisy(cot * 0.12), noisy(cot * 0.8)
    said = [watch(view, picture, 10.0 + 20 * k, 20.0) for k, picture in enumerate((off, on, low, off, low))]
    assert [set(part) for part in said] == [{Reason.DARK}, {None}, {None}, {Reason.DARK}, {None}]


def test_dark_ends_above_a_higher_brightness_than_it_begins() -> None:
    view = View()
    said = [view.judge(np.full((240, 320, 3), level, np.uint8), t, None) for t, level in enumerate((13, 11, 15, 17))]
    assert [reason is Reason.DARK for reason in said] == [False, True, True, False]


def test_a_face_found_ends_it_at_once_and_teaches_the_new_view(cot: Picture) -> None:
    view = View()
    watch(view, cot, 0.0, 10.0, FACE)
    other = elsewhere(cot)
    assert watch(view, other, 10.0, 5.0)[-1] is Reason.OBSTRUCTED
    assert watch(view, other, 15.0, 0.2, FACE) == [None]
    assert set(watch(view, other, 15.2, 5.0)) == {None}


def test_without_a_face_ever_only_a_bare_picture_is_covered(cot: Picture) -> None:
    assert set(watch(View(), cot, 0.0, 5.0)) == {None}
    assert watch(View(), wall(), 0.0, 5.0)[-1] is Reason.OBSTRUCTED


def test_an_old_reference_is_forgotten(cot: Picture) -> None:
    """A camera set up anew over an empty cot is not covered for ever."""
    view = View()
    watch(view, cot, 0.0, 10.0, FACE)
    other = elsewhere(cot)
    assert watch(view, other, 10.0, 5.0)[-1] is Reason.OBSTRUCTED
    assert watch(view, other, 620.0, 5.0)[-1] is None


def test_each_bed_of_a_camera_has_its_own_view(cot: Picture) -> None:
    """A cloth over the left half hides the left bed alone."""
    both = np.hstack([cot, cot])
    covered = both.copy()
    covered[:, :640] = wall()
    left, right = View(Region(x1=0.5)), View(Region(x0=0.5))
    moved: Box = (FACE[0] + 640, FACE[1], FACE[2] + 640, FACE[3])
    watch(left, both, 0.0, 10.0, FACE)
    watch(right, both, 0.0, 10.0, moved)
    assert watch(left, covered, 10.0, 5.0)[-1] is Reason.OBSTRUCTED
    assert watch(right, covered, 10.0, 5.0)[-1] is None


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 255), st.booleans(), st.floats(0.01, 3.0)), max_size=30))
def test_any_uniform_pictures_are_judged(steps: list[tuple[int, bool, float]]) -> None:
    """Black, white or grey, with a face claimed or not: a verdict, and none against a face that was found."""
    view, now_s = View(), 0.0
    for level, face, step_s in steps:
        now_s += step_s
        said = view.judge(np.full((120, 160, 3), level, np.uint8), now_s, (10, 10, 60, 60) if face else None)
        assert said in ((None, Reason.DARK) if face else (None, Reason.DARK, Reason.OBSTRUCTED))
