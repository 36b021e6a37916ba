"""A released graph as a network again, fine-tuned on drawn faces, and its figures with intervals over infants."""

from __future__ import annotations

import json
import math
import warnings
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tqdm import tqdm

from edgemon.inference import ExpressionModel, Model
from edgemon.manifest import default_folder, load

with warnings.catch_warnings():  # torch's own imports warn
    warnings.simplefilter("ignore")
    torch = pytest.importorskip("torch", reason="needs the extra `export`")
    from sklearn import metrics as sklearn_metrics

    from export import __main__ as command
    from export import metrics
    from export.babyehanet import TARGETS, BabyEHANet, Calibrated
    from export.behaviour.arguments import Options
    from export.behaviour.faces import Faces, crop_all
    from export.behaviour.judge import TRUE_CROP, Abstention, FalseCalls
    from export.behaviour.plot import reliability
    from export.behaviour.reads import MEASURES, Column, reads_of
    from export.behaviour.report import BehaviourReport
    from export.behaviour.sample import Reading
    from export.behaviour.sources import open_one
    from export.behaviour.tune import masked, tune
    from export.behaviour.weights import restored
    from export.onnx_export import TASKS, load_network, to_onnx

EYES = TARGETS.index("eyes_closed")


def a_face(seed: int, closed: bool, subject: int) -> np.ndarray:
    """A drawn face on a ground of its own: open eyes are dark discs, closed ones lines."""
    rng = np.random.default_rng(seed)
    who = np.random.default_rng(subject)
    ground = cv2.resize(rng.integers(0, 256, (5, 5, 3), np.uint8), (96, 96), interpolation=cv2.INTER_CUBIC)
    skin = tuple(int(v) for v in who.integers(120, 220, 3))
    cv2.ellipse(ground, (48, 48), (36, 42), 0, 0, 360, skin, -1)
    for x in (34, 62):
        cv2.ellipse(ground, (x, 40), (9, 1 if closed else 7), 0, 0, 360, (30, 20, 20), -1)
    noise = rng.integers(-20, 21, ground.shape)
    return np.clip(ground.astype(int) + noise, 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight infants, four crops each, in the layout of sleep/awake folders."""
    root = tmp_path_factory.mktemp("own")
    for subject in range(8):
        for number in range(4):
            path = root / "train" / ("Sleep" if number % 2 else "Awake") / f"baby{subject}_{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(path), a_face(10 * subject + number, number % 2 == 1, subject))
    return root


@pytest.fixture(scope="module")
def faces(folder: Path) -> Faces:
    return crop_all(open_one(folder, Reading()), None)[0]


def trained_like() -> BabyEHANet:
    """A network whose every number has been moved, its statistics too."""
    torch.manual_seed(4)
    network = BabyEHANet()
    with torch.no_grad():
        for name, value in network.state_dict().items():
            if "running_var" in name:
                value.copy_(torch.rand_like(value) + 0.5)
            elif value.dtype.is_floating_point and ("conv.weight" in name or value.ndim == 1):
                value.add_(0.1 * torch.randn_like(value))
    return network.eval()


def some_inputs(count: int = 4) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(3).uniform(-1, 1, (count, 3, 112, 112)).astype(np.float32))


def test_a_graph_is_the_network_that_it_came_from() -> None:
    network, temperatures = trained_like(), torch.linspace(0.5, 2, len(TARGETS))
    graph = to_onnx(Calibrated(network, temperatures).eval(), "expression")
    again = restored(graph)
    assert again.targets == TARGETS
    torch.testing.assert_close(again.temperatures, temperatures)
    with torch.inference_mode():
        torch.testing.assert_close(again.network(some_inputs()), network(some_inputs()), atol=1e-4, rtol=1e-4)
    twice = restored(to_onnx(Calibrated(again.network, again.temperatures).eval(), "expression"))
    with torch.inference_mode():
        torch.testing.assert_close(twice.network(some_inputs()), again.network(some_inputs()), atol=2e-5, rtol=2e-5)


def test_a_graph_without_any_difference_between_its_biases_is_restored() -> None:
    """The exporter keeps tensors that are the same only once."""
    torch.manual_seed(1)
    network = BabyEHANet().eval()
    again = restored(to_onnx(Calibrated(network, torch.ones(len(TARGETS))).eval(), "expression"))
    with torch.inference_mode():
        torch.testing.assert_close(again.network(some_inputs(1)), network(some_inputs(1)), atol=1e-4, rtol=1e-4)


def test_the_shipped_graph_is_restored_from_a_clone() -> None:
    file = load(default_folder(), "expression")
    again, model = restored(file.onnx), Model(file)
    with torch.inference_mode():
        told = torch.sigmoid(again.network(some_inputs()) / again.temperatures).numpy()
    for row, tensor in zip(told, some_inputs().numpy(), strict=True):
        np.testing.assert_allclose(model(tensor[None])[0][0], row, atol=1e-5)


def test_other_graphs_are_refused() -> None:
    with pytest.raises(ValueError, match="not of the expression network"):
        restored(load(default_folder(), "face").onnx)
    with pytest.raises(ValueError, match="not of the expression network in fp32"):
        restored(load(default_folder(), "expression-int8").onnx)


def test_a_released_graph_is_weights_for_a_release(tmp_path: Path) -> None:
    path = tmp_path / "expression.onnx"
    network = trained_like()
    path.write_bytes(to_onnx(Calibrated(network, torch.ones(len(TARGETS))).eval(), "expression"))
    with torch.inference_mode():
        torch.testing.assert_close(
            load_network("expression", path)(some_inputs(1)), network(some_inputs(1)), atol=1e-4, rtol=1e-4
        )


@given(st.integers(0, 2**16))
@settings(max_examples=20, deadline=None)
def test_what_is_not_known_teaches_nothing(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    logits, told, other = (torch.rand(6, 4, generator=generator) for _ in range(3))
    weight = (torch.rand(6, 4, generator=generator) > 0.5).float()
    mixed = torch.where(weight > 0, told, other)
    torch.testing.assert_close(masked(logits, told, weight), masked(logits, mixed, weight))


def test_fine_tuning_learns_and_leaves_what_has_no_label(faces: Faces) -> None:
    start = restored(load(default_folder(), "expression").onnx)
    contrary = replace(faces, told=1 - faces.told)
    tuned = tune(start, contrary, contrary, Options(epochs=1, head_steps=100))
    assert tuned.losses[tuned.stage] < 0.3 * tuned.losses["as released"]
    head = tune(start, contrary, contrary, Options(epochs=0, head_steps=20))
    before, after = (n.classifier[1].weight.detach() for n in (start.network, head.network))
    unlabelled = [i for i in range(len(start.targets)) if i != EYES]
    torch.testing.assert_close(after[unlabelled], before[unlabelled], atol=0, rtol=0)
    assert not torch.equal(after[EYES], before[EYES])
    with pytest.raises(ValueError, match="no face to train on is labelled"):
        tune(start, replace(faces, weight=0 * faces.weight), faces, Options())


def test_the_command_fine_tunes_and_writes_a_model(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["train", "behaviour", "--data", str(folder), "--subject", r"(baby\d+)_", "--epochs", "1"]
    words += ["--models", str(default_folder()), "--out", str(tmp_path), "--json", str(tmp_path / "figures.json")]
    assert command.main([*words, "--plot", str(tmp_path / "reliability.png")]) == 0
    out, err = capsys.readouterr()
    assert "32 of 32 faces are of 8 known subjects" in out
    assert "WARNING" not in err
    assert [name for name in MEASURES if name not in out] == []
    told = json.loads((tmp_path / "figures.json").read_text())["reads"]
    assert set(told) == {"as released", "fine-tuned"}
    assert cv2.imread(str(tmp_path / "reliability.png")).shape[0] > 200
    model = ExpressionModel(Model.open(tmp_path, "expression-own"))
    assert "Fine-tuned" in model.manifest.origins[-1].data
    released = ExpressionModel(Model.open(default_folder(), "expression"))
    crop = np.zeros((112, 112, 3), np.uint8)
    assert 0 <= model.read_crop(crop).eyes_closed <= 1
    assert model.read_crop(crop).brow_bulge == released.read_crop(crop).brow_bulge


def test_each_infant_is_left_out_in_turn(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tqdm, "monitor_interval", 0)  # its thread outlives the bar
    for number in range(6):
        path = tmp_path / ("sleep" if number % 2 else "awake") / f"baby{number // 2}_{number}.png"
        path.parent.mkdir(exist_ok=True)
        cv2.imwrite(str(path), a_face(number, number % 2 == 1, number // 2))
    words = ["train", "behaviour", "--data", str(tmp_path), "--epochs", "0", "--leave-one-subject-out"]
    words += ["--models", str(default_folder())]
    assert command.main([*words, "--subject", r"(baby\d+)_"]) == 0
    assert "3 subjects judged in turn" in capsys.readouterr().out
    assert command.main(words) == 2
    assert "0 subjects are known; at least three" in capsys.readouterr().err


def test_unknown_infants_are_warned_of_on_the_way(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["evaluate", "behaviour", "--data", str(folder), "--models", str(default_folder())]) == 0
    assert "WARNING: THE SUBJECT OF 32 OF 32 FACES IS NOT KNOWN" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--subject", "baby"], "a group in parentheses"),
        (["--subject", "(baby"], "not a regular expression"),
        (["--rate-hz", "0"], "more than nought"),
        (["--columns", "colour=red"], "ROLE=NAME"),
        (["--model", "nothing"], "nothing.toml"),
    ],
)
def test_bad_arguments_are_told_in_one_line(
    words: list[str], told: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.main(["train", "behaviour", "--data", str(folder), *words]) == 2
    assert told in capsys.readouterr().err


rows = st.lists(st.tuples(st.floats(0, 1), st.booleans(), st.integers(0, 4)), min_size=4, max_size=40).filter(
    lambda r: len({truth for _, truth, _ in r}) == 2
)


@given(rows)
@settings(max_examples=25, deadline=None)
def test_figures_are_those_of_scikit_learn(told: list[tuple[float, bool, int]]) -> None:
    scores, truth = np.array([s for s, _, _ in told]), np.array([t for _, t, _ in told])
    called = scores >= 0.5
    assert metrics.f1(scores, truth) == pytest.approx(sklearn_metrics.f1_score(truth, called))
    assert metrics.kappa(scores, truth) == pytest.approx(sklearn_metrics.cohen_kappa_score(truth, called))
    assert metrics.auc(scores, truth) == pytest.approx(sklearn_metrics.roc_auc_score(truth, scores))


@given(rows)
@settings(max_examples=30, deadline=None)
def test_intervals_lie_between_the_infants(told: list[tuple[float, bool, int]]) -> None:
    scores, truth, groups = (np.array(part, float) for part in zip(*told, strict=True))
    low, high = metrics.intervals({"a": metrics.accuracy}, scores, truth, groups, replicates=50)["a"]
    names = np.unique(groups)
    if len(names) == 1:
        assert math.isnan(low)
        return
    each = [metrics.accuracy(scores[groups == g], truth[groups == g]) for g in names]
    assert min(each) - 1e-9 <= low <= high <= max(each) + 1e-9
    other = metrics.intervals({"a": metrics.accuracy}, scores, truth, groups + 7, replicates=50)["a"]
    assert other == (low, high)


def test_intervals_over_infants_are_wider_than_over_pictures() -> None:
    rng = np.random.default_rng(1)
    groups = np.repeat(np.arange(20), 30)
    right = np.repeat(rng.random(20) < 0.7, 30)
    truth = rng.random(600) < 0.5
    scores = np.where(right, truth, ~truth).astype(float)
    spans = [metrics.intervals({"a": metrics.accuracy}, scores, truth, by)["a"] for by in (groups, np.arange(600))]
    infants, pictures = (high - low for low, high in spans)
    assert infants > 3 * pictures


@given(st.integers(1, 40), st.data())
def test_the_most_that_a_count_allows_is_where_five_in_a_hundred_have_fewer(of: int, data: st.DataObject) -> None:
    count = data.draw(st.integers(0, of - 1))
    most = metrics.at_most(count, of)
    tail = sum(math.comb(of, k) * most**k * (1 - most) ** (of - k) for k in range(count + 1))
    assert tail == pytest.approx(0.05, abs=1e-6)
    assert most > count / of


@given(rows)
def test_reliability_keeps_the_means(told: list[tuple[float, bool, int]]) -> None:
    scores, truth, groups = (np.array(part, float) for part in zip(*told, strict=True))
    said, seen = reliability(Column(scores, truth, groups.astype(str)))
    assert len(said) == min(10, len(told))
    assert said == sorted(said)
    assert all(0 <= share <= 1 for share in seen)


def a_report(faces: Faces, flip: int, closed: int) -> BehaviourReport:
    scores = np.full((len(faces), 5), 0.02)
    scores[:, EYES] = np.where(faces.told[:, EYES] > 0.5, 0.98, 0.02)
    reads = reads_of(scores, faces)
    scores = scores.copy()
    scores[:flip, EYES] = 1 - scores[:flip, EYES]
    calls = np.arange(40) < closed
    adults = FalseCalls("adults", 44, np.arange(40) % 10, calls, np.zeros(40, bool))
    abstentions = (Abstention("eyes_visible", 9, 0.0, 1.0),)
    return BehaviourReport("drawn", {TRUE_CROP: (reads, 0.9)}, abstentions, adults).beside(reads_of(scores, faces))


def test_goals_are_told_met_short_or_not_measured(faces: Faces) -> None:
    verdicts = {goal.name: (goal.met, goal.measured is None) for goal in a_report(faces, 0, 1).goals()}
    assert verdicts == {
        "AUC of eyes_closed": (True, False),
        "ECE of eyes_closed": (True, False),
        "AUC of crying": (False, True),
        "ECE of crying": (False, True),
        "int8 against fp32, the figure that loses most": (True, False),
        "real adults, open eyes called closed": (True, False),
        "real adults, calm called crying": (True, False),
    }
    lines = "\n".join(a_report(faces, 2, 2).lines())
    assert (
        "SHORT        real adults, open eyes called closed: wanted <= 3%, measured 5.0% of 40 frames; 2 of 10" in lines
    )
    assert "SHORT        int8 against fp32" in lines
    assert "not measured AUC of crying" in lines


def test_targets_that_a_model_does_not_tell_are_not_judged(faces: Faces) -> None:
    reads = reads_of(np.full((len(faces), 5), 0.5), faces)
    assert {target for target, _, _ in reads.columns()} == {"eyes_closed"}
    assert TASKS["expression"].input.size_px == (112, 112)
