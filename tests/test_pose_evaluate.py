"""`evaluate pose` as a whole on a network without learning, whose every answer is known."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from pose_model import LYING, cot, ship

from edgemon.inference import Model
from edgemon.records import HeadSide, Pose, Posture
from export.__main__ import main
from export.pose.baselines import CENTRE
from export.pose.evaluate import evaluate_pose
from export.pose.finders import PoseReader
from export.pose.layouts import read_poses
from export.pose.movenet import turned_back
from export.pose.report import PoseReport
from export.pose.samples import PoseSample
from export.pose.told import confusions, silence

CENTRE_PX = (128.0, 96.0)


def truth(off_px: float = 0.0) -> list[list[float]]:
    """The joints of the network's infant, all visible, shifted by so much."""
    return [[CENTRE_PX[0] + 4 * x + off_px, CENTRE_PX[1] + 4 * y, 2] for x, y in LYING]


def add(folder: Path, *, keypoints: list[list[float]], image: np.ndarray | None = None, **also: object) -> None:
    """One more render: what the network sees is an infant in the middle, unless another image is given."""
    folder.mkdir(exist_ok=True)
    name = f"{len(list(folder.glob('*.jpg'))):06d}"
    picture = cot(CENTRE_PX) if image is None else image
    cv2.imwrite(str(folder / f"{name}.jpg"), picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 100])
    row = {"name": name, "identity": 1, "keypoints": keypoints} | also
    with (folder / "truth.jsonl").open("a") as file:
        file.write(json.dumps(row) + "\n")


@pytest.fixture
def report(tmp_path: Path) -> PoseReport:
    """Ten infants told right and ten told half a picture beside; one dark frame, one empty cot, one false infant."""
    folder = tmp_path / "r"
    for n in range(10):
        cover = "none" if n % 2 else "legs"
        add(folder, keypoints=truth(), posture="supine", head_side="left", cover=cover, light="day")
        add(folder, keypoints=truth(100), posture="prone", head_side="right", cover=cover, light="day")
    add(folder, keypoints=truth(), posture="supine", head_side="left", image=cot(), cover="none", light="day")
    add(folder, keypoints=[], image=cot())
    add(folder, keypoints=[])
    reader = PoseReader(Model.open(ship(tmp_path), "pose"))
    samples = read_poses(folder, "rgb")
    return evaluate_pose(samples, reader, CENTRE, (), "r")


def value(report: PoseReport, name: str, condition: str) -> float:
    found = [m.value for m in report.metrics() if m.name == name and m.condition.startswith(condition)]
    assert len(found) == 1, (name, condition, found)
    return found[0]


def test_half_of_the_infants_are_found(report: PoseReport) -> None:
    assert value(report, "OKS AR", "pose@0.1.0; all (21)") == pytest.approx(10 / 21, abs=1e-3)
    assert value(report, "OKS AP", "pose@0.1.0; posture=supine") > 0.85
    assert value(report, "OKS AP", "pose@0.1.0; posture=prone") == 0
    assert {row.group for row in report.rows} == {
        "all", "posture=supine", "posture=prone", "cover=legs", "cover=none",
    }  # fmt: skip


def test_errors_are_those_that_were_made(report: PoseReport) -> None:
    trunk_px = 4 * np.linalg.norm(LYING[0:2].mean(axis=0) - LYING[6:8].mean(axis=0))
    assert value(report, "error p50, trunk lengths", "pose@0.1.0; posture=prone") == pytest.approx(
        100 / trunk_px, abs=0.1
    )
    assert value(report, "LOS", "pose@0.1.0; posture=prone") == pytest.approx(1 - 100 / 320, abs=0.02)


def test_what_is_told_beside_the_joints_is_judged(report: PoseReport) -> None:
    at = "pose@0.1.0; at its thresholds"
    assert value(report, "posture accuracy when told", at) == 0.5
    assert value(report, "head side accuracy when told", at) == 0.5
    assert value(report, "posture left open", at) == pytest.approx(1 / 21, abs=1e-4)
    assert value(report, "pictures with an infant, none told", at) == pytest.approx(1 / 21, abs=1e-4)
    assert value(report, "pictures without an infant, one told", at) == 0.5
    assert report.trust is not None
    posture = report.trust.confusions[0]
    assert posture.names == ("supine", "side", "prone")
    assert posture.counts == ((10, 0, 0, 1), (0, 0, 0, 0), (10, 0, 0, 0))
    assert not report.trust.visibility.judged  # no joint is covered


