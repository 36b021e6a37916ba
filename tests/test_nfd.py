"""The seed's network: official checkpoints, the two modules, losses, schedule, graphs, resuming and the ablation."""

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
from tqdm import tqdm

with warnings.catch_warnings():  # torch's own imports warn
    warnings.simplefilter("ignore")
    torch = pytest.importorskip("torch", reason="needs the extra `export`")
    import onnxruntime as ort

    from export import __main__ as command
    from export.ablation import ROWS, Outcome, Reading, line, table
    from export.augment import Scene
    from export.datasets import FaceMark
    from export.nfd import OFFICIAL, PYRAMID, Network, NetworkConfig, OfficialRetinaFace, Scored, load_official, priors
    from export.nfd.anchors import cells
    from export.nfd.backbones import Backbone
    from export.nfd.context import kept_cells, neighbours
    from export.nfd.decode import decode_official, ranking, suppress
    from export.nfd.frames import as_drawn, augmented, draw
    from export.nfd.losses import LossConfig, Targets, decode, encode, focal, losses, match, second_step, similarity
    from export.nfd.network import LIMIT, Outputs, probability
    from export.nfd.official import plain
    from export.nfd_parity import MAX_DIFFERENCE, parity, pictures, stir, to_onnx
    from export.nfd_training import Plan, Schedule, Training, inputs, pretraining

SMALL = NetworkConfig("mobilenet", channels=16)


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    threads, interval = torch.get_num_threads(), tqdm.monitor_interval
    torch.set_num_threads(1)
    tqdm.monitor_interval = 0  # or its watching thread outlives the test
    yield
    torch.set_num_threads(threads)
    tqdm.monitor_interval = interval


def torchvision_names() -> set[str]:
    """ResNet-50's state dict without the classifier, as torchvision writes it."""
    norm = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
    names = {"conv1.weight", *(f"bn1.{n}" for n in norm)}
    for layer, blocks in enumerate((3, 4, 6, 3), 1):
        for block in range(blocks):
            at = f"layer{layer}.{block}"
            names |= {f"{at}.conv{k}.weight" for k in (1, 2, 3)} | {f"{at}.bn{k}.{n}" for k in (1, 2, 3) for n in norm}
            if block == 0:
                names |= {f"{at}.downsample.0.weight", *(f"{at}.downsample.1.{n}" for n in norm)}
    return names


def test_official_state_dicts() -> None:
    network = OfficialRetinaFace("resnet50")
    state = network.state_dict()
    assert len(state) == 456
    assert {n.removeprefix("body.") for n in state if n.startswith("body.")} == torchvision_names()
    network.load_state_dict(plain({"state_dict": {f"module.{name}": value for name, value in state.items()}}))
    assert len(OfficialRetinaFace("mobilenet").state_dict()) == 300


def test_a_wrapped_checkpoint_loads_strictly(tmp_path: Path) -> None:
    torch.manual_seed(3)
    saved = OfficialRetinaFace("mobilenet").state_dict()
    path = tmp_path / "official.pth"
    torch.save({"state_dict": {f"module.{name}": value for name, value in saved.items()}}, path)
    loaded = load_official(path, "mobilenet").state_dict()
    assert all(torch.equal(loaded[name], value) for name, value in saved.items())
    saved.pop("fpn.merge1.0.weight")
    torch.save(saved, path)
    with pytest.raises(ValueError, match=r"official\.pth: not weights of the official RetinaFace on mobilenet"):
        load_official(path, "mobilenet")


def reference(loc: np.ndarray, conf: np.ndarray, landms: np.ndarray, size_px: tuple[int, int]) -> list[list[float]]:
    """The published decoding, written down anchor by anchor: x0 y0 x1 y1, score, landmarks, normalised to 0..1."""
    width, height = size_px
    rows, index = [], 0
    for step, sides in ((8, (16, 32)), (16, (64, 128)), (32, (256, 512))):
        for i in range(math.ceil(height / step)):
            for j in range(math.ceil(width / step)):
                for side in sides:
                    px, py, pw, ph = (j + 0.5) * step / width, (i + 0.5) * step / height, side / width, side / height
                    dx, dy, dw, dh = (float(v) for v in loc[0, index])
                    cx, cy, w, h = (
                        px + 0.1 * dx * pw,
                        py + 0.1 * dy * ph,
                        pw * math.exp(0.2 * dw),
                        ph * math.exp(0.2 * dh),
                    )
                    marks = [(px, py)[k % 2] + 0.1 * float(v) * (pw, ph)[k % 2] for k, v in enumerate(landms[0, index])]
                    rows.append([cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2, float(conf[0, index, 1]), *marks])
                    index += 1
    return rows


