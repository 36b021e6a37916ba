"""Pain by transfer learning: handcrafted features, selection, classifiers, fusion, the exported graph, the table."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

with warnings.catch_warnings():  # torch's own imports warn
    warnings.simplefilter("ignore")
    torch = pytest.importorskip("torch", reason="needs the extra `export`")
    pytest.importorskip("sklearn", reason="needs the extra `export`")

    from sklearn.ensemble import RandomForestClassifier

    from export.__main__ import main
    from export.pain import network as networks
    from export.pain import samples as sources
    from export.pain import strain
    from export.pain.classifiers import CLASSIFIERS, KINDS, WITH_STRAIN, Known, fit, groups_of
    from export.pain.evaluate import leave_subjects_out
    from export.pain.features import extract, prepared
    from export.pain.graphs import IMAGE, session, together
    from export.pain.handcrafted import GREY, Handcrafted, LocalBinaryPatterns, OrientedGradients
    from export.pain.ncnn import NCNN, probabilities, train
    from export.pain.pipeline import MAX_DIFFERENCE, check_parity, to_onnx
    from export.pain.report import PainReport, Row
    from export.pain.samples import Sample, Samples, gather, merged
    from export.pain.selection import ReliefF

NETWORK = Path(__file__).parents[1] / "models" / "expression.onnx"


def picture(rng: np.random.Generator) -> NDArray[np.uint8]:
    soft = cv2.GaussianBlur(rng.random((112, 112, 3)).astype(np.float32), (0, 0), 2)
    return np.asarray(np.rint(255 * (soft - soft.min()) / (soft.max() - soft.min())), np.uint8)


def faces(subjects: int = 16, each: int = 4, seed: int = 0, first: int = 0) -> Samples:
    """Blurred noise; those with "pain" have dark lines where brow and cheeks are."""
    rng = np.random.default_rng(seed)
    made = []
    for subject in range(first, first + subjects):
        for number in range(each):
            crop, pain = picture(rng), bool(number % 2)
            if pain:
                for y in (34, 70, 78):
                    cv2.line(crop, (36, y), (76, y + int(rng.integers(-4, 5))), (25, 15, 15), 2, cv2.LINE_AA)
            made.append(Sample(crop, f"infant {subject}", pain, ("free", "occluded")[subject % 2]))
    return gather(made, "test")


@pytest.fixture(scope="module")
def data() -> Samples:
    return faces()


@pytest.fixture(scope="module")
def network() -> networks.FaceNetwork:
    return networks.read(NETWORK)


@pytest.fixture(scope="module")
def features(data: Samples, network: networks.FaceNetwork) -> dict[str, NDArray[np.float32]]:
    return dict(extract(network, data, cache=None))


def test_patterns_are_those_of_scikit_image() -> None:
    feature = pytest.importorskip("skimage.feature")
    grey = np.floor(picture(np.random.default_rng(1)) @ np.array(GREY) + 0.5).astype(np.uint8)
    layer, given = LocalBinaryPatterns(), torch.from_numpy(grey.astype(np.float32))[None, None]
    expected = feature.local_binary_pattern(grey, 8, 1, "uniform")
    assert np.mean(layer.codes(given)[0, 0].numpy() != expected) <= 1e-3
    shares = layer(given)[0].numpy().reshape(10, 7, 7)
    assert np.allclose(shares.sum(axis=0), 1)
    cell = expected[16:32, 32:48]
    assert np.abs(shares[:, 1, 2] - np.bincount(cell.astype(int).ravel(), minlength=10) / 256).max() <= 2 / 256


def test_gradients_are_those_of_scikit_image() -> None:
    feature = pytest.importorskip("skimage.feature")
    grey = picture(np.random.default_rng(2)) @ np.array(GREY) / 255
    got = OrientedGradients()(torch.from_numpy(grey.astype(np.float32))[None, None])[0].numpy()
    expected = feature.hog(grey, 9, (16, 16), (2, 2), block_norm="L2-Hys")
    assert got.shape == expected.shape
    assert np.abs(got - expected).max() < 1e-4


def test_the_graph_makes_the_same_features_as_the_layers(data: Samples, features: dict[str, NDArray]) -> None:
    with torch.inference_mode():
        expected = Handcrafted()(torch.from_numpy(prepared(data.crops[:4]))).numpy()
    assert np.abs(features["handcrafted"][:4] - expected).max() < 1e-5


def test_deep_features_are_the_tensor_of_the_layer(data: Samples, features: dict[str, NDArray]) -> None:
    """Taken from the very network that is shipped, in one go and cut."""
    import onnx

    model = onnx.load(str(NETWORK))
    layer = networks.read(NETWORK).layer
    model.graph.output.append(onnx.helper.make_tensor_value_info(layer, onnx.TensorProto.FLOAT, None))
    (whole,) = session(model).run([layer], {IMAGE: prepared(data.crops[:1])})
    assert np.abs(features["deep"][0] - whole[0]).max() < 1e-5


def test_any_network_can_be_brought(tmp_path: Path) -> None:
    """Another size, blue first, channels last, a map of features instead of a vector."""

    class Last(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = torch.nn.Conv2d(3, 5, 3, 2, 1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.relu(self.conv(x.permute(0, 3, 1, 2))).mean(dim=(2, 3))

    torch.manual_seed(0)
    module, path = Last().eval(), tmp_path / "net.onnx"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(module, (torch.zeros(1, 64, 48, 3),), path, opset_version=13, dynamo=False)
    taking = networks.Taking(64, 48, channels_last=True, bgr=True, mean=(10, 20, 30), scale=(0.1, 0.2, 0.3))
    relu = next(n.output[0] for n in networks.onnx.load(str(path)).graph.node if n.op_type == "Relu")
    network = networks.read(path, relu, taking)
    crop = np.full((112, 112, 3), (40, 90, 200), np.uint8)
    graph = together(networks.features(network), (1, 3, 112, 112), ("deep",))
    (got,) = session(graph).run(["deep"], {IMAGE: prepared(crop[None])})
    canvas = np.full((64, 48, 3), 114.0, np.float32)
    canvas[:48] = (200, 90, 40)
    given = (canvas - np.array([10, 20, 30], np.float32)) * np.array([0.1, 0.2, 0.3], np.float32)
    with torch.inference_mode():
        maps = torch.relu(module.conv(torch.from_numpy(given)[None].permute(0, 3, 1, 2)))
    quarters = maps.reshape(1, 5, 2, 16, 2, 12).mean(dim=(3, 5)).flatten(1).numpy()
    assert np.abs(got - quarters).max() < 1e-3


@pytest.mark.parametrize(
    ("layer", "words"), [("nowhere", "no layer makes 'nowhere'; such as"), (None, "not an ONNX|cannot be read")]
)
def test_a_network_that_cannot_be_used_is_told(tmp_path: Path, layer: str | None, words: str) -> None:
    path = NETWORK
    if layer is None:
        path = tmp_path / "broken.onnx"
        path.write_bytes(b"nonsense")
    with pytest.raises(ValueError, match=words):
        networks.read(path, layer)


def test_relief_keeps_what_tells_the_classes_apart_even_together() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(240, 12))
    y = (x[:, 3] > 0) ^ (x[:, 7] > 0)  # neither tells anything by itself
    kept = np.flatnonzero(ReliefF(keep=2).fit(x, y).get_support())
    assert kept.tolist() == [3, 7]


def test_folds_share_no_subject(data: Samples) -> None:
    for learn, judge in groups_of(4, data.pain, data.subjects):
        assert not set(data.subjects[learn]) & set(data.subjects[judge])
    with pytest.raises(ValueError, match="16 subjects"):
        groups_of(17, data.pain, data.subjects)


@pytest.fixture(scope="module")
def fitted(data: Samples, features: dict[str, NDArray]) -> dict[tuple[str, str], object]:
    small = {**CLASSIFIERS, "random forest": lambda: RandomForestClassifier(20, max_depth=4, random_state=0)}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("export.pain.classifiers.CLASSIFIERS", small)
        return dict(fit(Known(features, data.pain, data.subjects, 60)))


@pytest.fixture(scope="module")
def unseen(network: networks.FaceNetwork) -> tuple[Samples, dict[str, NDArray[np.float32]]]:
    """Faces of subjects that nothing was learned from."""
    others = faces(subjects=3, seed=9)
    return others, dict(extract(network, others, cache=None))


@pytest.mark.parametrize(
    "which",
    [*((name, "fused scores") for name in CLASSIFIERS), *(("SVM", kind) for kind in KINDS if kind != "fused scores")],
)
def test_the_graph_says_what_scikit_learn_says(
    which: tuple[str, str], fitted: dict, features: dict, network: networks.FaceNetwork, unseen: tuple
) -> None:
    unseen, told = unseen
    chosen = fitted[which]
    graph = to_onnx(network, chosen, {view: values.shape[1] for view, values in features.items()})
    assert check_parity(graph, chosen, told, unseen.crops) <= MAX_DIFFERENCE
    assert np.ptp(chosen.probability(told)) > 0.05  # a constant would agree with anything


def test_a_graph_of_another_fit_is_refused(
    fitted: dict, features: dict, network: networks.FaceNetwork, unseen: tuple
) -> None:
    graph = to_onnx(network, fitted["SVM", "deep"], {v: x.shape[1] for v, x in features.items()})
    with pytest.raises(ValueError, match="differs from scikit-learn"):
        check_parity(graph, fitted["k-NN", "deep"], unseen[1], unseen[0].crops)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> int:
    """Forests are slow to grow; the number of classifiers that are left."""
    few = {name: CLASSIFIERS[name] for name in ("naive bayes", "SVM")}
    monkeypatch.setattr("export.pain.classifiers.CLASSIFIERS", few)
    return len(few)


def test_the_table_is_of_infants_that_were_left_out(data: Samples, features: dict, quick: int) -> None:
    rows = leave_subjects_out(data, features, folds=2, keep=60, minutes=0)
    report = PainReport("made", data, tuple(rows))
    assert len(rows) == quick * len(KINDS)
    assert report.best.of(data)["AUC"] > 0.9  # lines are easy to see
    assert report.strata == ("free", "occluded")
    assert len(list(report.lines())) == 2 + len(rows)
    assert {m.name for m in report.metrics()} == {"AUC", "accuracy", "balanced accuracy", "F1", "ECE"}


@pytest.mark.usefixtures("quick")
def test_labels_that_mean_nothing_cannot_be_told(data: Samples, features: dict) -> None:
    """The protocol leaks nothing: shuffled by subject, the figure is chance."""
    rng = np.random.default_rng(3)
    shuffled = Samples(data.crops, data.subjects, rng.permutation(data.pain), data.strata)
    rows = leave_subjects_out(shuffled, features, folds=2, keep=60, minutes=0)
    assert np.mean([row.of(shuffled)["AUC"] for row in rows]) < 0.65


def test_the_interval_widens_when_faces_are_of_few_subjects(data: Samples) -> None:
    rng = np.random.default_rng(0)
    own = rng.random(len(data)) < 0.5  # which subjects are easy
    many, few = (np.repeat(np.arange(len(data) // n), n).astype(str) for n in (2, 16))
    easy = own[few.astype(int)]
    row = Row("", "", np.where(easy, data.pain * 0.8 + 0.1, 0.3) + 0.1 * rng.random(len(data)))
    spans = [row.interval(Samples(data.crops, of, data.pain, data.strata)) for of in (many, few)]
    assert spans[1][1] - spans[1][0] > spans[0][1] - spans[0][0]
    assert all(low < row.of(data)["AUC"] < high for low, high in spans)


def test_faces_of_one_class_are_refused(data: Samples) -> None:
    with pytest.raises(ValueError, match="faces with and without pain"):
        gather([Sample(c, s, True) for c, s in zip(data.crops, data.subjects, strict=True)], "test")


def test_strain_is_of_stretching_not_of_moving() -> None:
    rng = np.random.default_rng(4)
    calm = picture(rng)
    moved = np.roll(calm, (2, 1), axis=(0, 1))
    y, x = np.mgrid[:112, :112].astype(np.float32)
    pinch = 5 * np.exp(-((x - 30) ** 2 + (y - 30) ** 2) / 200)
    pulled = cv2.remap(calm, x + pinch, y, cv2.INTER_LINEAR)
    parts = strain.of_pair(calm, pulled)
    assert parts.argmax() == 0  # upper left of the picture
    assert parts[0] > 3 * strain.of_pair(calm, moved)[0]
    assert strain.of_pair(calm, calm).max() == 0
    assert strain.of_clip([calm, moved, pulled]).shape == (8,)


@pytest.mark.usefixtures("quick")
def test_strain_joins_where_there_are_calm_pictures(data: Samples, network: networks.FaceNetwork) -> None:
    calm = np.stack([data.crops[2 * (k // 2)] for k in range(len(data))])
    pairs = Samples(data.crops, data.subjects, data.pain, data.strata, calm)
    features = extract(network, pairs.take(np.arange(24)), cache=None)
    assert features["strain"].shape == (24, 4)
    rows = leave_subjects_out(pairs.take(np.arange(24)), features, folds=2, keep=60, minutes=0)
    assert {row.kind for row in rows} == {*KINDS, *WITH_STRAIN}
    assert merged([pairs, data]).calm is None
    assert len(merged([pairs, pairs]).calm) == 2 * len(data)


def test_ncnn_is_of_the_published_size_and_moved_by_training() -> None:
    torch.manual_seed(0)
    fresh = NCNN()
    assert sum(p.numel() for p in fresh.parameters()) == 72_593
    data = faces(subjects=4, each=2)
    network = train(data, 0.001, seed=0)
    assert not any(torch.equal(a, b) for a, b in zip(fresh.parameters(), network.parameters(), strict=True))
    told = probabilities(network, data)
    assert told.shape == (8,)
    assert ((told >= 0) & (told <= 1)).all()


def write_table(folder: Path, rows: list[str]) -> Path:
    for name in ("a.png", "b.png"):
        cv2.imwrite(str(folder / name), np.full((60, 60, 3), 90, np.uint8))
    (folder / "labels.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    return folder


def test_a_table_of_ones_own_pictures_is_read(tmp_path: Path) -> None:
    data = sources.read(write_table(tmp_path, ["path,subject,label", "a.png,S1,pain", "b.png,S2,no pain"]))
    assert (data.subjects.tolist(), data.pain.tolist()) == (["S1", "S2"], [True, False])
    assert data.crops.shape == (2, 112, 112, 3)


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (["path,label", "a.png,pain"], "labels.csv:1: lacks the columns subject"),
        (["path,subject,label", "a.png,S1,perhaps"], "labels.csv:2: label 'perhaps'"),
        (["path,subject,label", "a.png,,pain"], "labels.csv:2: no subject"),
        (["path,subject,label", "a.png,S1,pain", "b.png,S1,none"], "of two subjects"),
    ],
)
def test_a_table_that_cannot_be_used_is_told(tmp_path: Path, rows: list[str], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        sources.read(write_table(tmp_path, rows))


def test_a_render_is_pain_only_with_all_three_actions_and_neither_between() -> None:
    row = {"face_box": [0, 0, 1, 1], "eyes_visible": 1.0, "brow_visible": 1.0, "cheeks_visible": 1.0}
    told = [
        sources.pain_of(row | dict(zip(sources.ACTIONS, values, strict=True)))
        for values in ((0.9, 0.9, 0.45), (0.9, 0.9, 0.44), (0.9, 0.9, 0.24), (0, 0, 0))
    ]
    assert told == [True, None, False, False]
    assert sources.pain_of(row | {"face_box": None}) is None
    assert sources.pain_of(row | dict.fromkeys(sources.ACTIONS, 0.9) | {"eyes_visible": 0.2}) is None


@pytest.mark.usefixtures("quick")
def test_train_and_release_give_a_model_that_a_device_loads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from edgemon.inference import Model, PainModel
    from export.pain import release

    made, unseen = faces(subjects=16, each=2), faces(subjects=4, seed=5, first=16)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("export.pain.train.read", lambda *_: made)
    monkeypatch.setattr(release, "read", lambda *_: unseen)
    monkeypatch.setattr(release, "read_found", lambda *_: unseen)
    words = ["--network", str(NETWORK), "--keep", "40", "--classifier", "SVM", "--kind", "fused scores"]
    assert main(["train", "pain", "--data", "x", "--out", "out", *words]) == 0
    assert main(["release", "pain", "--weights", "out", "--data", "x", "--folder", "models"]) == 0
    model = PainModel(Model.open(tmp_path / "models", "pain"))
    told = np.array([model.read_crop(crop) for crop in unseen.crops])
    assert told[unseen.pain].mean() > told[~unseen.pain].mean()
    told_again = ["release", "pain", "--weights", "out", "--data", "x", "--folder", "models"]
    monkeypatch.setattr(release, "read", lambda *_: made)
    assert main(told_again) == 2  # of infants that it learned from no figure is told
    monkeypatch.setattr(release, "read", lambda *_: unseen)
    assert "US11992331B2" in (tmp_path / "models/cards/pain.md").read_text()
    assert "SVM" in capsys.readouterr().out
    with np.load("out/parity.npz") as proof:
        np.savez("out/parity.npz", crops=proof["crops"], told=1 - proof["told"], learned=proof["learned"])
    assert main(told_again) == 2


def only_stretched(subjects: int, first: int = 0) -> Samples:
    """Noise of which a calm picture alone tells the classes apart."""
    plain = faces(subjects, each=2, first=first)
    rng = np.random.default_rng(first)
    crops = np.stack([picture(rng) for _ in plain.crops])
    calm = np.stack([picture(rng) if pain else crop for crop, pain in zip(crops, plain.pain, strict=True)])
    return Samples(crops, plain.subjects, plain.pain, plain.strata, calm)


@pytest.mark.usefixtures("quick")
def test_a_device_s_pipeline_never_needs_a_calm_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("export.pain.train.read", lambda *_: only_stretched(12))
    words = ["--network", str(NETWORK), "--keep", "20", "--folds", "2"]
    assert main(["train", "pain", "--data", "x", "--out", "out", *words]) == 0
    assert json.loads(Path("out/pain.json").read_text())["kind"] in KINDS


@pytest.mark.usefixtures("quick")
def test_strain_is_judged_only_where_both_sides_have_calm_pictures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pairs, alone = only_stretched(6), faces(4, each=2, first=6)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("export.pain.evaluate.read", lambda path, *_: alone if path.name == "alone" else pairs)
    monkeypatch.setattr("export.pain.evaluate._pairs", lambda _: Path("pairs"))
    words = ["evaluate", "pain", "--network", str(NETWORK), "--keep", "20"]
    assert main([*words, "--data", "pairs", "--test", "alone"]) == 0
    out = capsys.readouterr().out
    assert "deep" in out
    assert "strain" not in out
    assert main([*words, "--data", "alone", "--pairs", "6"]) == 2
    assert "faces without one" in capsys.readouterr().err
