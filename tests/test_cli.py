"""The command line: every command explains itself, and foreseen failures are one line with an exit code."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT
from daemon import edgemon

from edgemon import __version__
from edgemon.cli import COMMANDS, main

needs_models = pytest.mark.skipif(not (ROOT / "models/face.toml").is_file(), reason="no released models in this tree")


@pytest.mark.parametrize("command", [command.name for command in COMMANDS])
def test_every_command_has_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """`--help` ends with exit code 0 and a line of its own."""
    with pytest.raises(SystemExit) as stopped:
        main([command, "--help"])
    assert stopped.value.code == 0
    assert capsys.readouterr().out.startswith(f"usage: edgemon {command}")


def test_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    """As the package says."""
    with pytest.raises(SystemExit):
        main(["--version"])
    assert capsys.readouterr().out == f"edgemon {__version__}\n"


@needs_models
def test_check_says_what_is_good(tmp_path: Path) -> None:
    """The shipped default configuration with the bundled clip is good."""
    path = tmp_path / "edgemon.yaml"
    path.write_text("beds: [{id: cot-1}]\n")
    result = edgemon("check", "--config", str(path))
    assert result.returncode == 0
    assert result.stdout.endswith(f"{path}: good\n")


@needs_models
def test_check_refuses_models_that_the_daemon_would_refuse(tmp_path: Path) -> None:
    """Each is good by itself, and none of them says what the configuration asks for."""
    path = tmp_path / "edgemon.yaml"
    path.write_text("models: {expression: face}\n")
    result = edgemon("check", "--config", str(path))
    assert result.returncode == 4
    assert "is a face model, not an expression model" in result.stderr


@needs_models
def test_models_tell_origin_and_licence() -> None:
    """Every model names the data it was trained on, with its licence, and what was measured."""
    told = edgemon("models").stdout
    for word in ("face", "expression", "data", "measured", "sha256", "CC0"):
        assert word in told


@needs_models
def test_bench_prints_and_writes_its_figures(tmp_path: Path) -> None:
    """p50, p95 and p99 of every stage and model, as a table and as JSON."""
    out = tmp_path / "bench.json"
    result = edgemon("bench", "--seconds", "1", "--json", str(out))
    assert result.returncode == 0, result.stderr
    figures = json.loads(out.read_text())
    assert {"source: read", "faces: skin means", "pipeline: look", "model: face"} <= figures["latency"].keys()
    assert figures["latency"]["model: face"].keys() == {"p50_ms", "p95_ms", "p99_ms", "count"}
    assert "CPU at 30 fps" in result.stdout


def test_schema_writes_what_is_committed(tmp_path: Path) -> None:
    """`edgemon schema --out DIR` remakes tests/golden/schema."""
    assert edgemon("schema", "--out", str(tmp_path)).returncode == 0
    golden = ROOT / "tests/golden/schema"
    assert {p.name: p.read_text() for p in tmp_path.iterdir()} == {p.name: p.read_text() for p in golden.iterdir()}


@needs_models
def test_the_demo_shows_states_and_ends_by_itself() -> None:
    """Embedded broker, daemon and table in one command, exit code 0."""
    result = edgemon("demo", "--duration-s", "15")
    assert result.returncode == 0, result.stderr
    for word in ("eyes", "heart rate", "face", "alarms", "ot a medical device"):
        assert word in result.stdout


def test_a_demo_of_nothing_says_what_would_be_right() -> None:
    """The daemon's own last words reach the person, and its exit code."""
    result = edgemon("demo", "--source", "no-such-file.mp4", "--duration-s", "10")
    assert result.returncode == 3
    assert "no-such-file.mp4" in result.stderr
    assert "Traceback" not in result.stderr


@needs_models
def test_closing_the_terminal_of_the_demo_ends_its_daemon_too(tmp_path: Path) -> None:
    """SIGHUP is as good as Ctrl-C: no daemon is left behind."""
    command = [sys.executable, "-m", "edgemon", "demo"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env=os.environ | {"TMPDIR": str(tmp_path)}
    ) as demo:
        assert demo.stdout is not None
        for line in demo.stdout:
            if "cot-1" in line:
                break
        demo.send_signal(signal.SIGHUP)
        demo.stdout.read()
    assert demo.returncode == 0
    assert list(tmp_path.glob("edgemon-demo-*")) == []
