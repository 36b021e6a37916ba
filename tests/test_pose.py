"""From pictures of whole cots to observations of each bed: three ways to run one network, and why there is no pose."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from pose_model import cot, ship

from edgemon.config import Bed, Region
from edgemon.errors import ModelError
from edgemon.inference import Model
from edgemon.observations.pose import PoseObserver, centre_px
from edgemon.observations.pose_network import Mode, PoseNetwork, tiles
from edgemon.records import Frame, HeadSide, Observation, Pose, Posture, Reason

MODES: tuple[Mode, ...] = ("single", "batch", "grid")
BED = Bed(id="cot-1")
LEFT, RIGHT = Bed(id="left", cot_region=Region(x1=0.5)), Bed(id="right", cot_region=Region(x0=0.5))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("models")
    ship(made)
    ship(made, "pose-depth", colour="depth")
    ship(made, "one", images=1)
    ship(made, "joints", attributes=False)
    return made


def network(folder: Path, mode: Mode = "single", name: str = "pose") -> PoseNetwork:
    return PoseNetwork(Model.open(folder, name), mode)


def frame(image: NDArray[np.uint8] | NDArray[np.uint16], bed: str = "cot-1", at_s: float = 0.0) -> Frame:
    return Frame(bed, 0, at_s, image, "test")


def looked(folder: Path, image: NDArray[np.uint8] | NDArray[np.uint16], *beds: Bed, name: str = "pose") -> list[object]:
    """What is told of each bed: a pose, or the reason."""
    told = PoseObserver(network(folder, name=name)).observe([(frame(image), beds or (BED,))])
    return [one.value or one.reason for one in told]


@pytest.mark.parametrize("mode", MODES)
def test_every_way_finds_the_infant_of_every_camera(folder: Path, mode: Mode) -> None:
    """Cameras of several sizes, centres to a few pixels; in a grid with half the network's pixels for each."""
    places = [(320, 240), (400, 200), (250, 150), (100, 80)]
    sizes = [(640, 480), (640, 480), (512, 288), (256, 192)]
    frames = [frame(cot(place, size_px=size)) for place, size in zip(places, sizes, strict=True)]
    found = network(folder, mode).read(frames)
    for (pose,), place, size in zip(found, places, sizes, strict=True):
        one_cell_px = 4 * max(1.0, size[0] / 256) * (2 if mode == "grid" else 1)
        assert centre_px(pose) == pytest.approx(place, abs=1.1 * one_cell_px)
        assert (pose.posture, pose.head_side) == (Posture.SUPINE, HeadSide.LEFT)


@pytest.mark.parametrize("mode", MODES)
def test_an_empty_cot_beside_full_ones_stays_empty(folder: Path, mode: Mode) -> None:
    pictures = [cot((128, 96)), cot(), cot((100, 100))]
    assert [len(poses) for poses in network(folder, mode).read([frame(one) for one in pictures])] == [1, 0, 1]


def test_a_batch_gives_what_single_pictures_give(folder: Path) -> None:
    frames = [frame(cot((60 + 30 * n, 90), size_px=(320, 240))) for n in range(4)]
    each, batch = (network(folder, mode).read(frames) for mode in MODES[:2])
    for (a,), (b,) in zip(each, batch, strict=True):
        np.testing.assert_array_equal(a.keypoints, b.keypoints)


@given(st.integers(1, 16), st.integers(16, 128), st.integers(16, 128))
@settings(deadline=None)
def test_tiles_lie_side_by_side_on_the_borders_of_cells(count: int, width: int, height: int) -> None:
    size_px = (4 * width, 4 * height)
    covered = np.zeros(size_px[::-1], int)
    for left, top, wide, high in tiles(count, size_px):
        assert not any(v % 4 for v in (left, top, wide, high))
        assert min(wide, high) > 0
        covered[top : top + high, left : left + wide] += 1
    assert covered.max() == 1
    assert covered.sum() == count * wide * high


def test_each_bed_of_a_shared_camera_takes_the_infant_in_its_region(folder: Path) -> None:
    left, right = looked(folder, cot((70, 96), (190, 96)), LEFT, RIGHT)
    assert isinstance(left, Pose)
    assert isinstance(right, Pose)
    assert centre_px(left)[0] == pytest.approx(70, abs=4)
    assert centre_px(right)[0] == pytest.approx(190, abs=4)


