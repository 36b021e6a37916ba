"""The road from weights to a released model, on untrained networks and made-up pictures."""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgemon.errors import ModelError
from edgemon.faces.detect import Detection, FaceDetector, anchors
from edgemon.inference import ExpressionModel, Image, Model, Tensor, roll_deg
from edgemon.manifest import Metric, ModelFile, default_folder, load, parse

with warnings.catch_warnings():  # torch's own imports warn
    warnings.simplefilter("ignore")
    torch = pytest.importorskip("torch", reason="needs the extra `export`")
    from export import __main__ as command
    from export import metrics
    from export.babyehanet import TARGETS, BabyEHANet
    from export.behaviour.judge import TRUE_CROP, read_covered, read_renders, visible_from
    from export.behaviour.reads import Reads
    from export.behaviour.report import BehaviourReport
    from export.calibration import real_inputs
    from export.datasets import Renders
    from export.describe import NOTES, Notes, draft, finished, read_notes, to_toml, write
    from export.evaluate_face import FaceReport, Finds, Hit, best_hit, false_scores, find, lies_on
    from export.expression_data import labels_of
    from export.face_cases import CONDITIONS, FACE_PX, face_free, render_subjects
    from export.onnx_export import TASKS, TaskName, calibrated, load_network, to_onnx
    from export.parity import Loss, check_difference, loss, temperatures_in
    from export.quantize import to_int8
    from export.retinaface import RetinaFace

METRIC = Metric(name="recall", data="made up", condition="none", value=0.5)
TASK_NAMES: tuple[TaskName, ...] = ("face", "expression")


def notes(task: str) -> Notes:
    return read_notes(NOTES / f"{task}.toml")


def graph(task: TaskName) -> tuple[torch.nn.Module, bytes]:
    torch.manual_seed(0)
    network = load_network(task, None)
    network = calibrated(network, {"crying": 2.0}) if task == "expression" else network
    return network, to_onnx(network, task)


@pytest.fixture(scope="module")
def graphs() -> dict[TaskName, tuple[torch.nn.Module, bytes]]:
    return {task: graph(task) for task in TASK_NAMES}


def a_draft(task: TaskName, onnx: bytes) -> ModelFile:
    return draft(task, "fp32", onnx, version="0.1.0", thresholds={"score": 0.5}, notes=notes(task))


def inputs(task: TaskName, count: int = 3) -> Iterator[Tensor]:
    rng = np.random.default_rng(2)
    return (rng.uniform(-1, 1, TASKS[task].input.shape).astype(np.float32) for _ in range(count))


