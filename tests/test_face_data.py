"""What the face detector learns from and is judged on: marks, frames, streams of renders, groups and precision."""

from __future__ import annotations

import math
import warnings
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgemon.faces.detect import Detection, anchors
from edgemon.inference import Image

with warnings.catch_warnings():  # torch's own imports warn
    warnings.simplefilter("ignore")
    pytest.importorskip("torch", reason="needs the extra `export`")
    from export.augment import Painter, Scene, blend, compose, cover, expose
    from export.datasets import FaceMark, Picture
    from export.datasets.marks import ellipse
    from export.datasets.stream import StreamedRenders
    from export.evaluate_face import FaceReport, find
    from export.face_cases import CONDITIONS, GROUPS, Subjects
    from export.face_data import FaceFrames, FaceScenes, match
    from export.face_precision import IOUS, anywhere, judge
    from export.plot_face import plot

UPRIGHT = np.array([[-20, -15], [20, -15], [0, 5], [-14, 28], [14, 28]], np.float32)
angles = st.floats(-180, 180, allow_nan=False)


def a_mark(roll_deg: float = 0.0, centre: tuple[float, float] = (192.0, 192.0)) -> FaceMark:
    c, s = math.cos(math.radians(roll_deg)), math.sin(math.radians(roll_deg))
    turn = np.array([[c, s], [-s, c]], np.float32)
    return FaceMark(ellipse((-48, -56, 48, 56)) @ turn + np.float32(centre), UPRIGHT @ turn + np.float32(centre))


def a_picture(shade: int = 160) -> Picture:
    rgb = np.full((384, 384, 3), (70, 90, 110), np.uint8)
    mark = a_mark()
    cv2.fillPoly(rgb, [mark.outline.astype(np.int32)], (shade, shade - 30, shade - 50))
    mask = np.zeros(rgb.shape[:2], np.uint8)
    cv2.fillPoly(mask, [mark.outline.astype(np.int32)], 1)
    return Picture(rgb, mask > 0, mark)


@given(angles)
def test_a_turned_face_keeps_its_size_and_tells_its_roll(turn_deg: float) -> None:
    matrix = np.asarray(cv2.getRotationMatrix2D((192, 192), -turn_deg, 1.0), np.float64)
    turned = a_mark(10.0).moved(matrix)
    assert turned.axes == pytest.approx((48, 56), abs=0.6)
    assert turned.centre == pytest.approx((192, 192), abs=0.6)
    assert math.remainder(turned.roll_deg - 10.0 - turn_deg, 360) == pytest.approx(0, abs=0.1)


@given(angles)
def test_the_box_holds_the_outline_and_touches_it(roll_deg: float) -> None:
    mark = a_mark(roll_deg)
    x0, y0, x1, y1 = mark.box()
    inside = (mark.outline >= (x0, y0)).all() and (mark.outline <= (x1, y1)).all()
    assert inside
    assert {x0, x1} <= set(mark.outline[:, 0].tolist())
    assert {y0, y1} <= set(mark.outline[:, 1].tolist())


@given(angles)
def test_a_mirrored_face_is_a_face_and_mirrored_again_itself(roll_deg: float) -> None:
    mark = a_mark(roll_deg)
    mirrored = mark.mirrored(384)
    assert math.remainder(mirrored.roll_deg + roll_deg, 360) == pytest.approx(0, abs=0.1)
    np.testing.assert_allclose(mirrored.mirrored(384).landmarks, mark.landmarks, atol=1e-3)


def test_a_blend_goes_from_one_person_to_the_other() -> None:
    dark, light = a_picture(110), a_picture(220)
    middle = [int(blend(dark, light, share).rgb[192, 192, 0]) for share in (0.0, 0.5, 1.0)]
    assert middle == pytest.approx([110, 165, 220], abs=2)


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 10_000))
def test_a_composed_frame_holds_the_face_it_tells(seed: int) -> None:
    painter = Painter(np.random.default_rng(seed))
    scene = cover(painter, compose(painter, a_picture(), painter.texture((320, 240)), (320, 240)))
    shown = expose(painter, scene.rgb)
    assert (shown.shape, shown.dtype) == ((240, 320, 3), np.uint8)
    (face,) = scene.faces
    x, y = face.centre
    assert 0 <= x <= 320
    assert 0 <= y <= 240
    label, boxes, points = match(Scene(shown, scene.faces), anchors((320, 240)))
    positive = label == 1
    assert positive.any()
    np.testing.assert_allclose(boxes[positive][0], face.box(), atol=1e-3)
    np.testing.assert_allclose(points[positive][0], face.landmarks.ravel(), atol=1e-3)


