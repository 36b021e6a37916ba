"""What a replay keeps: the table reads back what it was given, and the picture is drawn of whatever there was."""

from __future__ import annotations

import csv
import io
import math
import sys
import xml.etree.ElementTree as ET
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest
from conftest import ROOT
from hypothesis import given, settings
from hypothesis import strategies as st
from moving import pose, swinging, times
from pose_model import cot, ship
from tqdm import tqdm

from edgemon import plots, tables
from edgemon.config import Bed, Config, Models
from edgemon.errors import ConfigError, SourceError
from edgemon.movement.chambers import FEATURES, Row
from edgemon.plots.recording import LANES, Rate, Recording, Span, joined, spans
from edgemon.records import Motion
from edgemon.replay import replay


def row(start_s: float, value: float) -> Row:
    return Row("cot-1", start_s, start_s + 60, 30.0, 0.9, (value, math.nan, *[0.125] * 36))


def read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_csv_holds_what_was_measured_and_nothing_where_nothing_was(tmp_path: Path) -> None:
    tables.write(tmp_path / "a.csv", [row(0, 1.5), row(60, -2.25)])
    lines = read(tmp_path / "a.csv")
    assert list(lines[0]) == ["bed", "start_s", "end_s", "pose_hz", "seen", *FEATURES]
    assert [(line["bed"], line["start_s"], line[FEATURES[0]], line[FEATURES[1]]) for line in lines] == [
        ("cot-1", "0", "1.5", ""),
        ("cot-1", "60", "-2.25", ""),
    ]
    tables.write(tmp_path / "none.csv", [])
    assert read(tmp_path / "none.csv") == []