def reference_nms(rows: list[list[float]], limit: float) -> list[list[float]]:
    kept: list[list[float]] = []
    for row in sorted((r for r in rows if r[4] >= 0.02), key=lambda r: -r[4]):
        for other in kept:
            w = min(row[2], other[2]) - max(row[0], other[0])
            h = min(row[3], other[3]) - max(row[1], other[1])
            shared = max(w, 0) * max(h, 0)
            areas = [(r[2] - r[0]) * (r[3] - r[1]) for r in (row, other)]
            if shared / (sum(areas) - shared) > limit:
                break
        else:
            kept.append(row)
    return kept


def test_the_official_checkpoint_gives_the_reference_decode(shared: Path) -> None:
    folder = shared / "data" / "weights" / "retinaface"
    network = load_official(folder / "mobilenet0.25_Final.pth", "mobilenet")
    photograph = sorted((shared / "data" / "faces_london" / "neutral").glob("*.jpg"))[0]
    bgr = cv2.resize(cv2.imread(str(photograph)), (240, 240), interpolation=cv2.INTER_AREA)
    frame = cv2.copyMakeBorder(bgr, 0, 0, 40, 40, cv2.BORDER_CONSTANT)
    tensor = (frame.astype(np.float32) - np.float32([104, 117, 123])).transpose(2, 0, 1)[None]
    with torch.inference_mode():
        ours = [output.numpy() for output in network(torch.from_numpy(tensor))]
    theirs = ort.InferenceSession(str(folder / "retina_mnet025_320x240.onnx")).run(None, {"input": tensor})
    found = decode_official(*ours, priors(OFFICIAL, (320, 240)))
    expected = reference_nms(reference(*theirs, (320, 240)), 0.4)
    assert expected[0][4] > 0.9
    assert len(found.scores) == len(expected)
    scale = np.array([320, 240])
    for n, row in enumerate(expected):
        assert found.boxes[n].reshape(2, 2) / scale == pytest.approx(np.reshape(row[:4], (2, 2)), abs=1e-5)
        assert found.scores[n] == pytest.approx(row[4], abs=1e-5)
        assert found.landmarks[n] / scale == pytest.approx(np.reshape(row[5:], (5, 2)), abs=1e-5)


def test_anchor_counts_are_those_of_the_papers() -> None:
    anchors = priors(PYRAMID, (640, 640))
    assert len(anchors) == 102_300
    assert len(priors(OFFICIAL, (640, 640))) == 16_800
    fine = sum(math.prod(cells((640, 640), stride)) * 3 for stride, _ in PYRAMID[:3])
    assert fine / len(anchors) == pytest.approx(0.985, abs=5e-4)
    assert np.unique(anchors[:, 2])[:4] == pytest.approx([16, 20.16, 25.40, 32], abs=0.01)


def test_the_context_reaches_as_far_as_its_squares() -> None:
    kept = torch.zeros(1, 1, 9, 9)
    kept[0, 0, 4, 4] = 1
    assert [int(neighbours(kept, side).sum()) for side in (3, 5)] == [9, 25]
    logits = torch.full((1, 6 * 4 * 3, 1), LIMIT - 1)
    logits[0, (2 * 4 + 1) * 3 + 2] = LIMIT
    assert kept_cells(logits, (6, 4), LIMIT).nonzero().tolist() == [[0, 0, 2, 1]]


def test_the_second_step_depends_on_the_context_of_kept_anchors_alone() -> None:
    torch.manual_seed(0)
    step = stir(Network(SMALL), 1).second[0]
    pyramid, backbone = torch.zeros(1, 16, 12, 12), torch.randn(1, 32, 12, 12)
    kept = torch.zeros(1, 1, 12, 12)
    bare = step(pyramid, backbone, kept)
    kept[0, 0, 5, 5] = 1
    moved = (step(pyramid, backbone, kept) - bare).reshape(12, 12, 3).abs().amax(dim=2) > 1e-6
    assert moved.nonzero().tolist() == [[y, x] for y in range(3, 8) for x in range(3, 8)]


def test_what_the_first_step_drops_has_no_probability() -> None:
    first = torch.tensor([[LIMIT - 1e-3, LIMIT + 1e-3, -20.0]])
    out = Outputs(first, torch.empty(0), torch.empty(0), torch.tensor([[3.0, 3.0]]), None)
    assert torch.sigmoid(-first[0, 0]) > 0.9 > torch.sigmoid(-first[0, 1])
    assert probability(out)[0].tolist() == pytest.approx([0, 1 / (1 + math.exp(-3)), 1 / (1 + math.exp(20))])


