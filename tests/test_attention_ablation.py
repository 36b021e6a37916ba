"""Crops that are decoded once, the attention ablation on made-up renders, and the latency benchmark."""

from __future__ import annotations

import json
import math
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from conftest import ROOT
from tqdm import tqdm

from edgemon.inference import aligned_crop

sys.path.insert(0, str(ROOT))
with warnings.catch_warnings():  # torch's own imports warn
    warnings.simplefilter("ignore")
    torch = pytest.importorskip("torch", reason="needs the extra `export`")
    from benchmarks import expression as benchmark
    from export import __main__ as command
    from export.attention_ablation import Cost, Line, table
    from export.attention_runs import VARIANTS, Plan, build, judged, read, settled
    from export.babyehanet import TARGETS, BabyEHANet
    from export.cost import multiplications
    from export.crops import Crops, still
    from export.datasets import Renders
    from export.expression_data import ExpressionCrops
    from export.pain.ncnn import NCNN

FACES, SIDE_PX = 8, 320


@pytest.fixture(autouse=True)
def one_thread(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    threads = torch.get_num_threads()
    monkeypatch.setattr(tqdm, "monitor_interval", 0)  # its thread outlives the bar
    yield
    torch.set_num_threads(threads)


def row(number: int) -> dict[str, Any]:
    """A face at a roll of its own; every second cries with closed eyes."""
    roll, crying = 35.0 * number - 120, number % 2 == 1
    c, s = math.cos(math.radians(roll)), math.sin(math.radians(roll))
    flat = np.array([[-26, -20], [26, -20], [0, 4], [-20, 32], [20, 32]], float)
    told = {"name": f"{number:06d}", "identity": number, "expression": "crying" if crying else "calm"}
    place = {"face_box": [90, 80, 220, 240], "landmarks": (flat @ np.array([[c, s], [-s, c]]) + [155, 160]).tolist()}
    return told | place | {"eye_openness": [0.0 if crying else 0.9] * 2, "eyes_visible": 1.0, "mouth_visible": 1.0}


@pytest.fixture
def renders(tmp_path: Path) -> Path:
    folder = tmp_path / "drawn"
    folder.mkdir()
    rng = np.random.default_rng(3)
    for number in range(FACES + 1):
        coarse = rng.integers(0, 255, (20, 20, 3)).astype(np.uint8)
        cv2.imwrite(str(folder / f"{number:06d}.jpg"), cv2.resize(coarse, (SIDE_PX, SIDE_PX)))
    rows = [row(number) for number in range(FACES)]
    none = row(FACES) | {"face_box": None, "landmarks": None}
    write_truth(folder, [rows[0], none, *rows[1:]])
    return folder


def write_truth(folder: Path, rows: list[dict[str, Any]]) -> None:
    (folder / "truth.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def test_a_kept_crop_is_the_crop_of_the_picture(renders: Path) -> None:
    crops, pictures = Crops(renders), Renders(renders)
    assert len(crops) == FACES
    for index, number in enumerate(i for i, row in enumerate(pictures.rows) if row["face_box"]):
        told = pictures.rows[number]
        points = np.array(told["landmarks"], np.float32)
        ours = still(crops, index).astype(int)
        assert np.abs(ours - aligned_crop(pictures.rgb(number), tuple(told["face_box"]), points, 112)).mean() < 1


def test_crops_are_kept_until_truth_or_pictures_change(renders: Path) -> None:
    Crops(renders)
    kept = renders / "crops_160.npy"
    before = kept.stat().st_mtime_ns
    assert len(Crops(renders)) == FACES
    assert kept.stat().st_mtime_ns == before
    cv2.imwrite(str(renders / "000002.jpg"), np.full((SIDE_PX, SIDE_PX, 3), 77, np.uint8))
    assert np.median(still(Crops(renders), 2)) == 77
    write_truth(renders, [row(number) for number in range(3)])
    assert len(Crops(renders)) == 3
    assert np.load(kept, mmap_mode="r").shape == (3, 160, 160, 3)
    assert {path.name for path in renders.glob("crops*")} == {"crops_160.npy", "crops_160.json"}


def test_a_folder_without_faces_is_refused(renders: Path) -> None:
    write_truth(renders, [row(0) | {"face_box": None}])
    with pytest.raises(ValueError, match="no picture has a face"):
        Crops(renders)
    write_truth(renders, [row(50)])
    with pytest.raises(ValueError, match=r"000050\.jpg: missing"):
        Crops(renders)


def test_the_seed_decides_the_crops_that_are_learnt_from(renders: Path) -> None:
    one, two, other = (next(iter(ExpressionCrops((renders,), None, 112, seed)))[0] for seed in (1, 1, 2))
    assert torch.equal(one, two)
    assert not torch.equal(one, other)


@pytest.mark.parametrize("network", VARIANTS)
def test_variants_of_a_seed_start_from_equal_weights(network: str) -> None:
    plain = Plan(VARIANTS[network]["none"], 1, 5).network().state_dict()
    for config in VARIANTS[network].values():
        state = Plan(config, 1, 5).network().state_dict()
        shared = plain.keys() & state.keys()
        assert len(shared) > 0.6 * len(plain)
        assert all(torch.equal(plain[name], state[name]) for name in shared)


def test_runs_start_from_what_was_trained_without_attention() -> None:
    start = {name: value + 1 for name, value in Plan(VARIANTS["light"]["none"], 1, 0).network().state_dict().items()}
    state = Plan(VARIANTS["light"]["both"], 1, 5).network(start).state_dict()
    assert all(torch.equal(state[name], value) for name, value in start.items())


def test_statistics_are_those_of_the_batches() -> None:
    network = BabyEHANet()
    batch = 127.5 + 127.5 * torch.rand(4, 3, 112, 112)
    settled(network, iter([(batch,), (batch,)]))
    seen = network.features[0]((batch - 127.5) / 127.5)
    assert torch.allclose(network.features[1].running_mean, seen.mean(dim=(0, 2, 3)), atol=1e-4)
    assert not network.training


def test_a_network_that_knows_is_read_as_one(renders: Path) -> None:
    sets = judged(Crops(renders), FACES)
    assert [faces.crops.shape for faces in sets.values()] == [(FACES, 112, 112, 3)] * 2

    class Oracle(torch.nn.Module):
        def forward(self, x: Any) -> Any:
            return torch.from_numpy(sets["still"].told)[: len(x)]

    assert read(Oracle(), sets["still"], 112) == {"eyes_closed": 1.0, "crying": 1.0}  # nobody yawns


def ablation(renders: Path, out: Path, *more: str) -> int:
    words = f"ablate-attention --data {renders} --test {renders} --out {out} --seeds 2 --rows none both-residual"
    words += f" --steps 2 --pretrain 2 --batch 2 --judge 8 --workers 0 --json {out}.json --plot {out}.png"
    return command.main([*words.split(), *more])


def test_the_ablation_goes_on_where_it_was_cut_off(
    renders: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "ablation"
    assert ablation(renders, out) == 0
    first = json.loads(Path(f"{out}.json").read_text(encoding="utf-8"))
    assert "gain on none" in capsys.readouterr().out
    assert Path(f"{out}.png").stat().st_size > 5_000
    kept = out / "light" / "none-1.json"
    written = kept.stat().st_mtime_ns
    assert (out / "light" / "pretrained.pt").is_file()
    (out / "light" / "both-residual-2.json").unlink()
    assert ablation(renders, out) == 0
    again = json.loads(Path(f"{out}.json").read_text(encoding="utf-8"))
    assert kept.stat().st_mtime_ns == written
    assert all(first["rows"][name]["seeds"] == again["rows"][name]["seeds"] for name in ("none", "both-residual"))
    assert ablation(renders, out, "--steps", "3") == 2
    assert "of another setting" in capsys.readouterr().err


def test_minutes_become_steps(renders: Path, tmp_path: Path) -> None:
    words = f"ablate-attention --data {renders} --test {renders} --out {tmp_path / 'out'} --seeds 1 --rows none"
    assert (
        command.main([*words.split(), "--minutes-per-run", "0.001", "--batch", "1", "--judge", "8", "--pretrain", "0"])
        == 0
    )
    setting = json.loads((tmp_path / "out/light/setting.json").read_text(encoding="utf-8"))
    assert setting["steps"] == 20


def test_rows_that_the_network_lacks_are_refused(
    renders: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = f"ablate-attention --data {renders} --test {renders} --out {tmp_path / 'out'} --rows no-squeeze"
    assert command.main(words.split()) == 2
    assert "the light network has none of no-squeeze" in capsys.readouterr().err


def test_the_spread_is_over_seeds_and_the_gain_seed_by_seed() -> None:
    cost = Cost(1_000, 1.0, 0.1)
    plain = Line("none", np.array([[0.7, 0.8, 0.8, 0.5], [0.9, 0.8, 0.8, 0.5]]), cost)
    better = Line("both", plain.auc + np.array([[0.01], [0.03]]), cost)
    text = list(table([plain, better]))
    assert "80.00 ± 14.14" in text[1]
    assert "1,000" in text[1]
    assert text[4].split()[:4] == ["both", "+2.00", "±", "1.41"]


def test_the_benchmarks_networks_are_the_published_ones() -> None:
    network = benchmark.MobileNetV2(classes=1000).eval()
    assert sum(weight.numel() for weight in network.parameters()) == 3_504_872  # torchvision's
    assert round(multiplications(network, torch.zeros(1, 3, 224, 224)) / 1e6, 1) == 300.8
    assert sum(weight.numel() for weight in NCNN().parameters()) == 72_593


def test_the_benchmark_times_what_is_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(benchmark, "PEERS", {name: benchmark.PEERS[name] for name in ("MobileNetV2-1.0", "N-CNN")})
    if not (ROOT / "models/expression.toml").is_file():
        pytest.skip("no released models in this tree")
    path = tmp_path / "told.json"
    assert benchmark.main(["--models", str(ROOT / "models"), "--rounds", "1", "--json", str(path)]) == 0
    rows = json.loads(path.read_text(encoding="utf-8"))["rows"]
    assert [row["name"] for row in rows][:2] == ["edgemon fp32", "edgemon int8"]
    assert {row["size_px"] for row in rows} == {112, 120}
    assert rows[0]["ratio"] == 1
    capsys.readouterr()
    assert benchmark.main(["--models", str(tmp_path), "--rounds", "1"]) == 0
    captured = capsys.readouterr()
    assert "edgemon fp32 is left out" in captured.err
    assert "MobileNetV2-1.0" in captured.out


def test_every_variant_answers_every_target() -> None:
    for config in (config for variants in VARIANTS.values() for config in variants.values()):
        with torch.inference_mode():
            assert build(config).eval()(torch.zeros(1, 3, config.size_px, config.size_px)).shape == (1, len(TARGETS))
