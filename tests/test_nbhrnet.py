"""NBHRnet has the published size and shapes, learns by its three stages, and takes them up where it was cut off."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tqdm import tqdm

from export.__main__ import main
from export.datasets.nbhr_pulse import NbhrSample, read_sample, sample_files
from export.nbhr_training import RECIPES, Recipe, Stage, Training, rate_loss, scaled, wave_loss
from export.nbhrnet import HRExtractor, NBHRConfig, NBHRnet, PPGExtractor, count, told_bpm
from export.pulse_losses import pearson

FRAMES, SIDE = 12, 32
SMALL = NBHRConfig(frames=FRAMES, size_px=SIDE)
QUICK = Recipe(Stage(1e-3, 2, 2, 0.3, 1), Stage(1e-3, 4, 2, 0.3, 1), Stage(1e-3, 2, 1, 0.3, 1), SMALL)


@pytest.fixture(autouse=True)
def one_thread(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(tqdm, "monitor_interval", 0)  # its thread outlives the bar
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def write(path: Path, seed: int, **changed: object) -> Path:
    rng = np.random.default_rng(seed)
    hz = float(rng.uniform(1.5, 3.5))
    pulse = np.sin(2 * np.pi * hz * np.arange(2 * FRAMES) / 60)
    video = 120 + rng.normal(0, 1, (FRAMES, SIDE, SIDE, 3)) + 2 * pulse[::2, None, None, None]
    parts = {"video": video.astype(np.float32), "PPG": pulse, "HR": hz, **changed}
    np.savez(path, **{name: part for name, part in parts.items() if part is not None})
    return path


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("nbhr")
    for seed in range(4):
        write(folder / f"{seed}.npz", seed)
    return folder


def test_the_network_has_the_published_size() -> None:
    whole = NBHRnet()
    assert count(whole) == 2_744_886
    assert sum(p.numel() for p in whole.parameters() if p.requires_grad) == 2_742_628
    assert (count(whole.ppg), count(whole.hr)) == (2_713_385, 31_497)
    assert count(NBHRnet(NBHRConfig(prelu="channel"))) == 1_586_982


def test_the_published_input_gives_a_wave_and_a_rate() -> None:
    network = NBHRnet(NBHRConfig(frames=5)).eval()
    with torch.inference_mode():
        wave, told = network(torch.randn(1, 5, 3, 128, 128))
    assert wave.shape == (1, 5)
    assert told.shape == (1,)
    assert float(wave.min()) >= 0
    assert float(told) >= 0


def test_rates_are_told_in_hz_above_72_bpm_or_as_odds() -> None:
    assert told_bpm(torch.tensor([0.0, 0.8])).tolist() == pytest.approx([72, 120], abs=1e-3)
    logits = torch.full((1, 169), -50.0)
    logits[0, 212 - 72] = 50
    assert float(told_bpm(logits)[0]) == pytest.approx(212, abs=1e-3)
    assert HRExtractor(replace(SMALL, rate="odds"))(torch.rand(3, FRAMES)).shape == (3, 169)


def test_the_correlation_is_each_windows_own() -> None:
    a = torch.sin(torch.arange(50) / 3)
    found, wave = torch.stack([a, a]), torch.stack([5 + 2 * a, -a])
    assert pearson(found, wave).tolist() == pytest.approx([1, -1], abs=1e-4)
    alone = [wave_loss(found[i : i + 1], wave[i : i + 1]).item() for i in range(2)]
    assert wave_loss(found, wave).item() == pytest.approx(sum(alone) / 2, rel=1e-5)


def test_the_rates_loss_is_zero_only_at_the_rate() -> None:
    head = HRExtractor(SMALL)
    told, wrong, hr_hz = torch.tensor([0.8]), torch.tensor([0.9]), torch.tensor([2.0])
    with torch.inference_mode():
        decay = rate_loss(told, hr_hz, head).item()
        assert decay == pytest.approx(1e-3 * head.dense.weight.square().sum().item(), rel=1e-4)
        assert rate_loss(wrong, hr_hz, head).item() > decay


def test_the_seeds_schedules() -> None:
    r = RECIPES["seed"]
    told = [(s.lr, s.batch, s.epochs, s.factor, s.every) for s in (r.wave, r.rate, r.both)]
    assert told == [(2e-4, 16, 60, 0.3, 30), (5e-4, 64, 60, 0.2, 20), (1e-4, 12, 50, 0.2, 30)]
    assert r.rate.lr_at(19) == 5e-4
    assert r.rate.lr_at(40) == pytest.approx(5e-4 * 0.04)
    assert scaled(r, 6).wave == Stage(2e-4, 16, 6, 0.3, 3)


class CutOffError(Exception):
    """The power fails."""


def test_a_run_cut_off_goes_on_where_it_was(samples: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept: list[tuple[str, int]] = []
    save = Training._save

    def fails_at_the_third(self: Training, name: str, *args: object) -> None:
        if len(kept) == 3:
            kept.append(("cut", 0))
            raise CutOffError
        save(self, name, *args)  # type: ignore[arg-type]
        kept.append((name, int(args[-1])))  # type: ignore[call-overload]

    monkeypatch.setattr(Training, "_save", fails_at_the_third)
    with pytest.raises(CutOffError):
        Training(QUICK, sample_files(samples), tmp_path).run()
    network = Training(QUICK, sample_files(samples), tmp_path).run()
    assert kept == [("wave", 1), ("wave", 2), ("rate", 1), ("cut", 0), ("rate", 2), ("both", 1)]
    again = Training(QUICK, sample_files(samples), tmp_path).run().state_dict()
    assert all(torch.equal(a, b) for a, b in zip(network.state_dict().values(), again.values(), strict=True))
    with pytest.raises(ValueError, match="another recipe"):
        Training(replace(QUICK, slowest=0.8), sample_files(samples), tmp_path).run()


def test_the_rate_is_learnt_from_the_contact_pulse(samples: Path, tmp_path: Path) -> None:
    training = Training(replace(QUICK, rate=Stage(2e-3, 4, 25, 1.0, 25)), sample_files(samples), tmp_path)
    first = replace(training.recipe.rate, epochs=1)
    from export.nbhr_training import _rate_terms

    training._stage("first", HRExtractor(SMALL), first, _rate_terms)
    before = training.last["first: rate"]
    training._stage("rate", HRExtractor(SMALL), training.recipe.rate, _rate_terms)
    assert training.last["rate: rate"] < before


def test_the_command_trains_and_measures(
    samples: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(RECIPES, "seed", QUICK)  # type: ignore[arg-type]
    assert (
        main(["nbhr-train", "--data", str(samples), "--val", str(samples), "--out", str(tmp_path), "--epochs", "1"])
        == 0
    )
    assert "bpm mean absolute error on 4 samples" in capsys.readouterr().out
    network = NBHRnet(SMALL)
    network.load_state_dict(torch.load(tmp_path / "weights.pt", weights_only=True))


def test_labels_are_made_as_published(tmp_path: Path) -> None:
    sample = read_sample(write(tmp_path / "a.npz", 5))
    assert sample.video.mean(axis=(0, 1, 2)) == pytest.approx([0, 0, 0], abs=1e-3)
    assert sample.video.std(axis=(0, 1, 2)) == pytest.approx([1, 1, 1], abs=1e-3)
    assert sample.wave.shape == sample.contact.shape == (FRAMES,)
    assert (sample.wave.min(), sample.wave.max()) == (0, 1)
    assert np.corrcoef(sample.wave, sample.ppg[::2])[0, 1] > 0.8


def test_a_slowed_sample_has_a_slower_rate() -> None:
    t_s = np.arange(240) / 60
    ppg = np.sin(2 * np.pi * 3.0 * t_s).astype(np.float32)
    sample = NbhrSample(ppg[::2, None, None, None] * np.ones((1, 2, 2, 3), np.float32), ppg, 3.0).slowed(0.5)
    assert sample.hr_hz == 1.5
    for wave, fs in ((sample.ppg, 60), (sample.video[:, 0, 0, 0], 30)):
        power = np.abs(np.fft.rfft(wave * np.hanning(len(wave)), 6000))
        assert np.argmax(power) * fs / 6000 == pytest.approx(1.5, abs=0.05)


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"PPG": None}, "PPG: missing"),
        ({"PPG": np.zeros(7)}, "two numbers a frame"),
        ({"HR": 120.0}, "HR: must be one rate in Hz"),
        ({"video": np.zeros((FRAMES, 4, 5, 3))}, "video: must be"),
        ({"video": np.full((FRAMES, SIDE, SIDE, 3), np.nan)}, "not finite"),
    ],
)
def test_a_spoilt_sample_is_named(tmp_path: Path, changed: dict[str, object], told: str) -> None:
    with pytest.raises(ValueError, match=f"a.npz: .*{told}"):
        read_sample(write(tmp_path / "a.npz", 1, **changed))


def test_what_is_no_sample_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="holds no npz"):
        sample_files(tmp_path)
    (tmp_path / "b.npz").write_bytes(b"PK no zip")
    with pytest.raises(ValueError, match="cannot be read"):
        read_sample(tmp_path / "b.npz")


def test_elementwise_slopes_are_free_everywhere() -> None:
    network = PPGExtractor(SMALL)
    wave = network(torch.randn(1, FRAMES, 3, SIDE, SIDE))
    wave.sum().backward()
    slopes = [p for name, p in network.named_parameters() if name.endswith("slope")]
    assert len(slopes) == 6 + 2 * 7
    assert slopes[0].shape == (32, SIDE, SIDE)
    assert slopes[0].grad is not None
