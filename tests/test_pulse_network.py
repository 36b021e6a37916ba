"""The pulse network from torch to the device: the same numbers at every length, and a reading or none from patches."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import numpy as np
import pytest

from edgemon.errors import ModelError
from edgemon.inference import Model
from edgemon.observations.pulse_network import LONGEST, PulseNetwork, PulseReading, evenly, probabilities_of
from edgemon.rppg import GRID_BPM

with warnings.catch_warnings():  # torch's own imports warn
    warnings.simplefilter("ignore")
    torch = pytest.importorskip("torch", reason="needs the extra `export`")
    from export.__main__ import main
    from export.cost import multiplications
    from export.describe import NOTES, draft, finished, read_notes, write
    from export.evaluate_pulse import Reads, evaluate_pulse, of_clips, peak_bpm
    from export.onnx_export import calibrated, load_network, to_onnx
    from export.parity import check_difference, temperatures_in
    from export.pulse_losses import pulse_losses
    from export.pulse_net import PulseNet, Spectra
    from export.quantize import to_int8


def clip(frames: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(40, 200, (1, frames, 3, 16, 16)).astype(np.float32)


@pytest.fixture(scope="module")
def network() -> torch.nn.Module:
    torch.manual_seed(0)
    return calibrated(load_network("pulse", None), {"rate": 1.5})


@pytest.fixture(scope="module")
def onnx(network: torch.nn.Module) -> bytes:
    return to_onnx(network, "pulse")


def model_of(onnx: bytes) -> Model:
    return Model(draft("pulse", "fp32", onnx, version="0.1.0", thresholds={}, notes=read_notes(NOTES / "pulse.toml")))


@pytest.fixture(scope="module")
def device(onnx: bytes) -> PulseNetwork:
    return PulseNetwork(model_of(onnx))


def test_the_graph_gives_what_the_network_gives_at_every_length(network: torch.nn.Module, onnx: bytes) -> None:
    assert check_difference(network, model_of(onnx), (clip(frames) for frames in (60, 61, 133, 180))) < 1e-4
    assert temperatures_in(onnx) == {"rate": 1.5}
    assert len(onnx) < 1.5e6


def test_int8_takes_every_length_too(onnx: bytes) -> None:
    int8 = model_of(to_int8(onnx, "pulse", (clip(frames, frames) for frames in (60, 120))))
    for frames in (60, 180):
        wave, rate = int8(clip(frames))
        assert (wave.shape, rate.shape) == ((1, frames), (1, 169))


@pytest.mark.parametrize("seed", range(20))
def test_a_network_without_a_doubt_is_of_quality_one_at_most(seed: int) -> None:
    rng = np.random.default_rng(seed)
    logits = -3 * (GRID_BPM - rng.uniform(100, 200)) ** 2 + rng.normal(0, 0.1, len(GRID_BPM))
    assert 0.999 < PulseReading(probabilities_of(logits), np.zeros(60)).quality <= 1.0


def test_spectra_peak_at_the_rate_and_tell_its_half_and_double() -> None:
    t_s = torch.arange(120) / 30
    wave = torch.sin(2 * torch.pi * 2.5 * t_s)[None, None]
    found = Spectra()(wave).reshape(2, 3, len(GRID_BPM)).argmax(dim=2) + GRID_BPM[0]
    assert found[:, 0].tolist() == pytest.approx([150, 150], abs=3)
    assert found[1, 2].item() == pytest.approx(75, abs=3)  # whose double it is
    assert found[1, 1].item() > 220  # whose half, up to 120, is nearest


def test_the_loss_falls_to_both_tasks(network: torch.nn.Module) -> None:
    torch.manual_seed(3)
    fresh = PulseNet()
    wave = torch.sin(torch.arange(180) / 2).expand(2, 180)
    bpm = torch.tensor([143.0, 0.0])[:, None].expand(2, 180)
    terms = pulse_losses(fresh, (torch.rand(2, 180, 3, 16, 16) * 99, wave, bpm))
    torch.autograd.backward(sum(terms.values(), torch.zeros(())))
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in fresh.parameters())


def test_a_pi_can_run_it_every_second() -> None:
    assert multiplications(PulseNet().eval(), torch.zeros(1, 180, 3, 16, 16)) < 100e6


def test_two_to_six_seconds_give_a_reading(device: PulseNetwork) -> None:
    for seconds in (2.1, 4.0, 9.0):
        t_s = 7.0 + np.arange(round(seconds * 30)) / 30
        reading = device.read(t_s, clip(len(t_s))[0].transpose(0, 2, 3, 1))
        assert reading is not None
        assert reading.probabilities.sum() == pytest.approx(1)
        assert len(reading.wave) == min(len(t_s), LONGEST)
        assert 72 <= reading.bpm <= 240
        assert 0 <= reading.quality <= 1


def test_too_little_gives_none(device: PulseNetwork) -> None:
    t_s = np.arange(90) / 30
    patches = clip(90)[0].transpose(0, 2, 3, 1)
    assert device.read(t_s[:0], patches[:0]) is None
    assert device.read(t_s[:50], patches[:50]) is None
    assert device.read(np.where(t_s > 1.5, t_s + 1.0, t_s), patches) is None
    lost = patches.copy()
    lost[40:60] = np.nan
    assert device.read(t_s, lost) is None
    lost = patches.copy()
    lost[50:53] = np.nan
    assert device.read(t_s, lost) is not None


def test_patches_come_to_30_a_second_in_their_order() -> None:
    t_s = np.arange(50) / 15
    patches = np.broadcast_to(t_s[:, None, None, None], (50, 16, 16, 3)).astype(np.float32)
    even = evenly(t_s, patches)
    assert len(even) == 99
    assert np.allclose(np.diff(even[:, 5, 5, 1]), 1 / 30, atol=1e-5)
    assert even[-1, 0, 0, 0] == pytest.approx(t_s[-1])


def test_the_reading_is_the_median_and_its_quality_what_lies_near() -> None:
    odds = np.where(np.abs(GRID_BPM - 212) <= 1, 0.3, 0.0)
    odds[0] = 0.1
    reading = PulseReading(odds, np.zeros(120))
    assert reading.bpm == pytest.approx(212, abs=0.5)
    assert reading.quality == pytest.approx(0.9)
    assert reading.seconds == 4
    flat = probabilities_of(np.zeros(169))
    assert PulseReading(flat, np.zeros(60)).quality == pytest.approx(11 / 169, abs=0.01)


def test_another_tasks_model_is_refused() -> None:
    onnx = to_onnx(load_network("face", None), "face")
    face = Model(draft("face", "fp32", onnx, version="0.1.0", thresholds={}, notes=read_notes(NOTES / "face.toml")))
    with pytest.raises(ModelError, match="not a pulse model"):
        PulseNetwork(face)


def test_figures_judge_newborn_rates_in_colour() -> None:
    truth = np.array([100.0, 150, 230, 0, 150])
    found = np.array([103.0, 170, 72, 130, 72])
    shown = np.array(["asleep", "awake", "awake", "lifeless", "infrared"])
    reads = Reads(truth, found, np.array([0.9, 0.85, 0.2, 0.9, 0.1]), truth, shown)
    told = {(name, condition): value for name, condition, value in reads.figures()}
    assert told["MAE bpm", "in colour"] == pytest.approx(11.5)
    assert told["MAE bpm", "infrared"] == pytest.approx(78)
    assert told["MAE bpm", "POS and FFT"] == 0
    assert told["within 5 bpm", "in colour"] == 0.5
    assert told["beyond 10 bpm", "quality 0.8"] == 0.5
    assert told["quality 0.8 told", "no pulse to see"] == 1


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    """A clip at 150 bpm and one of a doll, in the layout of `synthesize pulses`."""
    folder = tmp_path / "clips"
    folder.mkdir()
    t_s = np.arange(300) / 30
    rows = []
    for name, alive in (("000", True), ("001", False)):
        beat = 0.5 * alive * np.sin(2 * np.pi * 2.5 * t_s)[:, None] * np.array([0.3, 0.8, 0.5])
        patches = np.broadcast_to((120 + beat)[:, None, None], (300, 16, 16, 3)).astype(np.float32)
        bpm = np.full(300, 150.0 if alive else np.nan)
        np.savez(folder / f"{name}.npz", t_s=t_s, patches=patches, bpm=bpm)
        rows.append({"name": name, "pulse": alive, "motion": "asleep"})
    (folder / "truth.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def test_clips_are_judged_at_every_second(clips: Path, device: PulseNetwork) -> None:
    windows = list(of_clips(clips))
    assert [w.shown for w in windows] == ["asleep"] * 3 + ["lifeless"] * 3
    assert windows[0].patches.shape == (180, 16, 16, 3)
    assert peak_bpm(windows[0].patches) == pytest.approx(150, abs=1)
    report = evaluate_pulse(device, clips)
    assert list(report.reads) == [2, 4, 6]
    assert report.reads[6].errors(classical=True) == pytest.approx([0, 0, 0], abs=1)
    assert len(report.reads[2].false) == 3
    assert all(metric.data == "clips clips (6 windows)" for metric in report.metrics())


def test_the_command_prints_the_figures(
    clips: Path, onnx: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = draft("pulse", "fp32", onnx, version="0.1.0", thresholds={}, notes=read_notes(NOTES / "pulse.toml"))
    report = evaluate_pulse(PulseNetwork(Model(made)), clips)
    write(finished(made, report.metrics()), tmp_path)
    assert main(["evaluate", "pulse", "--models", str(tmp_path), "--data", str(clips)]) == 0
    assert capsys.readouterr().out.splitlines() == list(report.lines())
    (clips / "truth.jsonl").write_text('{"name": "nothing"}\n')
    assert main(["evaluate", "pulse", "--models", str(tmp_path), "--data", str(clips)]) == 2
    assert "truth.jsonl:1: no clip of" in capsys.readouterr().err
