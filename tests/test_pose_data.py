"""Pose sets as they are laid out by others: what is read, and how what is wrong is named."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edgemon.records import KEYPOINTS, HeadSide, Posture
from export.pose.layouts import read_all, read_poses

ROWS = [[10.0 + n, 20.0 + 2 * n, n % 3] for n in range(14)]


def write_render(folder: Path, number: int, **also: Any) -> None:
    folder.mkdir(exist_ok=True)
    name = f"{number:06d}"
    cv2.imwrite(str(folder / f"{name}.jpg"), np.full((48, 64, 3), (0, 0, 200), np.uint8))
    depth = np.full((48, 64), 800, np.uint16)
    depth[:8] = 0
    cv2.imwrite(str(folder / f"{name}.depth.png"), depth)
    row = {"name": name, "identity": 9, "keypoints": ROWS, "posture": "side", "head_side": "left"} | also
    with (folder / "truth.jsonl").open("a") as file:
        file.write(json.dumps(row) + "\n")


def test_renders_as_colour_and_as_depth(tmp_path: Path) -> None:
    write_render(tmp_path / "r", 0, cover="blanket to the chest", light="dark", shifted=True)
    write_render(tmp_path / "r", 1, keypoints=[], posture=None, head_side=None)
    colour, empty = read_poses(tmp_path / "r", "rgb")
    assert (colour.size, colour.subject, colour.posture, colour.head_side) == (
        (64, 48),
        "9",
        Posture.SIDE,
        HeadSide.LEFT,
    )
    assert colour.groups == ("posture=side", "cover=blanket-to-the-chest", "light=dark", "shifted=yes")
    assert colour.persons[0, 1].tolist() == [11, 22, 1]
    assert colour.persons[0, 0].tolist() == [0, 0, 0]
    assert empty.persons.shape == (0, 14, 3)
    assert empty.groups == ()
    red, green, blue = colour.read()[5, 5]
    assert red > 150 > max(green, blue)
    depth = read_poses(tmp_path / "r", "depth")[0].read()
    assert depth[0, 0].tolist() == [0, 0, 0]
    assert depth[20, 20].tolist() == [64, 64, 64]


def test_several_places_are_told_apart(tmp_path: Path) -> None:
    for name in ("one", "other"):
        write_render(tmp_path / name, 0)
    samples = read_all([tmp_path / "one", tmp_path / "other"], "rgb")
    assert [sample.groups[-1] for sample in samples] == ["data=one", "data=other"]


def coco_file(tmp_path: Path, **changed: Any) -> Path:
    annotation = {
        "id": 1,
        "image_id": 7,
        "bbox": [1, 2, 30, 40],
        "keypoints": np.ravel(ROWS).tolist(),
        "iscrowd": 0,
    } | changed
    image = {"id": 7, "file_name": "a.jpg", "width": 64, "height": 48, "crowdIndex": 0.3}
    path = tmp_path / "crowd.json"
    path.write_text(json.dumps({"images": [image], "annotations": [annotation]}))
    return path


def test_crowdpose_keeps_its_order_and_its_boxes(tmp_path: Path) -> None:
    (sample,) = read_poses(coco_file(tmp_path), "rgb")
    assert sample.persons[0, 13].tolist() == [23, 46, 1]
    assert sample.box(0).tolist() == [1, 2, 31, 42]
    assert sample.groups == ("crowd=medium",)
    assert read_poses(tmp_path, "rgb")[0].image == sample.image == tmp_path / "a.jpg"


def test_of_cocos_seventeen_the_limbs_are_taken(tmp_path: Path) -> None:
    seventeen = [v for n in range(17) for v in (n, 100 + n, 2)]
    (sample,) = read_poses(coco_file(tmp_path, keypoints=seventeen), "rgb")
    assert sample.persons[0, :, 0].tolist() == [*range(5, 17), 0, 0]
    assert sample.persons[0, :, 2].tolist() == [2] * 12 + [0, 0]


def test_a_crowd_is_not_judged(tmp_path: Path) -> None:
    (sample,) = read_poses(coco_file(tmp_path, iscrowd=1), "rgb")
    assert not sample.persons.any()


def babypose_folder(tmp_path: Path, row: str = "00000_8bit.png;377,362;-1,-1;429,297") -> Path:
    (tmp_path / "annotations").mkdir()
    (tmp_path / "annotations" / "result_pz3.csv").write_text(f"image;head;right_hand;left_foot\n{row}\n")
    (tmp_path / "pz3").mkdir()
    cv2.imwrite(str(tmp_path / "pz3" / "00000_16bit.png"), np.full((480, 640), 700, np.uint16))
    return tmp_path


def test_babypose_names_hands_and_feet(tmp_path: Path) -> None:
    (sample,) = read_poses(babypose_folder(tmp_path), "depth")
    assert (sample.subject, sample.size, sample.image.name) == ("pz3", (640, 480), "00000_16bit.png")
    labelled = {KEYPOINTS[n]: row.tolist() for n, row in enumerate(sample.persons[0]) if row[2]}
    assert labelled == {"head": [377, 362, 2], "left_ankle": [429, 297, 2]}
    assert sample.read().shape == (480, 640, 3)


def test_babymoves_has_labels_without_pictures(shared: Path) -> None:
    samples = read_poses(shared / "data" / "babymoves_labels", "rgb")
    assert len(samples) == 475
    assert len({sample.subject for sample in samples}) == 100
    assert not any(sample.image.exists() for sample in samples)
    persons = np.concatenate([sample.persons for sample in samples])
    whole = (persons[:, :13, 2] == 2).all(axis=1)
    assert whole.sum() == 104
    shoulders, hips = (persons[whole, n : n + 2, :2].mean(axis=1) for n in (0, 6))
    upper_arm = np.linalg.norm(persons[whole, 0, :2] - persons[whole, 2, :2], axis=1)
    assert np.median(upper_arm / np.linalg.norm(shoulders - hips, axis=1)) == pytest.approx(0.36, abs=0.05)


def _truth(row: object) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        write_render(folder, 0)
        with (folder / "truth.jsonl").open("a") as file:
            file.write(json.dumps(row) + "\n")
        return folder

    return make


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda folder: folder / "nowhere", "nowhere: no such file"),
        (lambda folder: folder, r"none of truth\.jsonl"),
        (_truth({"name": "x", "keypoints": [[1, 2, 3]]}), r"truth\.jsonl:2: keypoints; 14 rows"),
        (_truth({"name": "x"}), r"truth\.jsonl:2: keypoints"),
        (_truth({"name": "x", "keypoints": [[1, 2, 7]] * 14}), r"truth\.jsonl:2: .* v of 0, 1 or 2"),
        (_truth({"name": "x", "keypoints": [[1, float("nan"), 2]] * 14}), r"truth\.jsonl:2"),
        (_truth({"name": "x", "keypoints": ROWS, "posture": "upright"}), r"truth\.jsonl:2: 'upright'; one of supine"),
        (lambda folder: coco_file(folder, keypoints=[1, 2, 3]), r"crowd\.json: annotation 1: keypoints"),
        (lambda folder: coco_file(folder, bbox=[1, 2]), r"crowd\.json: annotation 1: bbox"),
        (lambda folder: coco_file(folder, image_id=8), r"crowd\.json: annotation 1: image_id 8"),
        (lambda folder: babypose_folder(folder, "a.png;1,2;3,4"), r"pz3\.csv:2: 3 columns"),
        (lambda folder: babypose_folder(folder, "a.png;1,2;3,x;5,6"), r"pz3\.csv:2: 'x' is not a number"),
        (lambda folder: babypose_folder(folder, "a.png;1,2;3;5,6"), r"pz3\.csv:2: right_hand '3'"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, make: Callable[[Path], Path], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        read_poses(make(tmp_path), "rgb")


def test_a_broken_table_of_labels_is_named(tmp_path: Path) -> None:
    (tmp_path / "labels.npz").write_bytes(b"PK\x03\x04 nothing")
    with pytest.raises(ValueError, match=r"labels\.npz: not the labels' table"):
        read_poses(tmp_path, "rgb")


def test_a_picture_of_another_size_or_depth_of_eight_bits_is_refused(tmp_path: Path) -> None:
    write_render(tmp_path, 0)
    write_render(tmp_path, 1)
    cv2.imwrite(str(tmp_path / "000001.jpg"), np.zeros((10, 10, 3), np.uint8))
    cv2.imwrite(str(tmp_path / "000001.depth.png"), np.zeros((48, 64), np.uint8))
    with pytest.raises(ValueError, match=r"000001\.jpg: is 10x10 px"):
        read_poses(tmp_path, "rgb")[1].read()
    with pytest.raises(ValueError, match=r"000001\.depth\.png: uint8"):
        read_poses(tmp_path, "depth")[1].read()
