"""The study of grid and batch: that its networks, counts and figures are those that it says they are."""

from __future__ import annotations

import json
import sys
import warnings
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from conftest import ROOT
from numpy.testing import assert_allclose
from pose_model import LYING, cot, ship

sys.path.insert(0, str(ROOT))
with warnings.catch_warnings():  # torch's own imports warn
    warnings.simplefilter("ignore")
    pytest.importorskip("onnx", reason="needs the extra `export`")
    import torch

    from benchmarks import pose_grid as study
    from benchmarks import pose_grid_ways as ways
    from export.cost import multiplications
    from export.dekr import DEKR, DekrConfig
    from export.dekr.graph import model_input, model_outputs, to_onnx
    from export.pose.renders import renders

from edgemon.inference import Model
from edgemon.manifest import ModelFile, load
from edgemon.observations.pose_network import PoseNetwork, tiles
from edgemon.records import Frame, Pose

SIZE_PX, SMALL_PX = (256, 192), (64, 48)
SMALL = DekrConfig(
    stem=4, bottleneck=4, bottlenecks=1, channels=(4, 8, 8), modules=(1, 1), blocks=1, heatmap_channels=4,
    offset_channels=4, head="shared", attributes=True,
)  # fmt: skip


@pytest.fixture(scope="module")
def fake(tmp_path_factory: pytest.TempPathFactory) -> ModelFile:
    """A network that needs no learning."""
    return load(ship(tmp_path_factory.mktemp("models"), size_px=SIZE_PX), "pose")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five infants and an empty cot that the fake network reads rightly, each at another place."""
    place = tmp_path_factory.mktemp("renders")
    with (place / "truth.jsonl").open("w") as file:
        for number in range(6):
            centre = np.array([110.0 + 6 * number, 90.0])
            joints = [] if number == 5 else [[*map(float, centre + 4 * xy), 2] for xy in LYING]
            image = cot(*(() if number == 5 else (tuple(centre),)), size_px=SIZE_PX)
            cv2.imwrite(str(place / f"{number:06d}.jpg"), image[..., ::-1], (cv2.IMWRITE_JPEG_QUALITY, 100))
            posture = None if number == 5 else "supine"
            row = {"name": f"{number:06d}", "keypoints": joints, "posture": posture, "head_side": None}
            file.write(json.dumps(row) + "\n")
    return place


def test_a_network_of_another_size_is_the_same_network(fake: ModelFile) -> None:
    torch.manual_seed(0)
    network = DEKR(SMALL).eval()
    told = fake.manifest.model_copy(update={"input": model_input(SMALL_PX), "outputs": model_outputs(SMALL)})
    file = ModelFile(told, to_onnx(network, SMALL_PX))
    small = ways.resized(file, (32, 16))
    assert small.manifest.input.size_px == (32, 16)
    images = torch.rand(2, 3, 16, 32, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        wanted = network(images)
    for ours, its in zip(Model(small)(images.numpy()), wanted, strict=True):
        assert_allclose(ours, its.numpy(), atol=1e-5)
    for one, shape in ((file, (3, 3, 48, 64)), (small, (1, 3, 16, 32))):
        assert ways.multiplications(one.onnx, shape[0]) == multiplications(network, torch.zeros(shape))


def test_the_sizes_of_the_ways() -> None:
    sizes = {(way.name, n): way.size((192, 144), n) for way in ways.WAYS for n in (2, 4, 9)}
    assert {sizes["grid", n] for n in (2, 4, 9)} == {sizes["batch", 9]} == {(192, 144)}
    assert sizes["grid, full size each", 2] == sizes["grid, full size each", 4] == (384, 288)
    assert sizes["grid, full size each", 9] == (576, 432)
    assert sizes["batch, tile's size", 4] == (96, 96)
    assert sizes["batch, tile's size", 9] == (64, 64)


def test_a_grid_of_full_size_saves_no_multiplication(fake: ModelFile) -> None:
    alone = ways.multiplications(fake.onnx, 1)
    for count in (4, 9):
        large = ways.resized(fake, ways.enlarged(SIZE_PX, count))
        assert ways.multiplications(large.onnx, 1) == ways.multiplications(fake.onnx, count) == count * alone


def test_each_picture_is_shown_once_and_told_of_by_its_own_tile(fake: ModelFile, folder: Path) -> None:
    cots = ways.cots_of(renders(folder, "rgb"))
    for way in ways.WAYS:
        shown = ways.show(ways.open_way(fake, way, 4), cots.frames, 4, seed=3)
        assert [len(poses) for poses in shown.told] == [1] * 5 + [0]
        assert set(shown.places) <= set(range(4))
        for sample, poses in zip(cots.samples[:5], shown.told, strict=False):
            assert poses[0].keypoints[:, 0].mean() == pytest.approx(sample.persons[0, :, 0].mean(), abs=9)


def pose(joints: np.ndarray) -> Pose:
    return Pose(np.column_stack([joints, np.ones(14)]).astype(np.float32), 1.0, None, None)


def test_joints_in_other_tiles_are_counted(folder: Path) -> None:
    cots = ways.cots_of(renders(folder, "rgb"))
    told = [pose(sample.persons[0, :, :2]) for sample in cots.samples[:5]]
    told[1].keypoints[4, 0] = 400.0  # right of its picture: in tile 1 if shown in tile 0
    shown = ways.Shown([*((one,) for one in told), ()], [0] * 6)
    grid = tiles(4, SIZE_PX)
    assert ways.strays(cots, shown, grid) == (0.2, 0.2)
    assert ways.strays(cots, shown, ()) == (0.2, 0.0)
    assert ways.strays(cots, replace(shown, places=[1] * 6), grid) == (0.2, 0.0)  # right of it lies nothing


class Drawn(PoseNetwork):
    """Tells each infant as many px to the right as there are infants beside it, and of an empty cot nothing."""

    def __init__(self, truths: dict[str, np.ndarray]) -> None:
        self.truths = truths

    def read(self, frames: object, *, several: bool = False) -> list[tuple[Pose, ...]]:
        assert isinstance(frames, list)
        known = [self.truths.get(frame.source) for frame in frames]
        right = sum(one is not None for one in known) - 1
        return [() if one is None else (pose(one + np.array([right, 0])),) for one in known]


def test_moves_are_told_in_trunk_lengths(folder: Path) -> None:
    cots = ways.cots_of(renders(folder, "rgb"))
    truths = {s.image.name: s.persons[0, :, :2] for s in cots.samples if len(s.persons)}
    neighbours = {"first": lambda turn, n: n, "other infants": lambda turn, n: 4 - n, "empty": lambda turn, n: 5}
    moved = ways.crosstalk(Drawn(truths), cots, neighbours, [0, 3, 4], count=4, centre_from=0.5)
    shoulders, hips = LYING[[0, 1]].mean(axis=0), LYING[[6, 7]].mean(axis=0)
    trunk_px = 4 * float(np.linalg.norm(shoulders - hips))
    assert_allclose(moved["other infants"].trunks, 0, atol=1e-6)
    assert_allclose(moved["empty"].trunks, 3 / trunk_px, rtol=1e-4)
    assert (moved["empty"].appeared, moved["empty"].turned) == (0, 0)


def test_a_batch_has_no_crosstalk_and_frames_keep_their_kind(fake: ModelFile, folder: Path) -> None:
    cots = ways.cots_of(renders(folder, "rgb"))
    assert all(isinstance(frame, Frame) and frame.image.shape == (192, 256, 3) for frame in cots.frames)
    network = ways.open_way(ways.unbound(fake), ways.BATCH, 2)
    told = ways.crosstalk(network, cots, {"a": lambda t, n: 1, "b": lambda t, n: 5}, [0, 2], count=2, centre_from=0.3)
    assert np.nanmax(told["b"].trunks) == 0


def test_the_whole_study(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    ship(tmp_path, size_px=SIZE_PX)
    told, picture = tmp_path / "study.json", tmp_path / "study.png"
    monkeypatch.setattr(study, "PROCESSES", 1)
    monkeypatch.setattr(study.tqdm, "monitor_interval", 0)  # its thread outlives the bar
    arguments = ["pose_grid.py", "--model", str(tmp_path / "pose"), "--data", str(folder), "--counts", "1", "4"]
    monkeypatch.setattr(sys, "argv", [*arguments, "--rounds", "1", "--json", str(told), "--plot", str(picture)])
    assert study.main() == 0
    found = json.loads(told.read_text())
    rows = {(row["count"], row["way"]): row for row in found["rows"]}
    assert len(rows) == 1 + len(ways.WAYS)
    alone, batch, grid = (rows[4, name] for name in ("one by one", "batch", "grid"))
    assert alone["to_one_by_one"] == 1
    assert batch["accuracy"] == alone["accuracy"]
    assert alone["multiplications_millions"] == 4 * grid["multiplications_millions"]
    assert rows[4, "grid, full size each"]["multiplications_millions"] == alone["multiplications_millions"]
    assert grid["accuracy"]["ap"] < alone["accuracy"]["ap"]  # its joints' distances are fixed in px
    assert all(row["memory_mib"] > 0 for row in rows.values())
    assert {(c["way"], c["neighbours"]) for c in found["crosses"]} >= {
        ("grid", "other infants"),
        ("grid", "empty cots"),
    }
    assert picture.stat().st_size > 10_000
    printed = capsys.readouterr().out
    assert "image centre, never looks" in printed
    assert "crosstalk" in printed


def test_a_model_that_is_missing_is_one_line(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setattr(sys, "argv", ["pose_grid.py", "--model", "nowhere/pose", "--data", str(folder)])
    with pytest.raises(SystemExit):
        study.main()
    assert "nowhere" in capsys.readouterr().err.splitlines()[-1]
