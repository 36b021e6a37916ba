"""`evaluate movement`: a reader that errs nowhere agrees with the truth at full rate, a blind one tells nothing."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import pytest

from edgemon.records import Frame, Pose

pytest.importorskip("torch", reason="export needs its extra")

from export.evaluate import as_json
from export.pose.movement import Told, due, evaluate_movement
from export.pose.movement_report import FIGURES, TRUE, Agreement, MovementReport

FPS, SECONDS, SIZE = 30, 12, (160, 120)
LYING = np.array(
    [[72, 40], [88, 40], [64, 50], [96, 50], [60, 60], [100, 60], [75, 72], [85, 72], [68, 84], [92, 84], [66, 96],
     [94, 96], [80, 18], [80, 34]], float,
)  # fmt: skip
WINDOW_S = 10.0


@dataclass
class Manifest:
    """Of a reader that is no network."""

    label: str = "fake@1.0.0"

    def threshold(self, name: str) -> float:
        """One for all."""
        del name
        return 0.3


@dataclass
class Reader:
    """Tells the true joints of each frame, with noise, or nothing."""

    joints: np.ndarray
    noise_px: float = 0.0
    blind: bool = False
    takes_depth: bool = False
    manifest: Manifest = field(default_factory=Manifest)

    def read(self, frames: Sequence[Frame], *, several: bool) -> list[tuple[Pose, ...]]:
        """Each frame's pose, by its number."""
        assert not several
        return [() if self.blind else (self._pose(frame.seq),) for frame in frames]

    def _pose(self, number: int) -> Pose:
        noise = np.random.default_rng(number).normal(0, self.noise_px, (14, 2)) if self.noise_px else 0.0
        keypoints = np.column_stack([self.joints[number, :, :2] + noise, np.full(14, 0.9)])
        return Pose(keypoints.astype(np.float32), 0.9, None, None)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A square that stands for each joint; each limb swings at its own width, with rests."""
    video = tmp_path_factory.mktemp("limbs") / "swing.mp4"
    at_s = np.arange(FPS * SECONDS) / FPS
    joints = np.repeat(np.concatenate([LYING, np.full((14, 1), 2.0)], axis=1)[None], len(at_s), axis=0)
    for end, wide_px in zip((4, 5, 10, 11), (4, 8, 12, 3), strict=True):
        joints[:, end, 0] += wide_px * np.sin(2 * np.pi * 1.0 * at_s) * (at_s % 6 < 3 + end / 10)
    file = cv2.VideoWriter(str(video), cv2.VideoWriter.fourcc(*"mp4v"), FPS, SIZE)
    for frame in joints:
        image = np.full((SIZE[1], SIZE[0], 3), 90, np.uint8)
        for x, y, _ in frame:
            cv2.rectangle(image, (int(x) - 3, int(y) - 3), (int(x) + 3, int(y) + 3), (200, 200, 240), -1)
        file.write(image)
    file.release()
    rows = [{"keypoints": frame.tolist(), "posture": "supine", "head_side": "midline"} for frame in joints]
    truth = {"fps": FPS, "size": SIZE, "frames": rows}
    video.with_suffix(".truth.json").write_text(json.dumps(truth))
    return video


def judged(clip: Path, **how: object) -> MovementReport:
    """A reader on the clip."""
    return evaluate_movement([clip], Reader(Told.read(clip).joints, **how), window_s=WINDOW_S)  # type: ignore[arg-type]


def test_true_joints_at_full_rate_are_the_truth(clip: Path) -> None:
    report = judged(clip)
    for method in (report.model, TRUE):
        assert report.coverage(method, 30.0) == pytest.approx(1.0, abs=0.02)
        for name, read in FIGURES:
            found = report.agreement(method, 30.0, read)
            assert found.pairs == found.asked > 0, name
            assert found.error == pytest.approx(0, abs=1e-4), name
    assert report.agreement(TRUE, 30.0, FIGURES[0][1]).r == pytest.approx(1)
    assert report.flow() > 0.7, "more of the picture changes while limbs swing"


def test_few_poses_a_second_tell_too_little_speed_and_no_rhythm(clip: Path) -> None:
    report = judged(clip)
    assert report.agreement(TRUE, 1.0, FIGURES[0][1]).bias < 0
    rhythm = FIGURES[-1][1]
    assert report.agreement(TRUE, 5.0, rhythm).pairs == 0
    assert report.agreement(TRUE, 10.0, rhythm).error < 0.15


def test_noise_is_told(clip: Path) -> None:
    report, still = judged(clip, noise_px=2.0), FIGURES[2][1]
    assert report.agreement(report.model, 30.0, still).error > report.agreement(TRUE, 30.0, still).error
    assert 0.02 < float(np.median(report.ends[0].errors)) < 0.2


def test_a_blind_network_tells_nothing_and_is_not_right_by_it(clip: Path) -> None:
    report = judged(clip, blind=True)
    assert report.coverage(report.model, 30.0) == 0
    found = report.agreement(report.model, 30.0, FIGURES[0][1])
    assert (found.pairs, found.asked) == (0, 4)
    text = "\n".join(report.lines())
    assert "not told (0 of 4)" in text
    named = {(m.condition, m.name): m.value for m in report.metrics()}
    assert named["fake@1.0.0; 30 poses a second", "coverage"] == 0
    assert not [key for key in named if key[0].startswith("fake") and "mean absolute error" in key[1]]
    assert json.loads(as_json(report))["metrics"]


def test_pairs_by_hand() -> None:
    found = Agreement.of([1.0, None, 3.0, 5.0], [1.0, 2.0, 2.0, 3.0])
    assert (found.pairs, found.asked) == (3, 4)
    assert found.error == pytest.approx(1.0)
    assert found.bias == pytest.approx(1.0)
    assert found.r == pytest.approx(1.0)
    assert math.isnan(Agreement.of([None], [1.0]).error)


@pytest.mark.parametrize(("hz", "count"), [(1.0, 4), (5.0, 20), (30.0, 120), (60.0, 120)])
def test_frames_that_are_due(hz: float, count: int) -> None:
    chosen = due(120, 30.0, hz)
    assert len(chosen) == count
    assert np.ptp(np.diff(chosen)) == 0


def test_what_cannot_be_used_is_told(clip: Path, tmp_path: Path) -> None:
    joints = Told.read(clip).joints
    with pytest.raises(ValueError, match="--clips"):
        evaluate_movement([], Reader(joints))
    with pytest.raises(ValueError, match="at least 60 s"):
        evaluate_movement([clip], Reader(joints))
    with pytest.raises(ValueError, match="depth"):
        evaluate_movement([clip], Reader(joints, takes_depth=True))
    with pytest.raises(ValueError, match=r"truth\.json"):
        Told.read(tmp_path / "none.mp4")
    (tmp_path / "bad.truth.json").write_text('{"fps": 30, "size": [4, 4], "frames": []}')
    with pytest.raises(ValueError, match="joints"):
        Told.read(tmp_path / "bad.mp4")
    (tmp_path / "gone.truth.json").write_text(clip.with_suffix(".truth.json").read_text())
    with pytest.raises(ValueError, match=r"gone\.mp4"):
        evaluate_movement([tmp_path / "gone.mp4"], Reader(joints), window_s=WINDOW_S)