def test_streamed_renders_are_the_same_for_a_seed_and_the_oldest_goes(shared: Path, egl: None) -> None:
    del shared, egl
    streams = [StreamedRenders(3, pool=2, first=2, draw_every=2) for _ in range(2)]
    for stream in streams:
        assert [stream.advance() for _ in range(3)] == [True, False, True]
        assert len(stream.rows) == 2
    one, other = streams
    assert one.rows == other.rows
    np.testing.assert_array_equal(one.rgb(0), other.rgb(0))
    assert all(row["identity"] % 10 < 8 for row in one.rows)


def test_frames_come_from_a_stream_without_any_folder(shared: Path, egl: None) -> None:
    del shared, egl
    source = StreamedRenders(5, pool=8, first=6, draw_every=100)
    frames = FaceFrames(np.random.default_rng(1), source, (160, 120), [])
    shown = [frames.next() for _ in range(30)]
    assert {scene.rgb.shape for scene in shown} == {(120, 160, 3)}
    assert {len(scene.faces) for scene in shown} == {0, 1}


def test_a_missing_folder_is_told_before_training_begins(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"truth.jsonl: missing; make it with"):
        FaceScenes(tmp_path / "nothing", None, (160, 120), 1)


@pytest.mark.parametrize(
    ("row", "group"),
    [
        ({"scene": "face", "face_visible": 0.9, "yaw_deg": -20.0}, "front"),
        ({"scene": "face", "face_visible": 0.9, "yaw_deg": -70.0}, "side (yaw 45-80)"),
        ({"scene": "evening", "face_visible": 0.9, "yaw_deg": 60.0}, "evening, from the side of the cot"),
        ({"scene": "face", "face_visible": 0.6, "yaw_deg": 5.0}, "half hidden"),
        ({"scene": "face", "face_visible": 0.9, "yaw_deg": 83.0}, None),
    ],
)
def test_every_face_is_judged_in_one_group(row: dict[str, object], group: str | None) -> None:
    assert [g.name for g in GROUPS if g.holds(row)] == ([group] if group else [])


class Oracle:
    """Knows the one face of every frame that `anywhere` shows, in their order; boxes `off` px too wide."""

    def __init__(self, subjects: Subjects, off: float = 0.0) -> None:
        rng = np.random.default_rng(5)
        scenes = [anywhere(rng, picture) for picture in subjects.pictures * 2]
        self.faces = {rgb.tobytes(): face for rgb, face in scenes}
        self.off = off

    def detect(self, image: Image, threshold: float | None = None) -> tuple[Detection, ...]:
        face = self.faces.get(image.tobytes())
        if face is None:
            return ()
        x0, y0, x1, y1 = face.box()
        return (Detection((x0 - self.off, y0, x1 + self.off, y1), face.landmarks, 0.9),)


def test_precision_of_a_perfect_and_of_a_careless_detector() -> None:
    subjects = Subjects("made up", (a_picture(), a_picture(200)), ())
    free = [np.zeros((240, 320, 3), np.uint8)]
    assert dict(judge(Oracle(subjects), subjects, free).ap) == dict.fromkeys(IOUS, 1.0)
    careless = judge(Oracle(subjects, off=9.0), subjects, free)
    assert careless.ap[0.5] > careless.ap[0.8]


def test_the_report_is_drawn(tmp_path: Path) -> None:
    subjects = Subjects("made up", (a_picture(), a_picture(200)), (a_picture(),))
    oracle = Oracle(subjects)
    report = FaceReport((find(oracle, subjects),), np.zeros(60), 0.5, (judge(oracle, subjects, []),))
    plot(report, tmp_path / "face.png")
    assert cv2.imread(str(tmp_path / "face.png")) is not None
    assert sum("AP at IoU" in metric.name for metric in report.metrics()) == len(IOUS)


def test_a_set_without_faces_shows_no_frames() -> None:
    assert list(Subjects("none", (), ()).frames(CONDITIONS["roll 0"])) == []
