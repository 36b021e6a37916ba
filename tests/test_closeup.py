"""Laws of the close faces: an action shows where it acts, covers are told, and the same seed gives the same picture."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("moderngl", reason="the renderer needs the `export` extra (moderngl)")

from hypothesis import given, settings
from hypothesis import strategies as st

from export import synthesize
from export.infant import closeup, occluders, scene
from export.infant.expression import ACTIONS, Expression, sides
from export.infant.figure import infant_parts, pose_figure
from export.infant.pose import Pose
from export.infant.render import Buffers, renderer
from export.infant.sample import Sample, Truth, tell_truth

SIZE = (160, 160)
EYES, MOUTH, BROW, CHEEKS = 2, 3, 4, 5
REGION_OF = {"brow_bulge": BROW, "eye_squeeze": EYES, "nasolabial": CHEEKS}

Drawn = tuple[Buffers, Truth]


@pytest.fixture
def draw(shared: Path, egl: None) -> Callable[..., Drawn]:
    """Draws an expression from the front under one light, with or without a named prop."""
    del shared, egl

    def make(face: Expression, prop: str | None = None) -> Drawn:
        figure = pose_figure(9, face, Pose({}))
        camera = scene.face_camera(np.random.default_rng(0), figure, 0.0, 0.0, face_px=110.0, size=SIZE)
        light = scene.sample_light(np.random.default_rng(1), "bright", camera)
        uniforms = scene.skin_uniforms(np.random.default_rng(2), figure.identity, False)
        uniforms |= closeup.wrinkles(np.random.default_rng(3), face)
        uniforms |= {**light.uniforms, "camera": scene.triple(camera.place)}
        parts = infant_parts(figure, "sleepsuit", scene.cloth(np.random.default_rng(4), False), None, bust=True)
        if prop:
            more, marks = occluders.add_occluder(np.random.default_rng(5), figure, False, camera.place, prop)
            parts, uniforms = parts + more, uniforms | marks
        buffers = renderer(SIZE).draw(parts, camera, uniforms, scene.frustum(light, camera.target, 1.8))
        return buffers, tell_truth(figure, camera, buffers, SIZE, light="bright", kind="expression")

    return make


def acting(action: str, intensity: float, lean: tuple[float, float, float] = (0.0, 0.0, 0.0)) -> Expression:
    """Eyes shut, one action alone."""
    values = {name: intensity if name == action else 0.0 for name in ACTIONS}
    return Expression(
        closure_left=1.0,
        closure_right=1.0,
        brow_bulge=values["brow_bulge"],
        eye_squeeze=values["eye_squeeze"],
        nasolabial=values["nasolabial"],
        lean=lean,
    )


def test_nothing_of_the_last_picture_is_left(draw: Callable[..., Drawn]) -> None:
    draw(Expression(), "mask")
    buffers, _ = draw(Expression())
    empty = buffers.depth == 0
    assert empty.sum() > 1000
    assert not buffers.colour[empty].any()


@pytest.mark.parametrize("action", ACTIONS)
def test_an_action_shows_in_its_own_region_above_all(draw: Callable[..., Drawn], action: str) -> None:
    rest, _ = draw(Expression(closure_left=1.0, closure_right=1.0))
    acted, truth = draw(acting(action, 1.0))
    change = np.abs(acted.colour - rest.colour).mean(axis=2)
    own = rest.bare_part == REGION_OF[action]
    elsewhere = (rest.bare_part > 0) & ~own
    assert change[own].mean() > 1.5 * change[elsewhere].mean()
    assert truth.actions_right_left[ACTIONS.index(action)] == (1.0, 1.0)


@pytest.mark.parametrize("action", ACTIONS)
def test_a_stronger_action_changes_more(draw: Callable[..., Drawn], action: str) -> None:
    drawn = [draw(acting(action, v))[0] for v in (0.0, 0.35, 1.0)]
    own = drawn[0].bare_part == REGION_OF[action]
    some, much = (np.abs(after.colour - drawn[0].colour)[own].mean() for after in drawn[1:])
    assert 0 < some < 0.8 * much


@pytest.mark.parametrize("index", range(3))
def test_a_leaning_action_shows_on_its_side(draw: Callable[..., Drawn], index: int) -> None:
    lean = tuple(1.0 if i == index else 0.0 for i in range(3))
    rest, _ = draw(Expression(closure_left=1.0, closure_right=1.0))
    face = acting(ACTIONS[index], 1.0, (lean[0], lean[1], lean[2]))
    acted, truth = draw(face)
    assert truth.actions_right_left[index] == (0.0, 1.0)
    change = np.abs(acted.colour - rest.colour).mean(axis=2) * (rest.bare_part == REGION_OF[ACTIONS[index]])
    (rx, ry), (lx, ly) = truth.landmarks[:2]
    y, x = np.mgrid[0 : SIZE[1], 0 : SIZE[0]]
    of_left = (x - (rx + lx) / 2) * (lx - rx) + (y - (ry + ly) / 2) * (ly - ry) > 0
    assert change[of_left].sum() > 3 * change[~of_left].sum()


@pytest.mark.parametrize(
    ("prop", "hidden", "kept"),
    [("goggles", "eyes_visible", "mouth_visible"), ("dummy", "mouth_visible", "brow_visible")],
)
def test_covers_are_told_and_the_face_keeps_its_expression(
    draw: Callable[..., Drawn], prop: str, hidden: str, kept: str
) -> None:
    face = Expression("crying", brow_bulge=0.8, mouth_open=0.2, mouth_square=0.7)
    _, bare = draw(face)
    _, covered = draw(face, prop)
    assert min(bare.eyes_visible, bare.mouth_visible, bare.brow_visible, bare.cheeks_visible) > 0.95
    assert getattr(covered, hidden) < 0.6
    assert getattr(covered, kept) > 0.9
    assert (covered.expression, covered.brow_bulge) == ("crying", 0.8)


def test_tubes_and_tape_hide_cheeks_and_not_the_brow(draw: Callable[..., Drawn]) -> None:
    _, covered = draw(Expression(), "cannula")
    assert covered.cheeks_visible < 0.85
    assert covered.brow_visible > 0.95


def test_the_same_seed_draws_the_same_close_face(shared: Path, egl: None) -> None:
    def sample(seed: int) -> Sample:
        return closeup.render_closeup(np.random.default_rng(seed), identity=8, size=SIZE)

    first, second, other = sample(5), sample(5), sample(6)
    assert np.array_equal(first.rgb, second.rgb)
    assert first.truth == second.truth
    assert not np.array_equal(first.rgb, other.rgb)


def test_every_close_picture_holds_a_face(shared: Path, egl: None) -> None:
    for seed in range(10):
        truth = closeup.render_closeup(np.random.default_rng(seed), identity=seed, size=SIZE).truth
        assert truth.face_box is not None
        x0, y0, x1, y1 = truth.face_box
        assert -8 < x0 < x1 < SIZE[0] + 8
        assert -8 < y0 < y1 < SIZE[1] + 8
        assert max(x1 - x0, y1 - y0) > 0.35 * SIZE[0]
        assert abs(truth.yaw_deg) < 75


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=200, deadline=None)
def test_intensities_stay_within_their_range(seed: int) -> None:
    face = closeup.sample_action(np.random.default_rng(seed))
    assert face.name in closeup.KINDS
    for name in ("closure_left", "closure_right", "mouth_open", "mouth_square", "pucker", "smile", "pout", *ACTIONS):
        assert 0 <= getattr(face, name) <= 1
    for action, (right, left) in zip(ACTIONS, sides(face), strict=True):
        assert max(right, left) == getattr(face, action)
        assert min(right, left) >= 0


def test_each_action_is_met_without_the_others_and_without_a_cry() -> None:
    faces = [closeup.sample_action(np.random.default_rng([3, i])) for i in range(3000)]
    for action in ACTIONS:
        alone = [
            f for f in faces if getattr(f, action) >= 0.4 and all(getattr(f, a) < 0.3 for a in ACTIONS if a != action)
        ]
        assert len(alone) > 60
        assert sum(f.name != "crying" for f in alone) > 0.9 * len(alone)
    shut = [f for f in faces if f.name == "calm" and min(f.closure_left, f.closure_right) > 0.75]
    assert 0.25 < len(shut) / sum(f.name == "calm" for f in faces) < 0.6


def test_a_contact_sheet_has_its_rows_and_columns(shared: Path, egl: None, tmp_path: Path) -> None:
    out = tmp_path / "sheet.jpg"
    parser = argparse.ArgumentParser()
    synthesize.add_arguments(parser)
    args = parser.parse_args(["sheet", "--out", str(out), "--columns", "2", "--rows", "1", "--tile", "64"])
    assert synthesize.run(args) == 0
    picture = cv2.imread(str(out))
    assert picture is not None
    assert picture.shape == (64, 128, 3)


def test_a_set_of_close_faces_is_written_with_its_truth(shared: Path, egl: None, tmp_path: Path) -> None:
    line = json.loads(synthesize.render_one((tmp_path, 3, 7, "val", "expression", (96, 96), False)))
    assert (tmp_path / "000003.jpg").is_file()
    assert line["scene"] == "expression"
    assert line["identity"] % 10 == 8
    assert {"brow_visible", "cheeks_visible", "actions_right_left", "props"} <= set(line)