def test_labels_of_the_second_step() -> None:
    drop, keep = LIMIT - 1, LIMIT + 1
    first = torch.tensor([[drop, keep, drop, keep, keep]])
    label = torch.tensor([[0, 0, 1, 1, -1]])
    second = torch.randn(1, 5, requires_grad=True)
    second_step(first, second, label).backward()
    assert second.grad is not None
    assert (second.grad[0] != 0).tolist() == [False, True, True, True, False]
    assert (second.grad[0].sign() > 0).tolist()[1:4] == [True, False, False]


def test_focal_loss_by_hand() -> None:
    logits, label = torch.tensor([0.0, math.log(3), 5.0]), torch.tensor([1, 0, -1])
    expected = 0.25 * 0.25 * math.log(2) + 0.75 * 0.75**2 * math.log(4)
    assert focal(logits, label).item() == pytest.approx(expected, rel=1e-5)


def test_similarity_is_one_for_a_perfect_box_and_less_by_the_distance_of_the_centres() -> None:
    a, b = torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, 10]]), torch.tensor([[0.0, 0, 10, 10], [5, 0, 15, 10]])
    found = similarity(a, b)
    assert found["iou"].tolist() == pytest.approx([1, 1 / 3])
    assert found["diou"].tolist() == pytest.approx([1, 1 / 3 - 25 / (15**2 + 10**2)])


def test_the_quality_branch_learns_the_diou_of_the_decoded_box() -> None:
    anchors = torch.tensor([[20.0, 20, 20, 20]])
    box = torch.tensor([[15.0, 10, 35, 30]])  # the anchor itself, moved by 5 px
    out = Outputs(torch.zeros(1, 1), torch.zeros(1, 1, 4), torch.zeros(1, 1, 10), None, torch.zeros(1, 1))
    targets = Targets(torch.ones(1, 1, dtype=torch.long), box[None], torch.zeros(1, 1, 10))
    for kind, wanted in (("diou", 0.6 - 25 / (25**2 + 20**2)), ("iou", 0.6)):
        quality = torch.full((1, 1), math.log(wanted / (1 - wanted)), requires_grad=True)
        terms = losses(out._replace(quality=quality), targets, anchors, LossConfig(quality=kind))
        terms["quality"].backward()
        assert quality.grad is not None
        assert quality.grad.item() == pytest.approx(0, abs=1e-6)


def test_the_terms_of_the_loss() -> None:
    torch.manual_seed(0)
    scene = made_up(1)[0]
    for row in ROWS:
        network = Network(NetworkConfig("mobilenet", hcc=row.hcc, dan=row.dan, channels=16))
        anchors = priors(PYRAMID, (64, 64))
        frame = as_drawn(scene)
        targets = Targets(*(torch.from_numpy(p[None]) for p in match(frame.boxes, frame.landmarks, anchors)))
        out = network.eval()(inputs([frame.rgb]))
        terms = losses(out, targets, torch.from_numpy(anchors), LossConfig("diou", row.quality))
        wanted = {"first", "box", "landmarks"} | {*["second"] * row.hcc, *["quality"] * row.dan}
        assert set(terms) == wanted
        assert all(math.isfinite(value.item()) for value in terms.values())


@given(st.floats(0, 1), st.floats(0, 1), st.sampled_from([0.0, 0.3, 1.0]))
def test_the_score_lies_between_probability_and_quality(p: float, d: float, alpha: float) -> None:
    score = float(ranking(np.float32([p]), np.float32([d]), alpha)[0])
    assert min(p, d) - 1e-6 <= score <= max(p, d) + 1e-6


@settings(max_examples=30)
@given(st.lists(st.tuples(st.floats(0, 60), st.floats(0, 60), st.floats(8, 60)), min_size=1, max_size=3))
def test_every_face_has_an_anchor_and_deltas_decode_to_it(faces: list[tuple[float, float, float]]) -> None:
    boxes = np.float32([[x, y, x + side, y + 1.2 * side] for x, y, side in faces])
    points = np.tile(boxes[:, :2], 5)
    anchors = priors(PYRAMID, (64, 64))
    label, matched, landmarks = match(boxes, points, anchors)
    assert {tuple(row) for row in matched[label == 1]} <= {tuple(row) for row in boxes}
    assert (label == 1).any()
    chosen = torch.from_numpy(anchors[label == 1])
    deltas, _ = encode(torch.from_numpy(matched[label == 1]), torch.from_numpy(landmarks[label == 1]), chosen)
    assert decode(deltas, chosen).numpy() == pytest.approx(matched[label == 1], abs=1e-2)


