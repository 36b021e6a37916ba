"""The face benchmark on any folder of photographs: its frames, its peers, and its tables."""

from __future__ import annotations

import json
import math
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest
from conftest import ROOT

from edgemon.faces.detect import Detection
from edgemon.inference import Image

sys.path.insert(0, str(ROOT))
with warnings.catch_warnings():  # torch's own imports warn
    warnings.simplefilter("ignore")
    pytest.importorskip("onnx", reason="needs the extra `export`")
    from benchmarks import face as benchmark
    from benchmarks.peers import Haar, Peer, RetinaFaceMnet, ThreeRotations, YuNet
    from export.augment import Scene
    from export.datasets import Renders
    from export.datasets.labelled import FaceLabel, Labelled
    from export.datasets.layouts import open_folder
    from export.evaluate_face import best_hit, lies_on
    from export.face_cases import CONDITIONS, FACE_PX, FRAME_PX, london_subjects
    from export.photograph_cases import SPOILED, find_among, free_frames, photograph_subjects, places

LARGE, OTHER, SMALL = (150.0, 120.0, 310.0, 320.0), (420.0, 150.0, 520.0, 270.0), (20.0, 20.0, 45.0, 50.0)
RED, BLUE, GREEN = (220, 40, 40), (40, 40, 220), (40, 160, 60)
ROLLED = -30.0
needs_models = pytest.mark.skipif(not (ROOT / "models/face.toml").is_file(), reason="no released models in this tree")


def landmarks(box: tuple[float, ...], roll_deg: float) -> list[tuple[float, float]]:
    """Five points of a face with that roll, in the middle of its box."""
    c, s = math.cos(math.radians(roll_deg)), math.sin(math.radians(roll_deg))
    flat = np.array([[-26, -20], [26, -20], [0, 4], [-20, 32], [20, 32]]) * (box[2] - box[0]) / 160
    points = flat @ np.array([[c, s], [-s, c]]) + [(box[0] + box[2]) / 2, (box[1] + box[3]) / 2]
    return [(float(x), float(y)) for x, y in points]


