"""Made windows hold the pulse that they tell, none where they tell none, and can be played at other rates."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import cv2
import numpy as np
import pytest

with warnings.catch_warnings():  # torch's own imports warn
    warnings.simplefilter("ignore")
    torch = pytest.importorskip("torch", reason="needs the extra `export`")
    from export import pulse_stream
    from export.evaluate_pulse import peak_bpm
    from export.pulse_losses import LENGTHS, cut, target_odds
    from export.pulse_story import followed, frame_times, heart
    from export.pulse_stream import FRAMES, FS_HZ, Faces, PulseWindows, Window, make_window, stretched

PLACES = np.array([[-0.5, 0.0], [0.5, 0.0], [0.0, 0.5], [-0.38, 0.95], [0.38, 0.95]])


@pytest.fixture(scope="module")
def renders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two drawn faces and a wall, in the layout of `synthesize images`."""
    folder = tmp_path_factory.mktemp("renders") / "drawn"
    folder.mkdir()
    rng, rows = np.random.default_rng(0), []
    for number in range(3):
        rgb = rng.integers(60, 200, (12, 12, 3)).astype(np.uint8)
        rgb = np.asarray(cv2.resize(rgb, (384, 384), interpolation=cv2.INTER_CUBIC), np.uint8)
        labels = np.zeros((384, 384), np.uint8)
        points = 40 * PLACES + (190, 170)
        if number < 2:
            cv2.ellipse(rgb, (190, 190), (70, 85), 0, 0, 360, (200, 150, 130), -1)
            cv2.ellipse(labels, (190, 190), (70, 85), 0, 0, 360, 1, -1)
        cv2.imwrite(str(folder / f"{number:06d}.png"), labels)
        cv2.imwrite(str(folder / f"{number:06d}.labels.png"), labels)
        cv2.imwrite(str(folder / f"{number:06d}.jpg"), rgb[..., ::-1])
        face = {"face_box": [120, 105, 260, 275], "landmarks": points.tolist(), "face_visible": 1.0}
        rows.append({"name": f"{number:06d}"} | (face if number < 2 else {"face_box": None}))
    (folder / "truth.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def windows(renders: Path, count: int) -> list[Window]:
    faces, rng = Faces(renders), np.random.default_rng(1)
    return [make_window(rng, faces) for _ in range(count)]


def test_windows_are_what_a_device_sees(renders: Path) -> None:
    made = windows(renders, 40)
    assert {w.patches.shape for w in made} == {(FRAMES, 16, 16, 3)}
    assert all(np.isfinite(w.patches).all() and w.patches.min() >= 0 and w.patches.max() <= 255 for w in made)
    assert {w.shown for w in made} == {"asleep", "awake", "crying", "infrared", "lifeless"}
    for window in made:
        if window.shown == "lifeless":
            assert not window.wave.any()
            assert not window.bpm.any()
        else:
            assert window.wave.std() > 0.05
            assert 72 <= window.bpm.min() <= window.bpm.max() <= 240


def test_the_pulse_is_in_the_colours(renders: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pulse_stream, "STRENGTH", (8.0, 8.0))  # far above all that hides it
    monkeypatch.setattr(pulse_stream, "LIFELESS", 0.0)
    made = [w for w in windows(renders, 16) if w.shown in ("asleep", "awake")]
    errors = [abs(peak_bpm(w.patches) - w.bpm.mean()) for w in made if w.bpm.mean() < 200]
    assert np.median(errors) < 3


def test_no_pulse_no_signal(renders: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pulse_stream, "LIFELESS", 1.0)
    drawn: list[int] = []
    monkeypatch.setattr(pulse_stream, "_pulse", lambda *_: drawn.append(1))
    windows(renders, 5)
    assert not drawn


def test_the_stream_is_the_same_for_the_same_seed(renders: Path) -> None:
    a, b = (next(iter(PulseWindows(renders, seed=3))) for _ in range(2))
    assert all(torch.equal(x, y) for x, y in zip(a, b, strict=True))
    assert a[0].shape == (FRAMES, 3, 16, 16)
    assert not torch.equal(a[0], next(iter(PulseWindows(renders, seed=4)))[0])


def test_a_stretched_window_has_another_rate() -> None:
    t_s = np.arange(FRAMES) / FS_HZ
    wave = np.sin(2 * np.pi * 2.0 * t_s).astype(np.float32)
    patches = np.broadcast_to(100 + wave[:, None, None, None], (FRAMES, 16, 16, 3)).astype(np.float32)
    fast = stretched(Window(patches, wave, np.full(FRAMES, 120, np.float32), "asleep"), 1.5)
    assert fast.bpm == pytest.approx(180)
    assert len(fast.wave) == len(fast.patches) == int((FRAMES - 1) / 1.5 + 1e-6) + 1
    wanted = np.sin(2 * np.pi * 3.0 * (np.arange(len(fast.wave)) - len(fast.wave) + 1) / FS_HZ + 4 * np.pi * t_s[-1])
    assert np.corrcoef(fast.wave, wanted)[0, 1] > 0.97
    assert np.allclose(fast.patches[:, 3, 4, 1], 100 + fast.wave, atol=1e-3)


def test_the_heart_stays_within_the_band_and_uses_all_of_it() -> None:
    rng, t_s = np.random.default_rng(5), np.arange(180) / 30
    rates = np.array([heart(rng, t_s)[0] for _ in range(300)])
    assert rates.min() >= 72
    assert rates.max() <= 240
    assert np.histogram(rates.mean(axis=1), 4, (72, 240))[0].min() > 45


def test_the_tracker_holds_a_still_head_steadier_than_its_detector() -> None:
    rng, t_s = np.random.default_rng(6), np.arange(180) / 30
    still = np.zeros((180, 4))
    spread = np.mean([followed(rng, t_s, still)[60:, 0].std() for _ in range(30)])
    assert spread < 0.012
    times = [frame_times(rng, 6.0) for _ in range(50)]
    assert all((np.diff(t) > 0).all() and t[-1] >= 6.0 for t in times)


def test_rates_are_told_as_odds_and_no_pulse_as_none() -> None:
    odds = target_odds(torch.tensor([150.0, 0.0]))
    assert int(odds[0].argmax()) == 150 - 72
    assert torch.allclose(odds[1], torch.full((169,), 1 / 169))
    for frames in LENGTHS:
        patches, bpm = cut((torch.arange(180.0).expand(2, 180), torch.zeros(2, 180)), frames)
        assert patches.shape == bpm.shape == (2 * (180 // frames), frames)
        assert (patches[0].diff() == 1).all()


def test_a_folder_without_faces_is_named(tmp_path: Path) -> None:
    (tmp_path / "truth.jsonl").write_text('{"name": "0", "face_box": null}\n')
    with pytest.raises(ValueError, match="no picture there shows a face"):
        Faces(tmp_path)