def test_one_infant_of_two_beds_leaves_the_other_bed_empty(folder: Path) -> None:
    left, right = looked(folder, cot((70, 96)), LEFT, RIGHT)
    assert isinstance(left, Pose)
    assert right is Reason.NO_INFANT


def test_a_neighbours_infant_is_nobody_here(folder: Path) -> None:
    """And where it is the surer one, this bed's own is found when asked to look for several."""
    brighter = np.maximum(cot((190, 96)), cot((70, 96)) * np.array([0.8, 1, 1])).astype(np.uint8)
    assert looked(folder, brighter, LEFT) == [Reason.NO_INFANT]
    (told,) = PoseObserver(network(folder), several=True).observe([(frame(brighter), (LEFT,))])
    assert isinstance(told.value, Pose)
    assert centre_px(told.value)[0] == pytest.approx(70, abs=4)


def test_why_there_is_no_pose(folder: Path) -> None:
    bright = cot((128, 96))
    assert looked(folder, cot()) == [Reason.NO_INFANT]
    assert looked(folder, cot((128, 96), seen=60)) == [Reason.OCCLUDED]
    assert looked(folder, np.minimum(bright, 5)) == [Reason.DARK]
    assert looked(folder, bright, name="pose-depth") == [Reason.DISABLED]
    assert looked(folder, np.full((192, 256), 900, np.uint16)) == [Reason.DISABLED]
    assert looked(folder, np.zeros((192, 256), np.uint16), name="pose-depth") == [Reason.OBSTRUCTED]


def test_a_network_of_depth_reads_depth(folder: Path) -> None:
    """The fake takes near for red, green and blue at once: what lies nearest is the centre."""
    rows, columns = np.mgrid[:240, :320]
    near_mm = 200 * np.exp(-((columns - 160) ** 2 + (rows - 120) ** 2) / (2 * 20**2))
    (pose,) = looked(folder, (900 - near_mm).astype(np.uint16), name="pose-depth")
    assert isinstance(pose, Pose)
    assert centre_px(pose) == pytest.approx((160, 120), abs=8)


def test_a_network_that_fails_is_told_for_every_bed_that_it_was_shown(folder: Path) -> None:
    class Broken(PoseNetwork):
        def read(self, frames: object, *, several: bool = False) -> list[tuple[Pose, ...]]:
            raise ModelError("broken")

    observer = PoseObserver(Broken(Model.open(folder, "pose")))
    dark = frame(np.zeros((192, 256, 3), np.uint8))
    told = observer.observe([(frame(cot()), (LEFT, RIGHT)), (dark, (BED,))])
    assert [one.reason for one in told] == [Reason.MODEL_FAILED, Reason.MODEL_FAILED, Reason.DARK]


def test_an_observation_names_bed_time_quality_and_model(folder: Path) -> None:
    (one,) = PoseObserver(network(folder)).observe([(frame(cot((128, 96)), at_s=7.5), (BED,))])
    assert isinstance(one, Observation)
    assert (one.bed, one.observer, one.captured_s, one.model) == ("cot-1", "pose", 7.5, "pose@0.1.0")
    assert 0.7 < one.quality <= 1.0


def test_a_published_graph_without_attributes_tells_joints_only(folder: Path) -> None:
    (pose,) = looked(folder, cot((128, 96)), name="joints")
    assert isinstance(pose, Pose)
    assert (pose.posture, pose.head_side) == (None, None)


def test_what_is_no_pose_network_is_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="one image at a time"):
        network(folder, "batch", "one")
    assert network(folder, "grid", "one").read([frame(cot((128, 96)))] * 4)
    ship(tmp_path, "face", task="face")
    with pytest.raises(ModelError, match="not a pose model"):
        network(tmp_path, name="face")
    toml = ship(tmp_path) / "pose.toml"
    toml.write_text(toml.read_text().replace("visible = 0.4\n", ""))
    with pytest.raises(ModelError, match="'visible'"):
        network(tmp_path)
    toml.write_text(toml.read_text().replace('name = "offset"', 'name = "all"'))
    with pytest.raises(ModelError, match="graph lacks"):
        network(tmp_path)
