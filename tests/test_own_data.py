"""People's own annotated pictures as training data, for the device's detector and for the seed's network."""

from __future__ import annotations

import warnings
from pathlib import Path

import cv2
import numpy as np
import pytest

with warnings.catch_warnings():  # torch's own imports warn
    warnings.simplefilter("ignore")
    torch = pytest.importorskip("torch", reason="needs the extra `export`")
    from export.datasets.own import KEPT_FACE_PX, training_faces, training_samples, training_scenes
    from export.face_data import people
    from export.nfd import PYRAMID, Network, NetworkConfig, priors
    from export.nfd.frames import as_drawn
    from export.nfd.losses import Targets, losses, match
    from export.nfd_training import inputs

HEADER = "file,x0,y0,x1,y1,right_eye_x,right_eye_y,left_eye_x,left_eye_y,nose_x,nose_y,"
HEADER += "mouth_right_x,mouth_right_y,mouth_left_x,mouth_left_y"
BOX = (300, 200, 600, 560)
POINTS = (380, 320, 520, 320, 450, 390, 400, 470, 500, 470)


def a_folder(folder: Path, columns: str, numbers: tuple[int, ...], count: int = 10) -> Path:
    rows = [",".join(columns.split(",")[: 1 + len(numbers)])]
    for number in range(count):
        rgb = np.full((800, 1000, 3), 90, np.uint8)
        cv2.ellipse(rgb, (450, 380), (150, 180), 0, 0, 360, (170, 150, 190), -1)
        cv2.imwrite(str(folder / f"{number}.png"), rgb)
        rows.append(f"{number}.png," + ",".join(str(v) for v in numbers))
    (folder / "faces.csv").write_text("\n".join(rows) + "\n")
    return folder


def test_six_in_ten_subjects_are_trained_on(tmp_path: Path) -> None:
    samples = training_samples(a_folder(tmp_path, HEADER, (*BOX, *POINTS)))
    assert len(samples) == 6
    assert [s.path for s in samples] == [s.path for s in training_samples(tmp_path)]


def test_faces_with_landmarks_teach_the_detector_and_large_ones_are_reduced(tmp_path: Path) -> None:
    faces = training_faces(a_folder(tmp_path, HEADER, (*BOX, *POINTS)))
    assert len(faces) == 6
    for picture in faces:
        assert picture.face is not None
        assert picture.face.size_px == pytest.approx(KEPT_FACE_PX, rel=0.02)
        x, y = picture.face.centre
        assert picture.subject[round(y), round(x)]
        assert picture.rgb[round(y), round(x)].tolist() == [190, 150, 170]
    assert len(people(np.random.default_rng(1), faces)) > len(faces)


def test_boxes_alone_do_not_teach_the_detector_its_roll(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no face of 64 px has landmarks"):
        training_faces(a_folder(tmp_path, HEADER, BOX))


def test_annotations_without_pictures_are_told(tmp_path: Path) -> None:
    a_folder(tmp_path, HEADER, BOX)
    for path in tmp_path.glob("*.png"):
        path.unlink()
    with pytest.raises(ValueError, match="10 pictures are annotated, none of 6 to train on is there"):
        training_scenes(tmp_path, 5, (160, 128), 1)


def test_the_seeds_network_learns_from_boxes_alone(tmp_path: Path) -> None:
    scenes = training_scenes(a_folder(tmp_path, HEADER, BOX), 4, (160, 128), 1)
    assert {scene.rgb.shape for scene in scenes} == {(128, 160, 3)}
    frame = as_drawn(scenes[0])
    np.testing.assert_allclose(frame.boxes, [[v * 0.16 for v in BOX]], atol=0.5)
    anchors = priors(PYRAMID, (160, 128))
    torch.manual_seed(0)
    network = Network(NetworkConfig("mobilenet", channels=16))
    targets = Targets(*(torch.from_numpy(part[None]) for part in match(frame.boxes, frame.landmarks, anchors)))
    terms = losses(network(inputs([frame.rgb])), targets, torch.from_numpy(anchors))
    assert terms["landmarks"].item() == 0.0
    torch.autograd.backward(sum(terms.values(), torch.zeros(())))
    assert all(torch.isfinite(p.grad).all() for p in network.parameters() if p.grad is not None)
