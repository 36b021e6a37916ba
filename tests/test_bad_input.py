"""Whatever is wrong with what comes in: one clear line, the defined exit code, nothing lost."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from conftest import ROOT
from daemon import edgemon, write_config

pytestmark = pytest.mark.skipif(not (ROOT / "models/face.toml").is_file(), reason="no released models in this tree")


def one_line(result: subprocess.CompletedProcess[str], code: int, *parts: str) -> None:
    """The error is one line with these parts, and no traceback."""
    assert result.returncode == code, result.stderr
    assert result.stderr.count("\n") == 1, result.stderr
    assert result.stderr.startswith("edgemon: ")
    for part in parts:
        assert part in result.stderr


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("beds: [", ("edgemon.yaml:1:", "not YAML")),
        ("devise: x\n", ("edgemon.yaml:1:", "devise", "unknown key", "device")),
        ("beds:\n  - id: cot-1\n    fps: fast\n", ("edgemon.yaml:3:10", "beds.0.fps", "'fast'")),
        ("alarms:\n  hr_lo: {limit: 90}\n", ("alarms.hr_lo", "no such condition", "hr_low")),
        ("beds: [{id: cot-1, source: nothing.mp4}]\n", ("nothing.mp4", "is no file", "rtsp://")),
    ],
)
def test_a_bad_configuration(tmp_path: Path, text: str, parts: tuple[str, ...]) -> None:
    """File, line, column, the value and what would be right."""
    path = tmp_path / "edgemon.yaml"
    path.write_text(text)
    code = 3 if "nothing.mp4" in text else 2
    one_line(edgemon("check", "--config", str(path)), code, *parts)


def test_a_configuration_that_is_not_there(tmp_path: Path) -> None:
    """Also exit code 2."""
    one_line(edgemon("check", "--config", str(tmp_path / "none.yaml")), 2, "none.yaml", "cannot be read")


@pytest.mark.parametrize("data", [b"", b"not a video at all\n" * 100])
def test_a_video_that_is_none(tmp_path: Path, data: bytes) -> None:
    """Empty or garbage: exit code 3."""
    path = tmp_path / "video.mp4"
    path.write_bytes(data)
    one_line(edgemon("replay", str(path), "--json"), 3, "video.mp4")


def test_a_truncated_video_is_read_up_to_the_damage(tmp_path: Path) -> None:
    """All messages before the damage are printed; then one line and exit code 3."""
    whole = tmp_path / "whole.mkv"
    clip = ROOT / "edgemon/frames/data/demo2.mp4"
    if shutil.which("ffmpeg") is None:
        pytest.skip("needs ffmpeg to make a file that can be cut: apt-get install ffmpeg")
    subprocess.run(["ffmpeg", "-v", "error", "-i", str(clip), "-t", "6", "-c", "copy", str(whole)], check=True)
    cut = tmp_path / "cut.mkv"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    result = edgemon("replay", str(cut), "--json")
    assert result.returncode == 3
    assert result.stderr.count("\n") == 1
    assert result.stdout.count('"topic"') > 3


@pytest.fixture
def models(tmp_path: Path) -> Path:
    folder = tmp_path / "models"
    shutil.copytree(ROOT / "models", folder)
    return folder


def test_a_model_of_no_bytes(tmp_path: Path, models: Path) -> None:
    """Exit code 4, and where it should come from."""
    (models / "face.onnx").write_bytes(b"")
    path = write_config(tmp_path, models={"folder": "models"})
    one_line(edgemon("check", "--config", str(path)), 4, "face.onnx", "empty", "release")


def test_a_model_whose_bytes_are_not_its_own(tmp_path: Path, models: Path) -> None:
    """The hash in the manifest decides."""
    with (models / "expression.onnx").open("ab") as file:
        file.write(b"x")
    path = write_config(tmp_path, models={"folder": "models"})
    one_line(edgemon("check", "--config", str(path)), 4, "expression.onnx", "SHA-256")


def test_a_broker_that_is_away_does_not_keep_the_daemon_from_starting(tmp_path: Path) -> None:
    """Messages are kept; the run ends well."""
    path = write_config(tmp_path, beds=[{"id": "cot-1"}], mqtt={"port": 1})
    result = edgemon("run", "--config", str(path), "--duration-s", "3")
    assert result.returncode == 0
    assert "cannot be reached" in result.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to mount a small disk")
def test_a_full_disk_loses_nothing_that_was_stored(tmp_path: Path) -> None:
    """A state directory of a few pages: the daemon runs on, and says what is wrong."""
    state = tmp_path / "state"
    state.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(state)], capture_output=True)
    if mounted.returncode != 0:
        pytest.skip("this machine does not allow mounting a small disk")
    try:
        (state / "filler").write_bytes(b"x" * 8192)
        path = write_config(tmp_path, beds=[{"id": "cot-1", "loop": True}], mqtt={"port": 1})
        result = edgemon("run", "--config", str(path), "--duration-s", "6")
    finally:
        subprocess.run(["umount", str(state)], check=True)
    assert "Traceback" not in result.stderr
    if result.returncode:
        one_line(result, 5, "full")
    else:
        assert "full" in result.stderr