def drawn() -> Image:
    """A green picture with a large red face, a blue one beside it, and a small red one in a corner."""
    rgb = np.full((480, 640, 3), GREEN, np.uint8)
    for box, colour in ((LARGE, RED), (OTHER, BLUE), (SMALL, RED)):
        centre = (round((box[0] + box[2]) / 2), round((box[1] + box[3]) / 2))
        axes = (round((box[2] - box[0]) / 2), round((box[3] - box[1]) / 2))
        cv2.ellipse(rgb, centre, axes, 0, 0, 360, colour, -1)
    return rgb


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two such pictures in the csv layout, the large face with landmarks, and a row of a picture that is missing."""
    path = tmp_path_factory.mktemp("photographs")
    rows = ["file,x0,y0,x1,y1"]
    for name in ("one.png", "two.png"):
        assert cv2.imwrite(str(path / name), drawn()[..., ::-1])
        told = [*LARGE, *(v for point in landmarks(LARGE, ROLLED) for v in point)]
        rows += [",".join([name, *(f"{v:g}" for v in face)]) for face in (told, OTHER, SMALL)]
    (path / "faces.csv").write_text("\n".join([*rows, "gone.png,1,1,90,90"]) + "\n")
    return path


class Seer:
    """Finds the box of one colour, as the frames of this test show it."""

    def __init__(self, colour: tuple[int, int, int], score: float = 0.9) -> None:
        self.colour, self.score = colour, score

    def detect(self, image: Image, threshold: float | None = None) -> tuple[Detection, ...]:
        near = (np.abs(image.astype(int) - self.colour).max(axis=2) < 40).astype(np.uint8)
        if near.sum() < 50:
            return ()
        x, y, w, h = cv2.boundingRect(near)
        box = (float(x), float(y), float(x + w), float(y + h))
        return (Detection(box, np.array(landmarks(box, 0), np.float32), self.score),)


def test_faces_of_photographs_become_cases(folder: Path) -> None:
    found = photograph_subjects("drawn", open_folder(folder))
    assert (len(found.pictures), found.upright, found.too_small, found.missing) == (4, 2, 2, 1)
    assert "skipped: 2 below 40 px, 0 not to be judged, 1 pictures missing" in str(found)
    assert len(photograph_subjects("drawn", open_folder(folder), limit=3).pictures) == 3


@pytest.mark.parametrize("name", list(CONDITIONS))
def test_a_photographed_face_is_shown_as_its_condition_says(name: str, folder: Path) -> None:
    condition = CONDITIONS[name]
    scenes = list(photograph_subjects("drawn", open_folder(folder)).frames(condition))
    assert [len(scene.faces) for scene in scenes] == [3] * 4
    for scene in scenes:
        assert scene.rgb.shape == (FRAME_PX[1], FRAME_PX[0], 3)
        assert scene.faces[0].size_px == pytest.approx(FACE_PX, rel=1e-3)
        assert abs(math.remainder(abs(scene.faces[0].roll_deg) - condition.roll_deg, 360)) < 0.5


def colour_at(scene: Scene, number: int) -> Sequence[int]:
    x, y = (round(v) for v in scene.faces[number].centre)
    if not (0 <= x < FRAME_PX[0] and 0 <= y < FRAME_PX[1]):
        return (BLUE, RED)[number != 1]
    return [int(v) for v in scene.rgb[y, x]]


def test_marks_lie_on_their_faces_in_the_frame(folder: Path) -> None:
    first = photograph_subjects("drawn", open_folder(folder))
    for name in ("roll 0", "roll 45", "roll 180"):
        scene = next(first.frames(CONDITIONS[name]))
        assert np.abs(np.array(colour_at(scene, 0)) - RED).max() < 10
        assert np.abs(np.array(colour_at(scene, 1)) - BLUE).max() < 10


def test_a_find_on_another_face_is_no_hit(folder: Path) -> None:
    samples = [Labelled(s.path, s.subject, s.faces[:2]) for s in open_folder(folder)[:1]]
    found = photograph_subjects("drawn", samples)
    red, blue = (find_among(Seer(colour), found).hits["roll 0"] for colour in (RED, BLUE))
    assert [hit.score for hit in red] == [0.9, 0.0]
    assert [hit.score for hit in blue] == [0.0, 0.9]


def test_a_near_neighbour_takes_what_lies_on_it(folder: Path) -> None:
    """Two faces nearer than a hit reaches: a find belongs to the one that it is nearer to."""
    close = tuple(FaceLabel((x, 100.0, x + 150, 250.0)) for x in (200.0, 240.0))
    found = photograph_subjects("close", [Labelled(folder / "one.png", "one", close)])
    frames = {scene.rgb.tobytes(): scene for scene in found.frames(CONDITIONS["roll 0"])}

    class Second:
        def detect(self, image: Image, threshold: float | None = None) -> tuple[Detection, ...]:
            scene = frames.get(image.tobytes())
            return () if scene is None else (Detection(scene.faces[1].box(), np.zeros((5, 2), np.float32), 0.8),)

    assert {hit.score for hit in find_among(Second(), found).hits["roll 0"]} == {0.0}


def test_nothing_to_judge_is_said(folder: Path) -> None:
    samples = [Labelled(folder / "one.png", "one", (FaceLabel(SMALL), FaceLabel(LARGE, judged=False)))]
    with pytest.raises(ValueError, match=r"1 below 40 px, 1 not to be judged, .*nothing is left"):
        photograph_subjects("drawn", samples)


def test_places_without_faces_show_no_labelled_one(folder: Path) -> None:
    frames = list(places(open_folder(folder), 40, seed=3))
    assert len(frames) >= 30
    for number, frame in enumerate(frames):
        assert frame.shape == (240, 320, 3)
        if number % 2:
            assert frame.mean() < 60
        else:
            assert np.abs(frame.astype(int) - GREEN).max() < 12
    for one, other in zip(frames, places(open_folder(folder), 40, seed=3), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_picture_full_of_faces_gives_no_place(folder: Path) -> None:
    whole = Labelled(folder / "one.png", "one", (FaceLabel((0, 0, 640, 480)),))
    assert list(places([whole], 10, seed=1)) == []


def test_without_renders_there_are_textures_and_places(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    samples = open_folder(folder)
    free = free_frames(None, [photograph_subjects("drawn", samples)], samples, 30)
    assert {kind: len(frames) for kind, frames in free.items()} == {"textures": 10, SPOILED: 10, "photographs": 20}
    benchmark.warn_of_few(free)
    assert "WARNING: 30 face-free frames apart from spoiled faces, fewer than 50" in capsys.readouterr().err


def test_scrambled_renders_count_as_spoiled_faces(tmp_path: Path, folder: Path) -> None:
    rows = [{"name": str(n), "face_box": None, "scene": scene} for n, scene in enumerate(("bedding", "scrambled"))]
    (tmp_path / "truth.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    for row in rows:
        assert cv2.imwrite(str(tmp_path / f"{row['name']}.jpg"), drawn()[..., ::-1])
    subjects = [photograph_subjects("drawn", open_folder(folder))]
    free = free_frames(Renders(tmp_path), subjects, (), 12)
    told = {kind: len(frames) for kind, frames in free.items()}
    assert told == {"renders of no face": 2, "textures": 4, SPOILED: 6, "photographs": 0}


class Faceless(Seer, Peer):
    """A peer without a network."""


@pytest.mark.parametrize("box", [(40, 30, 100, 110), (200, 150, 300, 220)])
def test_three_rotations_agree_on_where_a_face_is(box: tuple[int, int, int, int]) -> None:
    rgb = np.full((240, 320, 3), GREEN, np.uint8)
    rgb[box[1] : box[3], box[0] : box[2]] = RED
    (upright,) = ThreeRotations(Faceless(RED), Faceless(RED)).detect(rgb)
    assert upright.box == box
    blind = ThreeRotations(Faceless(BLUE), Faceless(RED)).detect(rgb)
    assert [found.box for found in blind] == [box]
    assert all(box[0] <= x <= box[2] and box[1] <= y <= box[3] for x, y in blind[0].landmarks)


@pytest.fixture(scope="module")
def weights(shared: Path) -> Path:
    if not (shared / "data/weights/yunet").is_dir():
        pytest.skip("needs ../shared/data/weights")
    return shared / "data/weights"


def test_peers_find_a_photographed_face_with_its_roll(weights: Path, shared: Path) -> None:
    adults = london_subjects(shared / "data/faces_london", "test")
    yunet = YuNet(weights / benchmark.PEERS["YuNet-n"][1])
    sideways = YuNet(weights / benchmark.PEERS["YuNet-n"][1], turned=True)
    thrice = ThreeRotations(yunet, sideways)
    peers = (yunet, thrice, RetinaFaceMnet(weights / benchmark.PEERS["RetinaFace-mnet0.25"][1]))
    for name in ("roll 0", "roll 90"):
        scene = next(adults.frames(CONDITIONS[name]))
        for peer in peers[name == "roll 90" :]:
            best = peer.detect(scene.rgb, 0.3)[0]
            assert best.score > 0.8
            assert lies_on(best, scene.faces[0])
            assert best_hit((best,), scene.faces[0]).roll_error_deg < 10
    assert Haar().detect(next(adults.frames(CONDITIONS["roll 0"])).rgb)


@needs_models
def test_the_benchmark_prints_and_writes_its_tables(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(benchmark, "ROUNDS", 1)
    out = tmp_path / "out.json"
    plain = tmp_path / "plain"
    plain.mkdir()
    assert cv2.imwrite(str(plain / "wall.png"), np.full((300, 400, 3), GREEN, np.uint8))
    words = ["--photographs", str(folder), "--face-free", str(plain), "--weights", str(tmp_path), "--json", str(out)]
    assert benchmark.main([*words, "--models", str(ROOT / "models"), "--frames", "12", "--limit", "2"]) == 0
    told = json.loads(out.read_text())
    assert told["face_free_frames"] == {"textures": 4, SPOILED: 4, "photographs": 8}
    assert {row["detector"] for row in told["rows"]} >= {"Haar"}
    assert told["frames"] == {folder.name: dict.fromkeys(CONDITIONS, 2)}
    assert told["aims_percent"][folder.name]["roll 60"] == 99
    printed = capsys.readouterr()
    for phrase in ("to beat them all", "spoiled faces apart", "upright by landmarks", "false frames %", "bare network"):
        assert phrase in printed.out
    assert "YuNet-n is left out" in printed.err


def test_the_benchmark_says_in_one_line_what_is_wrong(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert benchmark.main(["--photographs", str(tmp_path / "none")]) == 2
    assert capsys.readouterr().err.startswith(f"{tmp_path / 'none'}: no such folder")
    with pytest.raises(SystemExit):
        benchmark.main([])
    assert "give --data RENDERS, --photographs DIR, or both" in capsys.readouterr().err


def test_a_london_picture_in_every_layout_is_judged_alike(shared: Path, tmp_path: Path) -> None:
    """csv, imglab without parts and COCO of one adult show the same frames, the eyes estimated near the true ones."""
    sample = open_folder(shared / "data/faces_london")[0]
    face = sample.faces[0]
    x0, y0, x1, y1 = face.box
    contents = {
        "csv/faces.csv": f"file,x0,y0,x1,y1\nx.jpg,{x0},{y0},{x1},{y1}\n",
        "imglab/faces.xml": f'<dataset><images><image file="x.jpg"><box top="{y0}" left="{x0}" width="{x1 - x0}" '
        f'height="{y1 - y0}"/></image></images></dataset>',
        "coco/faces.json": json.dumps(
            {
                "images": [{"id": 1, "file_name": "x.jpg", "width": 512, "height": 512}],
                "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [x0, y0, x1 - x0, y1 - y0]}],
            }
        ),
    }
    scenes = []
    for name, content in contents.items():
        path = tmp_path / name
        path.parent.mkdir()
        path.write_text(content)
        (path.parent / "x.jpg").write_bytes(sample.path.read_bytes())
        scenes.append(next(photograph_subjects(name, open_folder(path.parent)).frames(CONDITIONS["eyes hidden"])))
    for scene in scenes[1:]:
        np.testing.assert_array_equal(scene.rgb, scenes[0].rgb)
    with_landmarks = next(london_subjects(shared / "data/faces_london", "test").frames(CONDITIONS["eyes hidden"]))
    estimated, true = scenes[0].faces[0], with_landmarks.faces[0]
    assert np.abs((estimated.landmarks - estimated.centre) - (true.landmarks - true.centre)).max() < 0.12 * FACE_PX