def test_parquet_holds_the_same(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet", reason="needs the extra `parquet`")
    tables.write(tmp_path / "a.parquet", [row(0, 1.5), row(60, -2.25)])
    table = parquet.read_table(tmp_path / "a.parquet").to_pydict()
    assert list(table) == ["bed", "start_s", "end_s", "pose_hz", "seen", *FEATURES]
    assert table["bed"] == ["cot-1", "cot-1"]
    assert table[FEATURES[0]] == [1.5, -2.25]
    assert table[FEATURES[1]] == [None, None]


@pytest.mark.parametrize(
    ("name", "says"), [("a.xlsx", "ends in .csv or .parquet"), ("no/a.csv", "there is no folder"), ("a", "ends in")]
)
def test_a_table_that_cannot_be_written_is_refused_at_once(tmp_path: Path, name: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        tables.check(tmp_path / name)


def test_what_is_not_installed_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One line with the extra to install."""
    for module in ("pyarrow", "matplotlib"):
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ConfigError, match=r"install edgemon\[parquet\]"):
        tables.check(tmp_path / "a.parquet")
    with pytest.raises(ConfigError, match=r"install edgemon\[plot\]"):
        plots.check(tmp_path / "a.png")


def test_a_folder_in_the_place_of_a_file_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "a.csv").mkdir()
    with pytest.raises(ConfigError, match="cannot be written"):
        tables.write(tmp_path / "a.csv", [])


def recording(seconds: float = 60.0, hz: float = 10.0, *, posed: bool = True) -> Recording:
    """A minute with everything in it."""
    at_s = times(seconds, hz)
    scores = np.ones((len(at_s), 14))
    scores[len(at_s) // 2 :, 10] = 0.0
    places = swinging(at_s, {4: (0.3, 0.4, 0.0), 11: (0.2, 0.7, 1.0)})
    poses = tuple((float(t), pose(p, s)) for t, p, s in zip(at_s, places, scores, strict=True)) if posed else ()
    lanes: dict[str, tuple[Span, ...]] = dict.fromkeys(LANES, ())
    lanes["sleep"] = (Span(10, 30, "asleep"), Span(30, 60, "awake"))
    lanes["cry"] = (Span(5, 40, "quiet"), Span(40, 50, "crying"))
    lanes["eyes"] = (Span(5, 40, "closed"), Span(42, 50, "open"))
    lanes["posture"] = (Span(0, 60, "supine"),)
    rates = tuple(Rate(float(t), None if t % 7 == 0 else 130 + t % 9, 0.8) for t in range(60))
    motion = tuple(Motion(float(t), 0.01, 0.5, 0.5) for t in at_s)
    return Recording("made", seconds, poses, lanes, rates, motion)


@pytest.mark.parametrize("ending", ["png", "svg"])
def test_the_same_recording_is_the_same_picture(tmp_path: Path, ending: str) -> None:
    pytest.importorskip("matplotlib", reason="needs the extra `plot`")
    paths = [tmp_path / f"{name}.{ending}" for name in "ab"]
    for path in paths:
        plots.draw(recording(), path)
    assert paths[0].read_bytes() == paths[1].read_bytes()
    if ending == "png":
        high, wide, _ = cv2.imread(str(paths[0])).shape
        assert wide == 1760
        assert high > 1000
    else:
        assert ET.parse(paths[0]).getroot().tag.endswith("svg")  # noqa: S314  (our own file)


def test_a_picture_of_little_is_drawn_too(tmp_path: Path) -> None:
    """No poses, one pose, no time at all: nothing to show is no error, and warnings would fail."""
    pytest.importorskip("matplotlib", reason="needs the extra `plot`")
    whole = recording(posed=False)
    nothing = Recording("made", 0.0, (), dict.fromkeys(LANES, ()), (), ())
    one = Recording("made", 5.0, recording().poses[:1], dict.fromkeys(LANES, ()), (), ())
    two = Recording("made", 90.0, recording(hz=0.1).poses[:2], dict.fromkeys(LANES, ()), (), ())
    hidden = [(t_s, pose(p.keypoints[:, :2].astype(float), 0.0)) for t_s, p in recording().poses]
    unseen = Recording("made", 60.0, tuple(hidden), dict.fromkeys(LANES, ()), (), ())
    for i, told in enumerate((whole, nothing, one, two, unseen)):
        plots.draw(told, tmp_path / f"{i}.png")
        assert (tmp_path / f"{i}.png").stat().st_size > 10_000


@given(st.lists(st.tuples(st.floats(0, 100), st.sampled_from([None, "a", "b"])), max_size=12))
@settings(max_examples=50)
def test_spans_say_at_each_time_what_was_told_last(told: list[tuple[float, str | None]]) -> None:
    """Spans never overlap, are never empty, and those that touch differ."""
    told = sorted(told, key=lambda one: one[0])
    found = spans(told, 100.0)
    assert joined(found) == found
    for a, b in pairwise(found):
        assert a.end_s < b.start_s or (a.end_s == b.start_s and a.value != b.value)
    for t_s in (0.5, 17.3, 99.9):
        last = [value for at_s, value in told if at_s <= t_s]
        value = next((span.value for span in found if span.start_s <= t_s < span.end_s), None)
        assert value == (last[-1] if last else None)


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve seconds of an infant that drifts through the cot, as the fake network sees one."""
    path = tmp_path_factory.mktemp("video") / "cot.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 12.0, (320, 240))
    for i in range(144):
        writer.write(np.ascontiguousarray(cot((130 + 40 * math.sin(i / 10), 120), size_px=(320, 240))[..., ::-1]))
    writer.release()
    return path


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Config:
    """The released models and a fake pose network."""
    monkeypatch.setattr(tqdm, "monitor_interval", 0)  # else its thread outlives the test
    if not (ROOT / "models/face.toml").is_file():
        pytest.skip("no released models in this tree")
    folder = tmp_path / "models"
    folder.mkdir()
    for path in (ROOT / "models").glob("*.*"):
        (folder / path.name).symlink_to(path)
    for ending in ("onnx", "toml"):
        (folder / f"pose.{ending}").unlink(missing_ok=True)
    ship(folder)
    return Config(beds=(Bed(id="cot-1", width_px=320, height_px=240, fps=12),), models=Models(folder=folder))


def test_replay_writes_table_and_picture(tmp_path: Path, video: Path, config: Config) -> None:
    """Every frame's pose is in the table, though the configuration names no pose network and one pose a second."""
    pytest.importorskip("matplotlib", reason="needs the extra `plot`")
    table, plot, out = tmp_path / "a.csv", tmp_path / "a.svg", io.StringIO()
    assert replay(config, str(video), as_json=True, out=out, progress=io.StringIO(), movement=table, plot=plot) == 0
    (line,) = read(table)
    assert float(line["pose_hz"]) == pytest.approx(12.0, rel=0.01)
    assert float(line["seen"]) == 1.0
    assert all(line[name] for name in FEATURES if "lrCorr" not in name)
    assert float(line["Ankle_medianvely"]) < 0.05  # the infant drifts, and its limbs do not move against it
    assert "144 poses" in plot.read_text(encoding="utf-8")
    assert out.getvalue().count("\n") > 5


def test_a_video_that_cannot_be_opened_replaces_no_file(tmp_path: Path, config: Config) -> None:
    pytest.importorskip("matplotlib", reason="needs the extra `plot`")
    table, plot = tmp_path / "night.csv", tmp_path / "night.png"
    table.write_text("mine")
    plot.write_text("mine")
    with pytest.raises(SourceError):
        replay(
            config, str(tmp_path / "none.mp4"), as_json=True, out=io.StringIO(), progress=io.StringIO(),
            movement=table, plot=plot,
        )  # fmt: skip
    assert table.read_text() == plot.read_text() == "mine"


def test_replay_without_a_pose_network_says_so(tmp_path: Path, video: Path, config: Config) -> None:
    assert config.models.folder is not None
    (config.models.folder / "pose.toml").unlink()
    with pytest.raises(ConfigError, match=r"name models\.pose"):
        replay(config, str(video), as_json=True, out=io.StringIO(), progress=io.StringIO(), movement=tmp_path / "a.csv")
