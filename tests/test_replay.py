"""The bundled clips through the real pipeline: right within the release's bounds, and the same bytes every time."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest
from conftest import ROOT
from daemon import edgemon

pytestmark = pytest.mark.skipif(not (ROOT / "models/face.toml").is_file(), reason="no released models in this tree")


def benchmark(name: str) -> ModuleType:
    """A module of benchmarks/, which is no package."""
    spec = importlib.util.spec_from_file_location(f"benchmark_{name}", ROOT / "benchmarks" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_the_demo_clip_is_read_right() -> None:
    """Issue 2's bounds on the clip: heart rate, eyes and cry against the renderer's truth."""
    score = benchmark("replay").score("clip")
    assert score.heart_rate_valid >= 0.60
    assert score.heart_rate_right_of_valid >= 0.80
    assert score.eyes_agree >= 0.90
    assert score.cry_agree >= 0.90


def test_replay_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    """Nothing of this run, this machine or this hour is in the messages."""
    first, second = (edgemon("replay", "clip2", "--json", cwd=tmp_path) for _ in range(2))
    assert first.returncode == 0, first.stderr
    assert first.stdout.count("\n") > 20
    assert first.stdout == second.stdout
    assert list(tmp_path.iterdir()) == []


def test_replay_without_json_tells_a_person_what_changed() -> None:
    """Plain lines with the time of the file."""
    told = edgemon("replay", "clip2").stdout
    assert " s  eyes " in told
    assert "{" not in told