@pytest.fixture(scope="module")
def renders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six pictures in the layout of `synthesize images`: five faces at known rolls, one without."""
    folder = tmp_path_factory.mktemp("renders") / "drawn"
    folder.mkdir()
    rows = []
    for number in range(6):
        roll = 40.0 * number - 100
        rgb = np.full((384, 384, 3), (90, 110, 130), np.uint8)
        c, s = math.cos(math.radians(roll)), math.sin(math.radians(roll))
        flat = np.array([[-26, -20], [26, -20], [0, 4], [-20, 32], [20, 32]], float)
        points = flat @ np.array([[c, s], [-s, c]]) + 192
        if number < 5:
            cv2.ellipse(rgb, (192, 192), (66, 76), roll, 0, 360, (200, 160, 140), -1)
            for x, y in points:
                cv2.circle(rgb, (round(x), round(y)), 7, (40, 20, 20), -1)
        name = f"{number:06d}"
        cv2.imwrite(str(folder / f"{name}.jpg"), rgb[..., ::-1])
        cv2.imwrite(str(folder / f"{name}.labels.png"), np.zeros((384, 384), np.uint8))
        outline = cv2.ellipse2Poly((192, 192), (66, 76), round(roll), 0, 360, 15).tolist()
        face = {"face_box": [120, 120, 264, 264], "face_outline": outline, "landmarks": points.tolist()}
        seen = {"face_visible": 1.0, "eyes_visible": 1.0, "mouth_visible": 1.0, "eye_openness": [0.8, 0.8]}
        told = {"name": name, "identity": number, "yaw_deg": 0.0, "light": "bright", "expression": "calm"}
        none = {"face_box": None, "face_outline": [], "landmarks": None, "scene": "bedding"}
        rows.append(told | seen | ({"scene": "face"} | face if number < 5 else none))
    (folder / "truth.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def test_the_detector_keeps_the_published_names_of_its_parts() -> None:
    state = RetinaFace().state_dict()
    assert state["body.stage1.0.0.weight"].shape == (16, 3, 3, 3)
    assert state["body.stage3.1.0.weight"].shape == (128, 96, 1, 1)
    assert state["fpn.output2.0.weight"].shape == (64, 128, 1, 1)
    assert state["ssh1.conv7x7_3.0.weight"].shape == (16, 16, 3, 3)
    assert state["LandmarkHead.0.conv1x1.weight"].shape == (30, 64, 1, 1)


def test_the_detector_answers_for_every_anchor() -> None:
    with torch.inference_mode():
        logits, boxes, points = RetinaFace().eval()(torch.zeros(2, 3, 240, 320))
    count = len(anchors((320, 240)))
    assert (logits.shape, boxes.shape, points.shape) == ((2, count, 2), (2, count, 4), (2, count, 10))


def test_the_expression_network_answers_every_target() -> None:
    with torch.inference_mode():
        assert BabyEHANet().eval()(torch.zeros(2, 3, 112, 112)).shape == (2, len(TARGETS))


@pytest.mark.parametrize("task", TASK_NAMES)
def test_the_graph_gives_what_the_network_gives(
    task: TaskName, graphs: dict[TaskName, tuple[torch.nn.Module, bytes]]
) -> None:
    network, onnx = graphs[task]
    assert check_difference(network, Model(a_draft(task, onnx)), inputs(task)) < 1e-4


def test_another_networks_graph_does_not_pass(graphs: dict[TaskName, tuple[torch.nn.Module, bytes]]) -> None:
    torch.manual_seed(9)
    with pytest.raises(ValueError, match="differs from its network"):
        check_difference(load_network("face", None), Model(a_draft("face", graphs["face"][1])), inputs("face"))


@pytest.mark.parametrize("task", TASK_NAMES)
def test_int8_is_smaller_and_near(task: TaskName, graphs: dict[TaskName, tuple[torch.nn.Module, bytes]]) -> None:
    _, onnx = graphs[task]
    int8 = to_int8(onnx, task, inputs(task))
    ours, theirs = Model(a_draft(task, int8)), Model(a_draft(task, onnx))
    assert len(int8) < 0.6 * len(onnx)
    for tensor in inputs(task, 1):
        for a, b in zip(ours(tensor), theirs(tensor), strict=True):
            assert np.abs(a - b).max() < 0.25 * np.abs(b).max() + 0.05


def test_the_temperatures_are_in_the_graph(graphs: dict[TaskName, tuple[torch.nn.Module, bytes]]) -> None:
    assert temperatures_in(graphs["expression"][1]) == {name: 2.0 if name == "crying" else 1.0 for name in TARGETS}


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "weights.pt"
    torch.save(BabyEHANet().state_dict(), path)
    with pytest.raises(ValueError, match="not weights of the face network"):
        load_network("face", path)


def test_a_released_model_is_read_back_unchanged(
    tmp_path: Path, graphs: dict[TaskName, tuple[torch.nn.Module, bytes]]
) -> None:
    file = finished(a_draft("face", graphs["face"][1]), (METRIC,))
    write(file, tmp_path)
    assert load(tmp_path, "face") == file
    assert parse(to_toml(file.manifest), "text") == file.manifest


def test_a_model_without_metrics_is_not_released(graphs: dict[TaskName, tuple[torch.nn.Module, bytes]]) -> None:
    with pytest.raises(ModelError, match="metrics"):
        finished(a_draft("face", graphs["face"][1]), ())


@pytest.mark.parametrize(
    ("line", "named"),
    [
        ("intended_use = ", "intended_use: missing"),
        ("limits = ", "limits: missing"),
        ("data = ", r"origins\[1\].data: missing"),
        ("licence = ", r"origins\[1\].licence: missing"),
    ],
)
def test_a_model_is_not_released_without(line: str, named: str, tmp_path: Path) -> None:
    lines = [
        'intended_use = "a test"',
        'limits = ["many"]',
        "[[origins]]",
        'data = "none"',
        'licence = "CC0 1.0"',
    ]
    path = tmp_path / "notes.toml"
    path.write_text("\n".join(row for row in lines if not row.startswith(line)))
    with pytest.raises(ValueError, match=named):
        read_notes(path)


def test_the_command_writes_a_graph(tmp_path: Path) -> None:
    out = tmp_path / "face.onnx"
    assert command.main(["export", "face", "--out", str(out)]) == 0
    assert out.stat().st_size > 100_000


def test_the_command_says_in_one_line_what_is_wrong(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    missing = tmp_path / "nothing.pt"
    assert command.main(["export", "face", "--weights", str(missing), "--out", str(tmp_path / "face.onnx")]) == 2
    assert capsys.readouterr().err.startswith(f"export: {missing}: not weights of the face network")


@pytest.mark.parametrize("task", TASK_NAMES)
def test_calibration_pictures_fit_the_network(task: TaskName, renders: Path) -> None:
    tensors = list(real_inputs(task, renders, None, 25))
    assert len(tensors) == 25
    assert {tensor.shape for tensor in tensors} == {TASKS[task].input.shape}


@pytest.mark.parametrize("name", list(CONDITIONS))
def test_a_case_shows_the_face_as_its_condition_says(name: str, renders: Path) -> None:
    condition = CONDITIONS[name]
    for scene in render_subjects(Renders(renders)).frames(condition):
        (face,) = scene.faces
        assert scene.rgb.shape == (240, 320, 3)
        assert face.size_px == pytest.approx(FACE_PX, rel=1e-3)
        assert abs(math.remainder(abs(roll_deg(face.landmarks)) - condition.roll_deg, 360)) < 0.5
        assert not condition.dark or scene.rgb.mean() < 60


def test_cases_are_the_same_for_every_detector(renders: Path) -> None:
    subjects = render_subjects(Renders(renders))
    for condition in CONDITIONS.values():
        for one, other in zip(subjects.frames(condition), subjects.frames(condition), strict=True):
            np.testing.assert_array_equal(one.rgb, other.rgb)


class Oracle:
    """Knows where the face of each frame is; sees one in every frame that is not among them with score 0.2."""

    def __init__(self, renders: Path) -> None:
        scenes = (s for c in CONDITIONS.values() for s in render_subjects(Renders(renders)).frames(c))
        self.faces = {scene.rgb.tobytes(): scene.faces[0] for scene in scenes}

    def detect(self, image: Image, threshold: float | None = None) -> tuple[Detection, ...]:
        face = self.faces.get(image.tobytes())
        if face is None:
            return (Detection((0, 0, 50, 50), np.zeros((5, 2), np.float32), 0.2),)
        return (Detection(face.box(), face.landmarks, 0.9),)


def test_a_perfect_detector_has_perfect_figures(renders: Path) -> None:
    oracle, subjects = Oracle(renders), render_subjects(Renders(renders))
    free = list(face_free(Renders(renders), [subjects], 60))
    report = FaceReport((find(oracle, subjects),), false_scores(oracle, free), 0.5)
    recall = {m.value for m in report.metrics() if m.name == "recall"}
    assert recall == {1.0}
    assert {m.value for m in report.metrics() if m.name.startswith("roll error")} == {0.0}


def test_a_hit_lies_on_the_face_and_is_about_as_large(renders: Path) -> None:
    scene = next(render_subjects(Renders(renders)).frames(CONDITIONS["roll 45"]))
    (face,) = scene.faces
    x0, y0, x1, y1 = face.box()
    side, points = x1 - x0, face.landmarks
    away, double = (x0 + 0.5 * side, y0, x1 + 0.5 * side, y1), (x0 - side, y0 - side, x1 + side, y1 + side)
    assert lies_on(Detection(face.box(), points, 0.9), face)
    assert not lies_on(Detection(away, points, 0.9), face)
    assert not lies_on(Detection(double, points, 0.9), face)
    assert best_hit((Detection(away, points, 0.9), Detection(face.box(), points, 0.4)), face).score == 0.4


def test_an_untrained_detector_runs_the_protocol(
    renders: Path, graphs: dict[TaskName, tuple[torch.nn.Module, bytes]]
) -> None:
    detector, subjects = FaceDetector(Model(a_draft("face", graphs["face"][1]))), render_subjects(Renders(renders), 1)
    report = FaceReport(
        (find(detector, subjects),), false_scores(detector, face_free(Renders(renders), [subjects], 6)), 0.5
    )
    assert len(list(report.lines())) >= 5


def test_a_condition_without_frames_is_no_loss() -> None:
    hits = {"roll 0": (Hit(0.9, 1.0), Hit(0.2, 1.0)), "dark": ()}
    report = FaceReport((Finds("evening", hits),), np.full(60, 0.5), 0.5)
    assert loss(report, report).points == {"evening, roll 0": 0.0}
    assert loss(report, report).within


def test_int8_is_shipped_only_within_its_limits() -> None:
    assert Loss({"a": 0.4, "b": 1.2}).within
    assert not Loss({"a": 0.0, "b": 5.1, "c": 0.0, "d": 0.0, "e": 0.0, "f": 0.0}).within
    assert not Loss({"a": 1.1, "b": 1.1}).within
    assert Loss({"a": 0.4, "b": 1.2}).worst == ("b", 1.2)


scores_and_truths = st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=2, max_size=60).filter(
    lambda rows: len({truth for _, truth in rows}) == 2
)


@given(scores_and_truths)
def test_auc_is_the_share_of_pairs_in_order(rows: list[tuple[float, bool]]) -> None:
    positive, negative = ([s for s, truth in rows if truth is kind] for kind in (True, False))
    pairs = [(p > n) + 0.5 * (p == n) for p in positive for n in negative]
    assert metrics.auc(*zip(*rows, strict=True)) == pytest.approx(sum(pairs) / len(pairs))


@given(scores_and_truths)
def test_balanced_accuracy_of_the_opposite_is_the_rest(rows: list[tuple[float, bool]]) -> None:
    scores, truth = np.array([s for s, _ in rows]), np.array([t for _, t in rows])
    assert metrics.balanced_accuracy(scores, truth) + metrics.balanced_accuracy(scores, ~truth) == pytest.approx(1)


@given(st.lists(st.booleans(), min_size=1, max_size=50))
def test_certain_and_right_is_calibrated(truth: list[bool]) -> None:
    assert metrics.calibration_error(truth, truth) == pytest.approx(0)
    assert metrics.calibration_error([not t for t in truth], truth) == pytest.approx(1)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=200), st.floats(0, 0.5))
def test_no_more_than_the_share_reach_the_threshold(scores: list[float], share: float) -> None:
    at = metrics.threshold_at(scores, share)
    assert metrics.share_at(scores, at) <= share + 1e-9
    lower = [s for s in scores if s < at]
    assert not lower or metrics.share_at(scores, max(lower)) > share - 1e-9


@given(st.floats(0.3, 4), st.integers(0, 2**32 - 1))
@settings(max_examples=15, deadline=None)
def test_the_temperature_that_made_the_labels_is_found(true_temperature: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 3, 20_000)
    truth = rng.random(logits.size) < 1 / (1 + np.exp(-logits / true_temperature))
    assert metrics.temperature(logits, truth) == pytest.approx(true_temperature, rel=0.12)


@pytest.mark.parametrize("measure", [metrics.auc, metrics.balanced_accuracy])
def test_one_class_alone_has_no_figure(measure: object) -> None:
    assert callable(measure)
    with pytest.raises(ValueError, match="needs positives and negatives"):
        measure([0.1, 0.2], [True, True])


def test_few_faces_in_view_would_abstain() -> None:
    rng = np.random.default_rng(5)
    scores, told = rng.random((1000, 5)), np.full((1000, 5), 0.9)
    told[:200, 3], scores[:200, 3] = 0.1, 0.0
    reads = Reads(scores, told, np.ones((1000, 5), bool), np.full(1000, "bright"), np.arange(1000).astype(str))
    at = visible_from(reads, "eyes_visible", share=0.05)
    assert metrics.share_at(scores[200:, 3], at) == pytest.approx(0.95, abs=0.005)


def test_an_untrained_reader_runs_the_protocol(
    renders: Path, graphs: dict[TaskName, tuple[torch.nn.Module, bytes]]
) -> None:
    seen = {"eyes_visible": 0.0, "mouth_visible": 1.1}
    file = draft(
        "expression", "fp32", graphs["expression"][1], version="0.1.0", thresholds=seen, notes=notes("expression")
    )
    model = ExpressionModel(Model(file))
    reads = read_renders(model, renders)
    report = BehaviourReport("renders", {TRUE_CROP: (reads, 1.0)}, read_covered(model, renders))
    assert len(reads) == 5
    assert [(a.open, a.covered) for a in report.abstentions] == [(0.0, 0.0), (1.0, 1.0)]
    assert {m.condition for m in report.metrics()} >= {"open", "painted over"}


class Still:
    """Sees every drawn face where it is."""

    def __init__(self, model: Model) -> None:
        assert model.manifest.task == "face"

    def detect(self, image: Image, threshold: float | None = None) -> tuple[Detection, ...]:
        return (Detection((120, 120, 264, 264), np.zeros((5, 2), np.float32), 0.9),)


def test_the_command_judges_behaviour_on_renders(
    renders: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("export.behaviour.evaluate.FaceDetector", Still)
    monkeypatch.setattr("export.evaluate.ADULTS", tmp_path / "nowhere")
    told = tmp_path / "figures.json"
    words = ["evaluate", "behaviour", "--data", str(renders), "--models", str(default_folder()), "--json", str(told)]
    assert command.main(words) == 0
    out = capsys.readouterr().out
    assert "renders drawn, the detector's boxes: 5 faces, 100.0% of all" in out
    assert "eyes_visible     open" in out
    assert "not measured AUC of crying" in out
    assert "not measured real adults, open eyes called closed" in out
    assert {goal["met"] for goal in json.loads(told.read_text())["goals"]} == {False}


def test_an_action_between_rest_and_effort_teaches_nothing() -> None:
    row = {
        "eye_openness": [0.8, 0.8],
        "expression": "calm",
        "brow_bulge": 0.9,
        "eye_squeeze": 0.3,
        "nasolabial_furrow": 0.0,
        **dict.fromkeys(("eyes_visible", "mouth_visible", "cheeks_visible"), 1.0),
        "brow_visible": 0.1,
    }
    told, weight = labels_of(row)
    assert dict(zip(TARGETS, weight > 0, strict=True)) == {
        name: name not in ("eye_squeeze", "brow_bulge") for name in TARGETS
    }
    assert labels_of(row | {"brow_visible": 1.0})[0][TARGETS.index("brow_bulge")] == 1.0
    assert told[TARGETS.index("nasolabial_furrow")] == 0.0
