"""Every layout of annotated faces is read into one sample, split by subject, and what is malformed is named."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

with warnings.catch_warnings():  # torch's own imports warn
    warnings.simplefilter("ignore")
    pytest.importorskip("torch", reason="needs the extra `export`")
    from export import __main__ as command
    from export.datasets.labelled import (
        TYPICAL,
        FaceLabel,
        Labelled,
        clipped,
        face_of,
        face_of_68,
        mark_of_box,
        split_by_subject,
    )
    from export.datasets.layouts import LAYOUTS, open_all, open_folder, sources

SIZE = (200, 150)
BOX = (40.0, 30.0, 100.0, 110.0)
MARKS = tuple(float(v) for v in (55, 60, 85, 60, 70, 72, 58, 90, 82, 90))
Writer = Callable[[Path], None]


def picture(path: Path, size: tuple[int, int] = SIZE) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), np.full((size[1], size[0], 3), 120, np.uint8))


def text(path: Path, lines: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(lines)


def sixty_eight() -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    """A face drawn in the 68 points of iBUG, upright: brows at 50, eyes at 60, nose base at 75, chin at 110."""
    points = np.full((68, 2), (70.0, 65.0), np.float32)
    points[:17] = np.stack([np.linspace(40, 100, 17), 110 - 50 * np.linspace(-1, 1, 17) ** 2], axis=1)
    points[17:27] = np.stack([np.linspace(45, 95, 10), np.full(10, 50)], axis=1)
    points[30], points[33] = (70, 72), (70, 75)
    points[36:42], points[42:48] = (55, 60), (85, 60)
    points[48], points[54] = (58, 90), (82, 90)
    return points


def coco_text(names: tuple[str, ...], keypoints: bool = False) -> str:
    marks = [v for k in range(5) for v in (*MARKS[2 * k : 2 * k + 2], 2)]
    box = [BOX[0], BOX[1], BOX[2] - BOX[0], BOX[3] - BOX[1]]
    rows = [{"id": n, "file_name": name, "width": SIZE[0], "height": SIZE[1]} for n, name in enumerate(names)]
    faces = [{"id": n, "image_id": n, "category_id": 1, "bbox": box} for n in range(len(names))]
    if keypoints:
        faces = [face | {"keypoints": marks} for face in faces]
    return json.dumps({"images": rows, "annotations": faces, "categories": [{"id": 1, "name": "face"}]})


def voc_text(size: bool = True) -> str:
    told = f"<size><width>{SIZE[0]}</width><height>{SIZE[1]}</height></size>" if size else ""
    sides = "".join(f"<{k}>{v:g}</{k}>" for k, v in zip(("xmin", "ymin", "xmax", "ymax"), BOX, strict=True))
    return f"<annotation>{told}<object><name>face</name><bndbox>{sides}</bndbox></object></annotation>"


def imglab_text(parts: bool) -> str:
    inner = (
        "".join(f'<part name="{n:02d}" x="{x}" y="{y}"/>' for n, (x, y) in enumerate(sixty_eight())) if parts else ""
    )
    other = '<box top="2" left="2" width="9" height="9" ignore="1"/>'
    box = f'<box top="30" left="40" width="60" height="80">{inner}</box>{other}'
    return f'<?xml version="1.0"?><dataset><images><image file="one.jpg">{box}</image></images></dataset>'


def wider_text() -> str:
    row = "40 30 60 80"
    return (
        f"0--Parade/one.jpg\n3\n{row} 2 0 0 0 1 0\n1 1 5 5 0 0 0 1 0 0\n9 9 0 4 0 0 0 0 0 0\n"
        "1--Handshaking/none.jpg\n0\n0 0 0 0 0 0 0 0 0 0\n"
        f"1--Handshaking/two.jpg\n1\n{row} 0 0 0 0 0 0\n"
    )


def pts_text(points: np.ndarray[tuple[int, int], np.dtype[np.float32]]) -> str:
    rows = "\n".join(f"{x + 1:.3f} {y + 1:.3f}" for x, y in points)
    return f"version: 1\nn_points: {len(points)}\n{{\n{rows}\n}}\n"


def five_with_flags(flag: float) -> str:
    return " ".join(f"{MARKS[2 * k]} {MARKS[2 * k + 1]} {flag}" for k in range(5))


def made(layout: str, folder: Path) -> None:  # noqa: C901  one branch a layout
    match layout:
        case "WIDER FACE":
            text(folder / "wider_face_split/wider_face_val_bbx_gt.txt", wider_text())
            picture(folder / "WIDER_val/images/0--Parade/one.jpg")
        case "WIDER labels":
            text(folder / "labelv2.txt", f"# 0--Parade/one.jpg 200 150\n40 30 100 110 {five_with_flags(0.0)}\n")
            picture(folder / "images/0--Parade/one.jpg")
        case "RetinaFace labels":
            text(folder / "label.txt", f"# 0--Parade/one.jpg\n40 30 60 80 {five_with_flags(0.0)} 0.8\n")
            picture(folder / "images/0--Parade/one.jpg")
        case "NFD, COCO":
            text(folder / "nfd_annotations.json", coco_text(("images/p7_1.jpg", "images/p7_2.jpg")))
            picture(folder / "images/p7_1.jpg")
        case "NFD, folders":
            text(folder / "nfd_annotations.json", coco_text(("p7/1.jpg", "p7/2.jpg")))
            picture(folder / "p7/1.jpg")
        case "NFD, VOC":
            text(folder / "nfd_annotations/p7_1.xml", voc_text())
            picture(folder / "images/p7_1.jpg")
        case "NBHR":
            text(folder / "some.json", coco_text(("20200929095554_1.0.jpeg",)))
        case "COCO":
            text(folder / "some.json", coco_text(("one.jpg",), keypoints=True))
            picture(folder / "one.jpg")
        case "COPE":
            text(
                folder / "some.csv",
                "filename,width,height,class,xmin,ymin,xmax,ymax\nS04_M_air_1.jpg,200,150,face,40,30,100,110\n",
            )
        case "csv":
            rows = ",".join(f"{v:g}" for v in (*BOX, *MARKS))
            text(folder / "faces.csv", f"file,x0,y0,x1,y1\none.jpg,{rows}\nempty.jpg,,,,\n")
            picture(folder / "one.jpg")
        case "imglab":
            text(folder / "testing.xml", imglab_text(parts=True))
            picture(folder / "one.jpg")
        case "VOC":
            text(folder / "Annotations/one.xml", voc_text(size=False))
            picture(folder / "JPEGImages/one.jpg")
        case "pts":
            text(folder / "one.pts", pts_text(sixty_eight()))
            picture(folder / "one.png")


MADE = (
    "WIDER FACE", "WIDER labels", "RetinaFace labels", "NFD, COCO", "NFD, folders", "NFD, VOC", "NBHR", "COCO", "COPE",
    "csv", "imglab", "VOC", "pts",
)  # fmt: skip
SUBJECTS = {"WIDER FACE": "0--Parade", "WIDER labels": "0--Parade", "RetinaFace labels": "0--Parade", "NFD, COCO": "p7",
            "NFD, folders": "p7", "NFD, VOC": "p7", "NBHR": "20200929", "COPE": "S04"}  # fmt: skip
NAMED = {"RetinaFace labels": "WIDER labels", "NFD, folders": "NFD, COCO"}
WITH_LANDMARKS = ("WIDER labels", "RetinaFace labels", "COCO", "csv", "imglab", "pts")
WITHOUT_PICTURES = ("NBHR", "COPE")


@pytest.mark.parametrize("layout", MADE)
def test_a_layout_is_recognised_and_read(layout: str, tmp_path: Path) -> None:
    made(layout, tmp_path)
    (source,) = sources(tmp_path)
    assert source.layout.name == NAMED.get(layout, layout)
    first = open_folder(tmp_path)[0]
    face = first.faces[0]
    if layout != "pts":  # its box follows from the points
        assert face.box == pytest.approx(BOX)
    assert face.judged
    assert first.path.is_file() == (layout not in WITHOUT_PICTURES)
    assert first.subject == SUBJECTS.get(layout, first.subject)
    assert (face.landmarks is not None) == (layout in WITH_LANDMARKS)
    if face.landmarks is not None:
        np.testing.assert_allclose(face.landmarks.ravel(), MARKS, atol=0.01)
    if first.path.is_file():
        shown = first.picture(0)
        assert shown.face is not None
        assert shown.face.box() == pytest.approx(face.box, abs=1)
        assert shown.subject.any()


def test_every_row_of_the_table_is_tried() -> None:
    assert {layout.name for layout in LAYOUTS} - {NAMED.get(m, m) for m in MADE} == {"renders", "London (test persons)"}


def test_the_london_layout_gives_the_test_persons(shared: Path) -> None:
    samples = open_folder(shared / "data/faces_london")
    assert len(samples) == 12
    assert all(face.landmarks is not None and face.outline is not None for s in samples for face in s.faces)


def test_renders_are_a_layout(tmp_path: Path) -> None:
    corners = [[40, 30], [100, 30], [100, 110], [40, 110]]
    row = {"name": "000000", "identity": 3, "face_box": BOX, "face_outline": corners}
    rows = [row | {"landmarks": np.reshape(MARKS, (5, 2)).tolist()}, {"name": "000001", "face_box": None}]
    text(tmp_path / "truth.jsonl", "".join(json.dumps(one) + "\n" for one in rows))
    first, second = open_folder(tmp_path)
    assert (first.subject, first.faces[0].box, second.faces) == ("3", BOX, ())


def test_wider_tells_flags_and_empty_pictures(tmp_path: Path) -> None:
    made("WIDER FACE", tmp_path)
    one, none, two = open_folder(tmp_path)
    assert one.faces[0].flags == ("heavy blur", "partial occlusion")
    assert [face.judged for face in one.faces] == [True, False]
    assert (one.dropped, none.faces, len(two.faces)) == (1, (), 1)


def test_label_rows_may_exclude_a_face_or_lack_landmarks(tmp_path: Path) -> None:
    text(
        tmp_path / "label.txt", f"# a/one.jpg 200 150\n1 1 20 20 1\n40 30 100 110 {' '.join(['-1'] * 15)}\n1 1 9 9 0\n"
    )
    first, second, third = open_folder(tmp_path)[0].faces
    assert [face.judged for face in (first, second, third)] == [False, True, True]
    assert second.landmarks is None


def test_of_a_picture_in_several_sets_the_one_that_knows_landmarks_is_taken(tmp_path: Path) -> None:
    picture(tmp_path / "one.jpg")
    text(tmp_path / "training.xml", imglab_text(parts=False))
    text(tmp_path / "training_with_landmarks.xml", imglab_text(parts=True))
    with pytest.raises(ValueError, match="several sets of annotations"):
        open_folder(tmp_path)
    (sample,) = open_all(tmp_path)
    assert sample.faces[0].landmarks is not None


def test_ignored_boxes_of_imglab_are_not_judged(tmp_path: Path) -> None:
    made("imglab", tmp_path)
    assert [face.judged for face in open_folder(tmp_path)[0].faces] == [True, False]
    text(tmp_path / "testing.xml", imglab_text(parts=False))
    assert open_folder(tmp_path)[0].faces[0].landmarks is None


def test_the_forehead_is_a_third_above_the_brows() -> None:
    face = face_of_68(sixty_eight())
    assert face.box == pytest.approx((40, 25, 100, 110))
    turned = face_of_68(sixty_eight() @ np.array([[0, 1], [-1, 0]], np.float32) + np.array([200, 0], np.float32))
    assert turned.box == pytest.approx((90, 40, 175, 100))
    assert turned.mark().roll_deg == pytest.approx(90 + face.mark().roll_deg)


MALFORMED = (
    ("faces.csv", "file,x0,y0,x1,y1\none.jpg,1,2,x,4\n", r"faces.csv:2: 'x' is not a number"),
    ("faces.csv", "file,x0,y0,x1,y1\none.jpg,1,2,3\n", r"faces.csv:2: 3 numbers"),
    ("faces.csv", "file,x0,y0,x1,y1\n\none.jpg,5,2,5,9\n", r"faces.csv:3: box 5 2 5 9 has no area"),
    ("faces.csv", "file,x0,y0,x1,y1\none.jpg,1,2,inf,9\n", r"faces.csv:2: .*not finite"),
    ("faces.csv", "file,x0,y0,x1,y1\n,1,2,3,9\n", r"faces.csv:2: no file"),
    ("faces.csv", "file,x0,y0,x1,y1\n", r"faces.csv: holds no picture"),
    ("c.csv", "filename,width,height,class,xmin,ymin,xmax,ymax\na.jpg,9,9,face,1,2\n", r"c.csv:2: 6 columns"),
    ("c.csv", "filename,width,height,class,xmin,ymin,xmax,ymax\na.jpg,9,9,face,20,2,30,5\n", r"c.csv:2: .*outside"),
    ("wider_face_val_bbx_gt.txt", "a/one.jpg\n1\n1 2 3\n", r"gt.txt:3: 3 numbers"),
    ("wider_face_val_bbx_gt.txt", "a/one.jpg\n2\n1 2 3 4 0 0 0 0 0 0\n", r"gt.txt:3: ends within the 2 faces"),
    ("wider_face_val_bbx_gt.txt", "a/one.jpg\nmany\n", r"gt.txt:2: the number of faces"),
    ("wider_face_val_bbx_gt.txt", "1 2 3 4\n", r"gt.txt:1: .*name of a picture"),
    ("wider_face_val_bbx_gt.txt", "a/one.jpg\n1\n1 2 3 4 7 0 0 0 0 0\n", r"gt.txt:3: flags"),
    ("label.txt", "# a.jpg 10\n", r"label.txt:1: .*would be right"),
    ("label.txt", "1 2 3 4\n# a.jpg\n", r"label.txt:1: a face before any picture"),
    ("label.txt", "# a.jpg\n1 2 3 4 5 6 7\n", r"label.txt:2: 7 numbers"),
    ("a.json", '{"images": [],\n "annotations": [}', r"a.json:2: not JSON"),
    ("a.json", coco_text(("one.jpg",)).replace('"image_id": 0', '"image_id": 5'), r"a.json: annotation 0: image_id 5"),
    ("a.json", coco_text(("one.jpg",)).replace('"bbox"', '"box"'), r"a.json: annotation 0: bbox None"),
    ("a.json", coco_text(("one.jpg",)).replace('"width"', '"wide"'), r"a.json: image 0: needs id"),
    ("nfd_annotations.json", coco_text(("one.jpg",)), r"'one.jpg' tells no patient"),
    ("a.xml", "<dataset>\n<images>\n<image></images></dataset>", r"a.xml:3: not XML"),
    ("a.xml", '<!DOCTYPE d [<!ENTITY x "y">]><dataset></dataset>', r"a.xml: declares entities"),
    ("a.xml", "<dataset><images><image><box/></image></images></dataset>", r"a.xml: image 1: no `file`"),
    ("a.xml", '<dataset><images><image file="b"><box/></image></images></dataset>', r"image 1 \(b\): <box> needs"),
    ("a.xml", "<annotation><object><name>face</name></object></annotation>", r"a.xml: object 1: <bndbox>"),
    ("one.pts", "n_points: 68\n", r"one.pts:1: no block"),
    ("one.pts", "{\n1 2\n3\n}\n", r"one.pts:3: '3'"),
    ("one.pts", "{\n1 2\n}\n", r"one.pts:1: 1 points"),
)  # fmt: skip


@pytest.mark.parametrize(("name", "content", "told"), MALFORMED)
def test_what_is_malformed_is_named_with_file_and_line(name: str, content: str, told: str, tmp_path: Path) -> None:
    text(tmp_path / name, content)
    with pytest.raises(ValueError, match=told):
        open_folder(tmp_path)


def test_an_unknown_folder_is_told_what_is_known(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no such folder"):
        open_folder(tmp_path / "nothing")
    picture(tmp_path / "one.jpg")
    with pytest.raises(
        ValueError, match=r"holds \.jpg; none of the layouts that are known \(renders: truth.jsonl; .*pts"
    ):
        open_folder(tmp_path)


def test_two_sets_of_annotations_in_a_folder_must_be_chosen_from(tmp_path: Path) -> None:
    made("csv", tmp_path)
    made("imglab", tmp_path)
    assert len(sources(tmp_path)) == 2
    with pytest.raises(ValueError, match="several sets of annotations"):
        open_folder(tmp_path)
    assert len(open_folder(tmp_path / "faces.csv")) == 2


def test_a_picture_that_is_turned_otherwise_is_refused(tmp_path: Path) -> None:
    made("COPE", tmp_path)
    picture(tmp_path / "S04_M_air_1.jpg", (SIZE[1], SIZE[0]))
    with pytest.raises(ValueError, match=r"is 150x200 px, its annotation says 200x150"):
        open_folder(tmp_path)[0].picture(0)


def test_a_box_over_the_edge_is_clipped_and_said() -> None:
    face = face_of((-10, 5, 50, 60), "here", (100, 100))
    assert (face.box, face.flags) == ((0, 5, 50, 60), ("clipped",))
    assert face_of((-0.4, 5, 50, 60), "here", (100, 100)).flags == ()


coordinates = st.floats(-500, 500)


@given(coordinates, coordinates, st.floats(0.5, 400), st.floats(0.5, 400))
def test_a_clipped_box_lies_inside_and_has_area(x: float, y: float, w: float, h: float) -> None:
    face = FaceLabel((x, y, x + w, y + h))
    if x >= 200 or y >= 150 or x + w <= 0 or y + h <= 0:
        with pytest.raises(ValueError, match="outside"):
            clipped(face, (200, 150), "here")
        return
    x0, y0, x1, y1 = clipped(face, (200, 150), "here").box
    assert 0 <= x0 < x1 <= 200
    assert 0 <= y0 < y1 <= 150


@given(coordinates, coordinates, st.floats(1, 400), st.floats(1, 400))
def test_a_mark_of_a_box_has_its_box_size_and_no_roll(x: float, y: float, w: float, h: float) -> None:
    mark = mark_of_box((x, y, x + w, y + h))
    assert mark.box() == pytest.approx((x, y, x + w, y + h), abs=1e-2)
    assert mark.size_px == pytest.approx(np.sqrt(w * h), rel=1e-2, abs=1e-2)
    assert mark.roll_deg == pytest.approx(0, abs=2)
    assert np.abs(TYPICAL).max() < 1


subject_lists = st.lists(st.integers(0, 30), max_size=80)
share_lists = st.lists(st.integers(0, 9), min_size=1, max_size=4).filter(lambda shares: sum(shares) > 0)


@given(subject_lists, share_lists, st.integers(0, 99), st.randoms())
def test_a_split_keeps_subjects_apart(subjects: list[int], shares: list[int], seed: int, random: object) -> None:
    samples = [Labelled(Path(f"{n}.jpg"), f"infant {s}", ()) for n, s in enumerate(subjects)]
    parts = split_by_subject(samples, shares, seed)
    assert sorted(str(s.path) for part in parts for s in part) == sorted(str(s.path) for s in samples)
    told = [{s.subject for s in part} for part in parts]
    assert sum(len(names) for names in told) == len(set(subjects))
    for names, share in zip(told, shares, strict=True):
        assert abs(len(names) - share / sum(shares) * len(set(subjects))) <= 1
    shuffled = list(samples)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    again = split_by_subject(shuffled, shares, seed)
    assert [{s.subject for s in part} for part in again] == told


@pytest.mark.parametrize("shares", [(), (0, 0), (1, -1)])
def test_shares_that_share_nothing_out_are_refused(shares: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="would be right"):
        split_by_subject((), shares)


def figures(folder: Path, out: Path) -> dict[str, dict[str, object]]:
    assert command.main(["datasets", str(folder), "--json", str(out)]) == 0
    return {Path(row["annotations"]).name: row for row in json.loads(out.read_text())}


def test_the_command_reproduces_the_published_statistics(
    shared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Research on faces, section 3b."""
    told = figures(shared / "data/nicuface_annotations", tmp_path / "out.json")
    cope, turned, nbhr = (
        told[name]
        for name in ("annotations_COPE_original.csv", "annotations_COPE_rotated.csv", "NBHR_annotations.json")
    )
    assert (cope["pictures"], cope["subjects"], nbhr["pictures"], nbhr["faces"]) == (288, 27, 565, 565)
    assert cope["size_share"] == pytest.approx([0.286, 0.396, 0.488], abs=5e-4)
    assert nbhr["size_share"] == pytest.approx([0.253, 0.327, 0.412], abs=5e-4)
    assert turned["height_to_width"][1] == pytest.approx(1.07, abs=5e-3)  # type: ignore[index]
    assert nbhr["height_to_width"] == pytest.approx([0.91, 1.11, 1.31], abs=5e-3)
    assert "pictures missing: 565" in capsys.readouterr().out


def test_sizes_are_read_from_pictures_where_annotations_tell_none(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made("csv", tmp_path)
    row = figures(tmp_path, tmp_path / "out.json")["faces.csv"]
    assert (row["pictures"], row["missing"], row["without_face"], row["sized"]) == (2, 1, 1, 1)
    assert row["size_share"] == pytest.approx([np.sqrt(60 * 80) / 200] * 3)
    assert "sqrt(area) / long side p5/50/95 0.346/0.346/0.346" in capsys.readouterr().out


def test_the_command_names_what_is_missing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["datasets", str(tmp_path / "none")]) == 2
    assert capsys.readouterr().err == (
        f"export: {tmp_path / 'none'}: no such folder; a folder of annotated pictures is expected\n"
    )
