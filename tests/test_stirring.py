"""Laws of clips of newborns who move: limbs keep off mattress and body, joints run smoothly, truth fits the picture."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("moderngl", reason="the renderer needs the `export` extra (moderngl)")

from export.infant.body import OWN
from export.infant.lying import ARM, LEG, POSTURES, RADIUS_DM, Body
from export.infant.moving import LimbClip, draw
from export.infant.stirring import bouts

FPS, SECONDS = 20, 4.0


@lru_cache(maxsize=3)
def clip_of(posture: str) -> LimbClip:
    """A clip whose movements are planned once for all tests."""
    return LimbClip(59, posture, seconds=SECONDS, fps=FPS, size=(160, 120), seed=POSTURES.index(posture))


def bodies(clip: LimbClip) -> list[Body]:
    """Trunk and bones in each frame."""
    return [Body(clip.drawn.rest, pose, clip.posture) for pose in clip.stirring.poses]


def places(body: Body) -> np.ndarray:
    """Elbows, wrists, knees and ankles in the world, (8, 3), in dm."""
    out = []
    for chain in (ARM, LEG):
        for side in "LR":
            for bone, tip in ((chain[0], chain[1]), (chain[1], chain[2])):
                out.append(body.carried(f"{bone}.{side}", body.rest[f"{tip}.{side}"]))
    return np.array(out)


@pytest.mark.parametrize("posture", POSTURES)
def test_limbs_run_smoothly_and_keep_off_mattress_and_body(shared: Path, posture: str) -> None:
    del shared
    clip = clip_of(posture)
    seen = bodies(clip)
    joints = np.array([places(body) for body in seen])
    speed_dm_s = np.linalg.norm(np.diff(joints, axis=0), axis=2) * FPS
    assert speed_dm_s.max() < 12, "no limb jumps"
    assert speed_dm_s.max() > 0.5, "some limb moves"
    assert joints[..., 2].min() > clip.drawn.lying.level - 0.05
    rested = Body(clip.drawn.rest, clip.drawn.lying.pose, posture)
    for chain in (ARM, LEG):
        for at, side in enumerate("LR"):
            row, radius = (0 if chain is ARM else 4) + 2 * at, RADIUS_DM[chain[2]]
            before = places(rested)[row : row + 2]
            allowed = max(0.12, rested.sunk(before, radius) + 0.1)
            assert max(body.sunk(joints[n, row : row + 2], radius) for n, body in enumerate(seen)) < allowed, side


@pytest.mark.parametrize("posture", POSTURES)
def test_head_sides_are_where_the_nose_points(shared: Path, posture: str) -> None:
    del shared
    clip = clip_of(posture)
    assert len(clip.stirring.head_sides) == len(clip.stirring.poses) == clip.frames
    for side, body in zip(clip.stirring.head_sides, bodies(clip), strict=True):
        nose = body.axes.T @ body.turn("head")[:, 2]
        yaw_deg = float(np.degrees(np.arctan2(nose[0], nose[2])))
        told = "midline" if abs(yaw_deg) < 25 else "left" if yaw_deg > 0 else "right"
        assert side == told or abs(abs(yaw_deg) - 25) < 8


def test_bouts_come_and_go_without_a_jump() -> None:
    for seed in range(20):
        going = bouts(np.random.default_rng(seed), np.arange(1200) / FPS, 3.0, 3.0)
        assert going.shape == (1200,)
        assert going.min() == pytest.approx(0, abs=1e-9)
        assert going.max() == pytest.approx(1)
        assert 0.2 < going.mean() < 0.8
        assert np.abs(np.diff(going)).max() < 0.35


def test_truth_agrees_with_the_picture_and_the_scene_stands_still(shared: Path, egl: None) -> None:
    del shared, egl
    clip = clip_of("supine")
    drawn = [draw(clip, number) for number in (0, clip.frames // 2)]
    for buffers, points in drawn:
        own = np.isin(buffers.object, OWN)
        seen = [(round(x), round(y)) for x, y, v in points if v == 2]
        assert len(points) == 14
        assert len(seen) >= 6
        near = [own[max(y - 3, 0) : y + 4, max(x - 3, 0) : x + 4].any() for x, y in seen]
        assert all(near)
    (first, _), (second, _) = drawn
    about = cv2.dilate((np.isin(first.object, OWN) | np.isin(second.object, OWN)).astype(np.uint8), np.ones((61, 61)))
    assert (about == 0).any()
    assert np.abs(first.colour - second.colour)[about == 0].max() < 0.05


def test_a_clip_is_written_with_its_truth(
    shared: Path, egl: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    del shared, egl
    monkeypatch.setattr("tqdm.tqdm.monitor_interval", 0)
    from export.__main__ import main

    out = tmp_path / "clip.mp4"
    how = ["--seconds", "0.2", "--fps", "15", "--size", "160x120", "--identity", "59", "--cover", "legs"]
    assert main(["synthesize", "limbs", "--out", str(out), *how]) == 0
    told = json.loads((tmp_path / "clip.truth.json").read_text())
    assert (told["fps"], told["size"], told["identity"], told["cover"]) == (15, [160, 120], 59, "legs")
    assert len(told["frames"]) == 3
    for row in told["frames"]:
        assert np.array(row["keypoints"]).shape == (14, 3)
        assert row["posture"] == "supine"
        assert row["head_side"] in ("left", "right", "midline")
    video = cv2.VideoCapture(str(out))
    frames = [video.read()[1] for _ in range(3)]
    assert video.read()[0] is False
    video.release()
    assert all(frame.shape == (120, 160, 3) for frame in frames)
    assert not list(tmp_path.glob("*.mkv"))