def test_the_guesses_that_never_look_are_always_beside(report: PoseReport) -> None:
    assert {row.method for row in report.rows} == {"pose@0.1.0", "image centre"}
    lines = list(report.lines())
    assert any("image centre, all" in line for line in lines)
    assert all(np.isfinite(m.value) for m in report.metrics())


def test_visible_and_covered_joints_are_told_apart(tmp_path: Path) -> None:
    """Covered joints where the picture is less green than the threshold asks."""
    for seen, v in ((200, 2), (20, 1), (200, 2), (20, 1)):
        add(tmp_path / "r", keypoints=[[x, y, v] for x, y, _ in truth()], image=cot(CENTRE_PX, seen=seen))
    reader = PoseReader(Model.open(ship(tmp_path), "pose"))
    trust = evaluate_pose(read_poses(tmp_path / "r", "rgb"), reader, CENTRE, (), "r").trust
    assert trust is not None
    told = dict(trust.visibility.named())
    assert told["visibility AUC"] == 1.0
    assert told["visible joints called visible"] == told["covered joints called covered"] == 1.0


def test_the_command_prints_writes_and_draws(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for n in range(4):
        add(tmp_path / "r", keypoints=[[x, y, 1 + n % 2] for x, y, _ in truth()], posture="supine", head_side="left")
    ship(tmp_path)
    told, drawn = tmp_path / "f.json", tmp_path / "f.png"
    words = ["evaluate", "pose", "--model", str(tmp_path / "pose"), "--data", str(tmp_path / "r"), "--json", str(told)]
    assert main([*words, "--train-mean", str(tmp_path / "r"), "--plot", str(drawn)]) == 0
    assert "mean pose of r, all" in capsys.readouterr().out
    assert drawn.read_bytes().startswith(b"\x89PNG")
    names = {row["name"] for row in json.loads(told.read_text())["metrics"]}
    assert {"OKS AP", "LOS", "PCKsh at 0.1", "posture accuracy when told", "visibility AUC"} <= names


def test_labels_without_pictures_are_judged_by_guesses(shared: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """LOS of real infants' labels: what a guess that never looks scores."""
    assert main(["evaluate", "pose", "--model", "none", "--data", str(shared / "data" / "babymoves_labels")]) == 0
    assert "image centre" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ([], "--data needs folders"),
        (["--data", "nowhere", "--model", "none"], "nowhere: no such file"),
    ],
)
def test_what_is_missing_is_told_in_one_line(words: list[str], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", "pose", *words]) == 2
    line = capsys.readouterr().err
    assert told in line
    assert line.count("\n") == 1


def test_an_infant_that_is_not_told_leaves_posture_open() -> None:
    sample = PoseSample(
        Path("x.jpg"), "rgb", (64, 48), np.ones((1, 14, 3), np.float32), "0", Posture.SIDE, HeadSide.MIDLINE
    )
    posture, head = confusions([sample], [[]])
    assert posture.counts[1] == (0, 0, 0, 1)
    assert head.counts[2] == (0, 0, 0, 1)
    assert dict(posture.named()) == {"posture left open": 1.0}
    assert dict(silence([sample], [[]])) == {"pictures with an infant, none told": 1.0}


@pytest.mark.parametrize("turns", range(4))
def test_a_pose_of_a_turned_picture_is_turned_back(turns: int) -> None:
    places = np.random.default_rng(turns).integers(0, 40, (14, 2))
    image = np.zeros((48, 64), int)
    image[places[:, 1], places[:, 0]] = np.arange(1, 15)
    turned = np.rot90(image, turns)
    seen = [np.argwhere(turned == image[y, x])[0][::-1] for x, y in places]
    pose = Pose(np.column_stack([seen, np.ones(14)]).astype(np.float32), 1.0, None, None)
    assert turned_back(pose, turns, (64, 48)).keypoints[:, :2].tolist() == places.tolist()


def test_movenet_runs_as_published(shared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("ai_edge_litert")
    weights = shared / "data" / "weights"
    if not (weights / "movenet").is_dir():
        pytest.skip("needs ../shared/data/weights/movenet")
    add(tmp_path / "r", keypoints=truth())
    words = ["--data", str(tmp_path / "r"), "--peers", str(weights)]
    assert main(["evaluate", "pose", "--model", "none", *words]) == 0
    out = capsys.readouterr().out
    assert "MoveNet Lightning, limbs only" in out
    assert "MoveNet, best of 4 turns by the truth, limbs only" in out


def test_peers_that_are_not_there_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    add(tmp_path / "r", keypoints=truth())
    words = ["--data", str(tmp_path / "r"), "--peers", str(tmp_path)]
    assert main(["evaluate", "pose", "--model", "none", *words]) == 2
    assert "holds no movenet" in capsys.readouterr().err