def test_no_face_is_all_background() -> None:
    label, _, _ = match(np.empty((0, 4), np.float32), np.empty((0, 10), np.float32), priors(PYRAMID, (64, 64)))
    assert not label.any()


def test_suppression_keeps_the_best_of_what_overlaps() -> None:
    boxes = np.float32([[0, 0, 10, 10], [1, 0, 11, 10], [30, 30, 40, 40], [0, 6, 10, 16]])
    assert suppress(boxes) == [0, 2, 3]


@pytest.mark.parametrize(("backbone", "modules"), [("mobilenet", True), ("mobilenet", False), ("resnet50", True)])
def test_the_graph_agrees_with_the_network(tmp_path: Path, backbone: Backbone, modules: bool) -> None:
    torch.manual_seed(1)
    network = Scored(stir(Network(NetworkConfig(backbone, hcc=modules, dan=modules)), 1)).eval()
    to_onnx(network, (128, 128), tmp_path / "nfd.onnx")
    found = parity(network, tmp_path / "nfd.onnx", pictures(1, (128, 128), torch.Generator().manual_seed(1)))
    assert found.difference <= MAX_DIFFERENCE
    assert found.undecided < 0.1
    assert 0.2 < found.kept < 0.8 or not modules


def test_a_frame_is_read_the_same_alone_and_among_others() -> None:
    torch.manual_seed(0)
    network = Scored(stir(Network(SMALL), 2)).eval()
    batch = pictures(3, (96, 64), torch.Generator().manual_seed(5))
    with torch.inference_mode():
        together, alone = network(batch), network(batch[1:2])
    for a, b in zip(together, alone, strict=True):
        assert torch.allclose(a[1], b[0], atol=1e-5)


def test_all_rows_start_from_the_same_weights() -> None:
    starts = []
    for row in ROWS:
        torch.manual_seed(4)
        starts.append(Network(NetworkConfig("mobilenet", hcc=row.hcc, dan=row.dan, channels=16)).state_dict())
    for state in starts[1:]:
        assert all(torch.equal(state[name], value) for name, value in starts[0].items())


def test_the_schedule_is_the_papers() -> None:
    schedule = Schedule()
    found = [schedule.lr(epoch) for epoch in (0, 2.5, 5, 9.9, 10, 14.9, 15, 19.9)]
    assert found == pytest.approx([1e-3, 5.5e-3, 1e-2, 1e-2, 1e-3, 1e-3, 1e-4, 1e-4])
    assert Schedule(epochs=4).lr(2) == pytest.approx(1e-3)


def made_up(count: int) -> list[Scene]:
    """Frames of 64 x 64 with one bright disc for a face."""
    rng, scenes = np.random.default_rng(7), []
    for _ in range(count):
        rgb = rng.integers(0, 90, (64, 64, 3), dtype=np.uint8)
        x, y, r = (float(v) for v in (*rng.uniform(18, 46, 2), rng.uniform(9, 16)))
        cv2.circle(rgb, (round(x), round(y)), round(r), (220, 190, 170), -1)
        points = np.float32([[-0.4, -0.3], [0.4, -0.3], [0, 0], [-0.3, 0.5], [0.3, 0.5]]) * r + np.float32([x, y])
        turn = np.linspace(0, 2 * np.pi, 24, endpoint=False)
        outline = np.stack([x + r * np.cos(turn), y + r * np.sin(turn)], axis=1).astype(np.float32)
        scenes.append(Scene(rgb, (FaceMark(outline, points),)))
    return scenes


def test_training_that_was_cut_off_ends_with_the_same_weights(tmp_path: Path) -> None:
    plan, scenes = Plan(SMALL, schedule=Schedule(epochs=3, batch=4), rotation=True, seed=5), made_up(10)
    whole = Training(plan, scenes).run().state_dict()
    Training(plan, scenes, tmp_path).run(until=1)
    resumed = Training(plan, scenes, tmp_path)
    assert resumed.epoch == 1
    again = resumed.run().state_dict()
    assert all(torch.equal(again[name], value) for name, value in whole.items())
    with pytest.raises(ValueError, match="of another plan"):
        Training(Plan(SMALL, seed=6), scenes, tmp_path)


def test_training_lowers_the_loss() -> None:
    training = Training(Plan(SMALL, schedule=pretraining(10)), made_up(32))
    training.run(until=1)
    first = training.last
    training.run()
    assert set(first) == {"first", "box", "landmarks", "second", "quality"}
    assert sum(training.last.values()) < 0.8 * sum(first.values())


