"""Recordings of heart rate: every layout is read as it is meant, and what is malformed is named by file and line."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tqdm import tqdm

from export.heart_rate.layouts import open_any
from export.heart_rate.made import MADE, crying, every, made
from export.heart_rate.traces import Recording, steps_at

ROOT = Path(__file__).resolve().parent.parent


def _write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def _rhesus(folder: Path, session: str, parts: tuple[str, ...], samples: int, reference: str) -> None:
    place = folder / f"Session{session}"
    place.mkdir(parents=True)
    for number, part in enumerate(parts):
        np.full((samples, 3), [10 + number, 20, 30], "<f4").tofile(place / f"{part}.bin")
    (place / f"Session{session}_REF.csv").write_text(reference)


def test_rhesus_sessions_have_their_regions_rates_and_segments(tmp_path: Path) -> None:
    _rhesus(tmp_path, "1", ("Session1", "Session1Region1", "Session1Region4"), 600, "100,120")
    _rhesus(tmp_path, "7", ("Session7",), 600, "180,200,190")
    _rhesus(tmp_path, "9IR", ("Session9IR",), 600, "150,150")
    first, seventh, infrared = open_any(tmp_path)
    assert (first.rgb.shape, first.fs_hz) == ((600, 2, 3), pytest.approx(30))
    assert first.bpm is not None
    assert [first.bpm[int(8.4 * 30)], first.bpm[int(8.6 * 30)]] == [100, 120]
    assert np.isnan(first.bpm[int(17.5 * 30)])
    assert np.isfinite(first.bpm[: 17 * 30]).all()
    assert (seventh.fs_hz, seventh.mean_bpm(10.0, 10.0)) == (pytest.approx(50), pytest.approx(190, abs=0.1))
    assert (infrared.data, infrared.fs_hz, seventh.data) == ("rhesus IR", pytest.approx(100), "rhesus RGB")


@pytest.mark.parametrize(
    ("session", "reference", "told"),
    [("1", "100\n120,x", r"Session1_REF.csv:2: 'x' is no number"), ("12", "100", r"Session12: no session of this set")],
)
def test_malformed_rhesus_sessions_are_named(tmp_path: Path, session: str, reference: str, told: str) -> None:
    _rhesus(tmp_path, session, (f"Session{session}",), 60, reference)
    with pytest.raises(ValueError, match=told):
        list(open_any(tmp_path))


def test_half_rows_of_a_rhesus_session_are_named(tmp_path: Path) -> None:
    _rhesus(tmp_path, "1", ("Session1",), 60, "100")
    np.zeros(7, "<f4").tofile(tmp_path / "Session1/Session1.bin")
    with pytest.raises(ValueError, match=r"Session1\.bin: 7 float32"):
        list(open_any(tmp_path))


def test_a_finger_has_true_times_and_the_rate_of_its_beats(tmp_path: Path) -> None:
    rows = "\n".join(f"{round(40.3 * n)},200,10.5,0.1" for n in range(100))
    _write(tmp_path / "data/subject_01/PPG.csv", f"time,R,G,B\n{rows}\n")
    _write(tmp_path / "data/subject_01/RR.txt", "1000 500 1000")
    (recording,) = open_any(tmp_path)
    assert recording.t_s[2] == pytest.approx(0.081)
    assert recording.bpm is not None
    places = [np.searchsorted(recording.t_s, s) for s in (0.5, 1.2, 2.0, 3.0)]
    assert recording.bpm[places] == pytest.approx([60, 120, 60, np.nan], nan_ok=True)
    _write(tmp_path / "data/subject_01/PPG.csv", f"time,R,G,B\n{rows}\n4100,1,2\n")
    with pytest.raises(ValueError, match=r"PPG\.csv:102: 3 cells, not 4"):
        list(open_any(tmp_path))


def _trace(folder: Path, reference: str, header: str = "t_s,r,g,b") -> Path:
    cells = ",100" * header.count(",")
    _write(folder / "a.csv", header + "\n" + "\n".join(f"{n / 20:.3f}{cells}" for n in range(60)) + "\n")
    return _write(folder / "a.reference.csv", reference)


def test_a_trace_takes_its_rate_from_the_reference_beside_it(tmp_path: Path) -> None:
    _trace(tmp_path, "t_s,bpm\n0,100\n1,110\n2,\n")
    (recording,) = open_any(tmp_path)
    assert recording.bpm is not None
    assert recording.bpm[[0, 10, 20]] == pytest.approx([100, 105, 110])
    assert np.isnan(recording.bpm[30])
    _trace(tmp_path, "t_s,bpm\n", header="t_s,r0,g0,b0,r1,g1,b1")
    (silent,) = open_any(tmp_path)
    assert (silent.rgb.shape, silent.bpm) == ((60, 2, 3), None)


@pytest.mark.parametrize(
    ("reference", "told"),
    [
        ("t,bpm\n0,100\n", r"a\.reference\.csv:1: the header must be t_s,bpm"),
        ("t_s,bpm\n0,100\n0,100\n", r"a\.reference\.csv:3: times must be given and rise"),
        ("t_s,bpm\n0,100\n1,fast\n", r"a\.reference\.csv:3: 'fast' is no number"),
        ("t_s,bpm\n0,inf\n", r"a\.reference\.csv:2: 'inf' is not finite"),
    ],
)
def test_a_malformed_reference_is_named_by_its_line(tmp_path: Path, reference: str, told: str) -> None:
    _trace(tmp_path, reference)
    with pytest.raises(ValueError, match=told):
        list(open_any(tmp_path))


def test_a_trace_without_reference_or_with_other_columns_is_refused(tmp_path: Path) -> None:
    _trace(tmp_path, "t_s,bpm\n").unlink()
    with pytest.raises(ValueError, match=r"a\.reference\.csv: no such file"):
        list(open_any(tmp_path))
    _trace(tmp_path, "t_s,bpm\n", header="t_s,r,g,x")
    with pytest.raises(ValueError, match=r"a\.csv:1: the header must be t_s,r,g,b"):
        list(open_any(tmp_path))


def test_an_unknown_folder_is_refused(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "none"):
        with pytest.raises(ValueError, match=str(folder)):
            list(open_any(folder))


def test_compressed_crops_are_one_region_without_a_pulse(tmp_path: Path) -> None:
    (tmp_path / "Ground_Truth").mkdir()
    (tmp_path / "India").mkdir()
    out = cv2.VideoWriter(str(tmp_path / "India/video1_forehead.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 15, (64, 64))
    for _ in range(30):
        out.write(np.full((64, 64, 3), (40, 80, 160), np.uint8))
    out.release()
    (recording,) = open_any(tmp_path)
    assert (recording.rgb.shape, recording.bpm, recording.group) == ((30, 1, 3), None, "India/video1")
    assert recording.rgb[0, 0] == pytest.approx([160, 80, 40], abs=4)
    assert recording.fs_hz == pytest.approx(15)


def test_a_video_is_read_as_the_daemon_reads_it(tmp_path: Path) -> None:
    source = cv2.VideoCapture(str(ROOT / "edgemon/frames/data/demo.mp4"))
    fps = source.get(cv2.CAP_PROP_FPS)
    frames = [source.read()[1] for _ in range(45)]
    source.release()
    height, width = frames[0].shape[:2]
    out = cv2.VideoWriter(str(tmp_path / "v.mp4"), cv2.VideoWriter.fourcc(*"mp4v"), fps, (width, height))
    for frame in frames:
        out.write(frame)
    out.release()
    _write(tmp_path / "v.reference.csv", "t_s,bpm\n0,120\n1,122\n")
    (recording,) = open_any(tmp_path, ROOT / "models")
    seen = np.isfinite(recording.rgb).all(axis=(1, 2))
    assert recording.rgb.shape == (45, 3, 3)
    assert not seen[0]  # no face before the first look
    assert seen[30:].all()
    assert recording.patches is not None
    assert recording.patches[seen].mean() == pytest.approx(np.nanmean(recording.rgb), rel=0.4)
    assert len(recording.samples()) == seen.sum()
    (tmp_path / "v.reference.csv").unlink()
    _write(tmp_path / "v.truth.json", json.dumps({"fps": fps, "frame_hr_bpm": [130.0] * 45}))
    (recording,) = open_any(tmp_path, ROOT / "models")
    assert recording.mean_bpm(float(recording.t_s[-1]), 1.0) == pytest.approx(130)


def test_rendered_sets_are_written_resumed_and_read(
    tmp_path: Path, egl: None, shared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from export.__main__ import main
    from export.infant.identity import split_of

    monkeypatch.setattr(tqdm, "monitor_interval", 0)  # its thread outlives the bar
    words = ["synthesize", "pulses", "--out", str(tmp_path), "--seconds", "0.4", "--seed", "5", "--split", "val"]
    assert main([*words, "--count", "1"]) == 0
    first = (tmp_path / "000.npz").stat().st_mtime_ns
    assert main([*words, "--count", "2"]) == 0
    assert (tmp_path / "000.npz").stat().st_mtime_ns == first
    rows = [json.loads(line) for line in (tmp_path / "truth.jsonl").read_text().splitlines()]
    assert [row["name"] for row in rows] == ["000", "001"]
    assert {split_of(row["identity"]) for row in rows} == {"val"}
    for recording, row in zip(open_any(tmp_path), rows, strict=True):
        assert recording.rgb.shape == (12, 3, 3)
        assert np.isfinite(recording.rgb).any(axis=(1, 2)).all()
        assert recording.bpm is not None
        assert recording.bpm.mean() == pytest.approx(row["bpm"], abs=0.01)
    (tmp_path / "001.npz").unlink()
    with pytest.raises(ValueError, match=r"truth\.jsonl:2: there is no 001\.npz"):
        list(open_any(tmp_path))


def test_lifeless_clips_come_by_turns_and_have_no_wave() -> None:
    from export.heart_rate.render import HIGH_BPM, LOW_BPM, recipe_of

    recipes = [recipe_of(np.random.default_rng(n), n, 9, 30.0) for n in range(15)]
    assert [r.kind for r in recipes if r.kind != "infant"] == ["photograph", "doll", "photograph"]
    for recipe in recipes:
        waves = [recipe.clip.wave_at(t) for t in (0.0, 0.1, 0.2)]
        assert (max(waves) > min(waves)) == (recipe.kind == "infant")
        assert LOW_BPM - 4 <= recipe.clip.rate_bpm.min() <= recipe.clip.rate_bpm.max() <= HIGH_BPM + 4
        assert recipe.clip.script.seconds == pytest.approx(30.0)


@given(st.floats(0.5, 30), st.floats(60, 200))
def test_steps_hold_until_the_next(step_s: float, bpm: float) -> None:
    starts = np.arange(4) * step_s
    found = steps_at(np.array([-0.1, 0.0, 1.5 * step_s, 3.5 * step_s, 4.5 * step_s]), starts, bpm + starts, 4 * step_s)
    assert found[1:4] == pytest.approx(bpm + starts[[0, 1, 3]])
    assert np.isnan(found[[0, 4]]).all()


def test_recordings_check_their_shapes() -> None:
    t_s, rgb = np.arange(5.0), np.ones((5, 2, 3))
    with pytest.raises(ValueError, match="bpm is"):
        Recording("a", "a", "a", "trace", t_s, rgb, np.ones(4))
    with pytest.raises(ValueError, match="rgb is"):
        Recording("a", "a", "a", "trace", t_s, rgb[:4], None)
    with pytest.raises(ValueError, match="times rise"):
        Recording("a", "a", "a", "trace", t_s[::-1], rgb, None)


def test_frames_without_a_face_are_no_samples() -> None:
    rgb = np.ones((5, 2, 3))
    rgb[2] = np.nan
    rgb[3, 0] = np.nan
    found = Recording("a", "a", "a", "trace", np.arange(5.0), rgb, None).samples()
    assert [s.seq for s in found] == [0, 1, 3, 4]


def test_made_traces_are_the_same_for_the_same_seed() -> None:
    recordings = list(every(range(1)))
    assert {r.data for r in recordings} == {*MADE, "made: crying"}
    for name, how in MADE.items():
        again = made(0, name, how)
        (same,) = (r for r in recordings if r.data == name)
        np.testing.assert_array_equal(again.rgb, same.rgb)
        assert (again.bpm is None) == ("photograph" in name)
    np.testing.assert_array_equal(crying(3)[1], crying(3)[1])


def test_the_shared_recordings_are_read(shared: Path) -> None:
    found = [r for name in ("pulse_rhesus", "pulse_finger") for r in open_any(shared / "data" / name)]
    truths = {r.name: (r.mean_bpm(float(r.t_s[0]) + 20, 20.0), r.fs_hz, r.rgb.shape[1]) for r in found}
    assert truths["Session5"] == (pytest.approx(212, abs=12), pytest.approx(50), 1)
    assert truths["Session1"][2] == 5
    assert all(44 < bpm < 226 for bpm, _, _ in truths.values())
