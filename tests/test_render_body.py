"""Laws of the whole newborn's pictures: joints, classes and depth agree with what is drawn, the shift is apart."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("moderngl", reason="the renderer needs the `export` extra (moderngl)")

from export.infant import covers
from export.infant.body import (
    SHIFT,
    SIZE,
    TRAIN,
    BodySample,
    joints_of,
    range_camera,
    render_body,
    sample_build,
    sample_scene,
)
from export.infant.expression import Expression
from export.infant.figure import Build, resting
from export.infant.lying import POSTURES
from export.infant.mesh import load_mesh
from export.infant.proportions import compare, measures, read_labels, table
from export.infant.range_camera import RangeCamera, _shadow, measure
from export.synthesize import run_images

Draw = Callable[..., BodySample]
BEFORE = {"supine": 1.0, "prone": -1.0}


@pytest.fixture
def draw(shared: Path, egl: None) -> Draw:
    """Draws the body of a seed."""
    del shared, egl
    return lambda seed, **how: render_body(np.random.default_rng([9, seed]), identity=seed, **how)


def test_the_same_seed_draws_the_same_body(draw: Draw) -> None:
    first, second, other = draw(1), draw(1), draw(2)
    assert np.array_equal(first.rgb, second.rgb)
    assert np.array_equal(first.depth_mm, second.depth_mm)
    assert first.truth == second.truth
    assert not np.array_equal(first.rgb, other.rgb)


@pytest.mark.parametrize("posture", POSTURES)
def test_truth_agrees_with_the_picture(draw: Draw, posture: str) -> None:
    for seed in range(3):
        sample = draw(seed, posture=posture)
        truth, depth = sample.truth, sample.depth_mm
        assert sample.rgb.shape == (SIZE[1], SIZE[0], 3)
        assert depth.shape == SIZE[::-1]
        assert depth.dtype == np.uint16
        assert truth.posture == posture
        assert len(truth.keypoints) == 14
        for x, y, v in truth.keypoints:
            inside = 0 <= x < SIZE[0] and 0 <= y < SIZE[1]
            assert (v > 0) == inside
            if v == 2 and (seen := depth[int(y), int(x)]):
                assert abs(int(seen) - truth.distance_mm) < 300


@pytest.mark.parametrize("cover", ["chin", "swaddle"])
def test_what_lies_under_a_cover_is_hidden(draw: Draw, cover: str) -> None:
    for seed in range(3):
        truth = draw(60 + seed, posture="supine", cover=cover).truth
        assert truth.cover == cover
        assert sum(v == 2 for _, _, v in truth.keypoints[6:10]) <= 1


@pytest.mark.parametrize("posture", POSTURES)
def test_nobody_lies_within_the_mattress_and_the_trunk_faces_as_told(shared: Path, posture: str) -> None:
    del shared
    for seed in range(12):
        drawn = sample_scene(np.random.default_rng(seed), seed, SIZE, TRAIN, posture=posture)
        joints, level = joints_of(drawn.figure), drawn.lying.level
        assert joints[:12, 2].min() > level + 0.05
        assert drawn.figure.vertices[:13380, 2].min() >= level
        left, up = joints[6] - joints[7], joints[:2].mean(axis=0) - joints[6:8].mean(axis=0)
        front = np.cross(left, up)
        steep = front[2] / np.linalg.norm(front)
        assert abs(steep) < 0.75 if posture == "side" else steep * BEFORE[posture] > 0.7


def test_head_side_is_where_the_nose_points(shared: Path) -> None:
    del shared
    for seed in range(20):
        drawn = sample_scene(np.random.default_rng([3, seed]), seed, SIZE, TRAIN)
        joints, nose = joints_of(drawn.figure), drawn.figure.head_turn[:, 2]
        across = float(nose @ (joints[0] - joints[1])) / float(np.linalg.norm(joints[0] - joints[1]))
        if drawn.lying.head_side == "midline":
            assert abs(across) < 0.72
        else:
            assert (across > 0) == (drawn.lying.head_side == "left")


def test_training_cannot_draw_the_shift(shared: Path) -> None:
    del shared
    for name in ("camera_mm", "tilt_deg"):
        assert getattr(TRAIN, name)[1] < getattr(SHIFT, name)[0]
    rng = np.random.default_rng(0)
    builds = {settings.shifted: [sample_build(rng, settings) for _ in range(200)] for settings in (TRAIN, SHIFT)}
    for part in ("upper_arm", "forearm", "thigh", "shank", "head"):
        trained = [getattr(build, part) for build in builds[False]]
        shifted = np.array([getattr(build, part) for build in builds[True]])
        assert ((shifted < min(trained)) | (shifted > max(trained))).all()
    ranges = {settings.shifted: [range_camera(rng, settings) for _ in range(100)] for settings in (TRAIN, SHIFT)}
    for part in ("step_px", "noise_px", "dropout"):
        assert max(getattr(one, part) for one in ranges[False]) < min(getattr(one, part) for one in ranges[True])
    assert not set(covers.TRAINED) & set(covers.SHIFTED)


def test_the_shift_is_for_tests_alone(tmp_path: Path) -> None:
    from export.__main__ import main

    how = ["synthesize", "images", "--out", str(tmp_path), "--count", "1", "--shift", "--view", "body"]
    assert main(how) != 0
    assert not list(tmp_path.iterdir())


def test_a_set_is_written_and_finished_later(
    shared: Path, egl: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    del shared, egl
    monkeypatch.setattr("tqdm.tqdm.monitor_interval", 0)
    from argparse import Namespace

    how = {"out": tmp_path, "seed": 3, "split": "test", "view": "body", "size": None, "workers": 1, "shift": True}
    for count in (1, 2):
        assert run_images(Namespace(count=count, **how)) == 0
    rows = [json.loads(line) for line in (tmp_path / "truth.jsonl").read_text().splitlines()]
    assert [row["name"] for row in rows] == ["000000", "000001"]
    assert all(row["shifted"] and row["identity"] % 10 == 9 for row in rows)
    depth, rgb = (cv2.imread(str(tmp_path / f"000001{end}"), cv2.IMREAD_UNCHANGED) for end in (".depth.png", ".jpg"))
    assert depth is not None
    assert rgb is not None
    assert depth.dtype == np.uint16
    assert depth.shape == SIZE[::-1]
    assert rgb.shape == (*SIZE[::-1], 3)


def test_bones_get_the_length_asked_for(shared: Path) -> None:
    del shared
    mesh, plain = load_mesh(), resting(5, Expression())
    changed = resting(5, Expression(), Build(trunk=1.1, upper_arm=1.2, forearm=0.8, thigh=0.9, shank=1.15))

    def length(vertices: np.ndarray, near: str, far: str) -> float:
        return float(np.linalg.norm(mesh.joint(vertices, near) - mesh.joint(vertices, far)))

    for near, far, factor in (
        ("upperarm01.L", "lowerarm01.L", 1.2),
        ("lowerarm01.R", "wrist.R", 0.8),
        ("upperleg01.R", "lowerleg01.R", 0.9),
        ("lowerleg01.L", "foot.L", 1.15),
        ("upperarm01.L", "upperleg01.L", 1.1),
    ):
        assert length(changed, near, far) == pytest.approx(factor * length(plain, near, far), rel=0.06)


def test_the_shadow_falls_beside_the_nearer_thing_and_not_on_it() -> None:
    """A background at 1000 mm, something at 700 mm before columns 100 to 149; the projector stands to the right."""
    depth_mm = np.full((4, 240), 1000.0, np.float32)
    depth_mm[:, 100:150] = 700.0
    dark = _shadow((500 * 50 / depth_mm).astype(np.float32))
    assert set(np.flatnonzero(dark[0]).tolist()) == set(range(90, 100))


def test_depth_errs_as_structured_light_does() -> None:
    rng = np.random.default_rng(0)
    camera, bright = RangeCamera(step_px=0.1, noise_px=0.02), np.ones((120, 160), np.float32)
    near, far = (measure(rng, np.full((120, 160), mm, np.float32), bright, 200.0, camera) for mm in (600.0, 1200.0))
    assert abs(float(near.mean()) - 600) < 8
    steps = [np.diff(np.unique(picture)).min() for picture in (near, far)]
    assert steps[1] == pytest.approx(4 * steps[0], rel=0.3), "steps grow with the square of range"
    block = np.full((120, 160), 900.0, np.float32)
    block[40:80, 60:100] = 600.0
    seen = measure(rng, block, bright, 200.0, camera)
    holes = (seen == 0)[45:75]
    assert holes[:, 45:62].mean() + holes[:, 98:115].mean() > 0.2, "the projector's shadow beside a nearer block"
    assert (measure(rng, block, bright * 0, 200.0, camera) == 0).mean() > 0.8, "black returns no pattern"
    assert (measure(rng, block * 0, bright, 200.0, camera) == 0).all()


def test_measures_of_a_known_figure() -> None:
    joints = np.array(
        [
            *([(60, 50), (40, 50)], [(70, 60), (30, 60)], [(70, 80), (30, 80)]),
            *([(58, 100), (42, 100)], [(70, 110), (30, 110)], [(58, 122), (42, 122)], [(50, 20), (50, 45)]),
        ],
        np.float64,
    ).reshape(1, 14, 2)
    told = measures(joints)
    assert told["shoulder width"] == pytest.approx([0.4])
    assert told["elbow outward"] == pytest.approx([0.2, 0.2])
    assert told["hand upward"] == pytest.approx([-0.6, -0.6])
    assert told["elbow angle deg"] == pytest.approx([135, 135])
    same = compare(joints.repeat(3, axis=0) + np.arange(3)[:, None, None] ** 2 * np.linspace(0, 1, 14)[:, None], joints)
    assert "knee angle deg" in table(same)


def test_a_folder_without_labels_is_told(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"labels\.npz: not there"):
        read_labels(tmp_path)