def test_modules_are_added_to_weights_without_them() -> None:
    torch.manual_seed(1)
    bare = Network(NetworkConfig("mobilenet", hcc=False, dan=False, channels=16)).state_dict()
    started = Training(Plan(SMALL), made_up(1), start=bare).network.state_dict()
    assert all(torch.equal(started[name], value) for name, value in bare.items())
    with pytest.raises(ValueError, match="weights of another network: ssh"):
        Training(Plan(SMALL), made_up(1), start={k: v for k, v in bare.items() if not k.startswith("ssh")})


def test_augmentation_moves_faces_with_their_pixels() -> None:
    scene = made_up(1)[0]
    rng = np.random.default_rng(0)
    for rotation in (False, True):
        for _ in range(8):
            frame = augmented(scene, rng, rotation=rotation)
            for box, points in zip(frame.boxes, frame.landmarks.reshape(-1, 5, 2), strict=True):
                x, y = ((box[:2] + box[2:]) / 2).round().astype(int).clip(0, 63)
                assert frame.rgb[y, x].astype(int).sum() > np.median(frame.rgb.astype(int).sum(axis=2))
                assert rotation or (points[0, 0] < points[1, 0] and points[3, 0] < points[4, 0])


@pytest.fixture(scope="module")
def renders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two pictures in the layout of `synthesize images`."""
    folder = tmp_path_factory.mktemp("renders")
    rows = []
    for number in range(2):
        rgb = np.full((384, 384, 3), (90, 110, 130), np.uint8)
        cv2.circle(rgb, (192, 192), 60, (200, 180, 170), -1)
        cv2.imwrite(str(folder / f"{number:06d}.jpg"), rgb)
        cv2.imwrite(str(folder / f"{number:06d}.labels.png"), (rgb[..., 0] > 150).astype(np.uint8))
        points = [[166, 172], [218, 172], [192, 196], [172, 224], [212, 224]]
        corners = [[132, 192], [192, 123], [252, 192], [192, 261]]
        row = {"name": f"{number:06d}", "face_box": [132, 123, 252, 261], "face_outline": corners}
        rows.append(row | {"landmarks": points, "face_visible": 1.0, "roll_deg": 0.0})
    (folder / "truth.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return folder


def test_frames_are_the_same_for_the_same_seed(renders: Path) -> None:
    one, two = (draw(renders, 12, (160, 128), 3) for _ in range(2))
    assert all(np.array_equal(a.rgb, b.rgb) for a, b in zip(one, two, strict=True))
    assert {scene.rgb.shape for scene in one} == {(128, 160, 3)}
    sides = [face.size_px for scene in one for face in scene.faces]
    assert min(sides) >= 20
    assert max(sides) <= 128
    assert draw(renders, 1, (640, 640), 3)[0].rgb.shape == (640, 640, 3)


def ablate(renders: Path, out: Path) -> dict[str, object]:
    words = f"ablate-face --data {renders} --val {renders} --test {renders} --out {out} --seeds 2 --rows baseline both"
    words += " --size 64x64 --width 16 --images 16 --epochs 1 --judge 6 --pretrain-images 16 --pretrain-epochs 1"
    words += f" --json {out}.json --plot {out}.png"
    assert command.main(words.split()) == 0
    figures: dict[str, object] = json.loads(Path(f"{out}.json").read_text(encoding="utf-8"))
    return figures


def test_the_ablation_goes_on_where_it_was_cut_off(
    renders: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "ablation"
    whole = ablate(renders, out)
    assert "gain on baseline" in capsys.readouterr().out
    assert (tmp_path / "ablation.png").stat().st_size > 10_000
    for name in ("outcome.json", "checkpoint.pt"):
        (out / "both-2" / name).unlink()
    assert ablate(renders, out) == whole


def test_alpha_is_chosen_on_validation_and_the_spread_is_over_seeds() -> None:
    def reading(low: float, high: float) -> Reading:
        return Reading({"0.2": [low] * 4, "1": [high] * 4}, {"0.2": [low] * 101, "1": [high] * 101})

    outcomes = [Outcome(reading(0.9, 0.5), reading(0.6, 0.8)), Outcome(reading(0.7, 0.6), reading(0.8, 0.9))]
    row = line("dan", outcomes)
    assert (row.alpha, row.ap.tolist()) == ("0.2", [[0.6] * 4, [0.8] * 4])
    base = line("baseline", [Outcome(reading(0, 1), reading(0, 0.5))] * 2)
    text = list(table([base, row]))
    assert "70.0 ± 14.1" in text[2]
    assert "+20.0 ± 14.1" in text[4]
