"""`bench --select` takes int8 only where it is clearly faster on this machine and loses next to nothing."""

from __future__ import annotations

import hashlib
import json
import time
from pathlib import Path

import pytest
import yaml
from conftest import ROOT
from hypothesis import given
from hypothesis import strategies as st

from edgemon import bench
from edgemon.bench import Choice, choose, compare, config_lines, selection, time_ratio
from edgemon.cli import main
from edgemon.config import parse
from edgemon.errors import ModelError
from edgemon.manifest import Manifest, Metric

FACE = ROOT / "models/face.onnx"
needs_models = pytest.mark.skipif(not FACE.is_file(), reason="no released models in this tree")
FP32 = {"roll 0": 0.99, "roll 90": 0.97, "dark": 0.95}


def metrics(recall: dict[str, float]) -> tuple[Metric, ...]:
    return (
        *(Metric(name="recall", data="renders", condition=name, value=value) for name, value in recall.items()),
        Metric(name="roll error p90 deg", data="renders", condition="all", value=9.0),
    )


def manifest(name: str, recall: dict[str, float], task: str = "face", precision: str = "fp32") -> Manifest:
    from edgemon.manifest import parse as parse_manifest

    told = parse_manifest((ROOT / "models/face.toml").read_text(), "face.toml")
    digest = hashlib.sha256(FACE.read_bytes()).hexdigest()
    return told.model_copy(
        update={"id": name, "sha256": digest, "task": task, "precision": precision, "metrics": metrics(recall)}
    )


def ship(folder: Path, name: str, recall: dict[str, float], precision: str) -> None:
    """A model in a folder: the released graph under a made manifest."""
    told = manifest(name, recall, precision=precision).model_dump(mode="json")
    tables = {key: told.pop(key) for key in ("thresholds", "input")}
    arrays = {key: told.pop(key) for key in ("outputs", "origins", "metrics")}
    lines = [f"{key} = {json.dumps(value)}" for key, value in told.items()]
    for key, table in tables.items():
        lines += [f"[{key}]", *(f"{k} = {json.dumps(v)}" for k, v in table.items())]
    for key, rows in arrays.items():
        for row in rows:
            lines += [f"[[{key}]]", *(f"{k} = {json.dumps(v)}" for k, v in row.items())]
    (folder / f"{name}.toml").write_text("\n".join(lines) + "\n")
    (folder / f"{name}.onnx").write_bytes(FACE.read_bytes())


def chosen(folder: Path, monkeypatch: pytest.MonkeyPatch, ratio: float) -> Choice:
    monkeypatch.setattr(bench, "time_ratio", lambda fp32, int8: ratio)
    (choice,) = choose(folder)
    return choice


@needs_models
@pytest.mark.parametrize(
    ("ratio", "int8", "verdict"),
    [
        (0.6, {"roll 0": 0.99, "roll 90": 0.96, "dark": 0.94}, ("face-int8", "takes 0.60 of the time and loses 0.67")),
        (0.95, FP32, ("face", "takes 0.95 of the time here; at most 0.90 would pay")),
        (1.4, FP32, ("face", "takes 1.40 of the time")),
        (0.6, FP32 | {"dark": 0.80}, ("face", "loses 15.0 points at worst; 5 are allowed: recall, renders, dark")),
        (0.6, {k: v - 0.02 for k, v in FP32.items()}, ("face", "loses 2.00 points on average; 1 is allowed")),
        (0.6, {"roll 0": 0.99, "roll 90": 0.97}, ("face", "not measured under 1 of the conditions")),
        (0.6, {}, ("face", "not measured under 3 of the conditions")),
    ],
)
def test_int8_must_earn_its_place(
    ratio: float, int8: dict[str, float], verdict: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, reason = verdict
    ship(tmp_path, "face", FP32, "fp32")
    ship(tmp_path, "face-int8", int8, "int8")
    choice = chosen(tmp_path, monkeypatch, ratio)
    assert choice.verdict[0] == name
    assert reason in choice.verdict[1]
    assert any(name in line and choice.verdict[1] in line for line in selection([choice]))


@needs_models
@pytest.mark.parametrize(("name", "precision"), [("face", "fp32"), ("face-int8", "int8")])
def test_the_only_precision_is_taken(
    name: str, precision: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ship(tmp_path, name, FP32, precision)
    choice = chosen(tmp_path, monkeypatch, 0.5)
    assert choice.verdict == (name, f"only {precision} is shipped")
    assert list(config_lines([choice], None)) == ["models:", f"  face: {name}"]


@needs_models
def test_a_model_that_is_not_what_its_name_says_is_refused(tmp_path: Path) -> None:
    ship(tmp_path, "face", FP32, "fp32")
    ship(tmp_path, "face-int8", FP32, "fp32")
    with pytest.raises(ModelError, match="is a fp32 face model, its name says int8 face"):
        choose(tmp_path)


@needs_models
def test_only_quality_is_compared() -> None:
    losses, unmatched = compare(manifest("face", FP32), manifest("face-int8", FP32 | {"dark": 0.9}))
    assert losses == pytest.approx(
        {"recall, renders, roll 0": 0, "recall, renders, roll 90": 0, "recall, renders, dark": 5}
    )
    assert unmatched == 0


points = st.floats(-20, 20, allow_nan=False)


@given(st.dictionaries(st.text(max_size=3), points, min_size=1), st.floats(0.1, 3), st.integers(0, 2))
def test_int8_is_never_taken_beyond_a_limit(losses: dict[str, float], ratio: float, unmatched: int) -> None:
    choice = Choice("face", "face", "face-int8", ratio, losses, unmatched)
    within = ratio <= 0.9 and max(losses.values()) <= 5 and sum(losses.values()) / len(losses) <= 1 and not unmatched
    assert (choice.verdict[0] == "face-int8") == within


def test_both_are_timed_in_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that grows slower all the time changes no ratio by more than a round's worth."""
    now, order = [0.0], []

    def work(name: str, seconds: float) -> None:
        order.append(name)
        now[0] += seconds * (1 + len(order) / 1000)

    monkeypatch.setattr(time, "perf_counter", lambda: now[0])
    ratio = time_ratio(lambda: work("fp32", 2), lambda: work("int8", 1))
    assert ratio == pytest.approx(0.5, rel=0.01)
    assert order[:4] == ["fp32", "int8", "fp32", "int8"]


@needs_models
def test_the_command_prints_a_table_and_a_configuration(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    models, out = tmp_path / "models", tmp_path / "out.json"
    models.mkdir()
    ship(models, "face", FP32, "fp32")
    ship(models, "face-int8", FP32, "int8")
    assert main(["bench", "--select", "--models", str(models), "--json", str(out)]) == 0
    printed = capsys.readouterr().out
    table, _, lines = printed.partition("\n\n")
    assert "int8 / fp32 time" in table
    assert "worst: recall, renders" in table
    (told,) = json.loads(out.read_text())
    assert yaml.safe_load(lines)["models"]["face"] == told["chosen"]
    settings = parse(lines, tmp_path / "edgemon.yaml").models
    assert (settings.folder, settings.face) == (models, told["chosen"])
    assert told["time_ratio"] > 0


@needs_models
def test_the_released_models_can_be_compared() -> None:
    """Both manifests of each task tell the same figures under the same names."""
    from edgemon.manifest import load

    for task in ("face", "expression"):
        if (ROOT / f"models/{task}-int8.toml").is_file():
            losses, unmatched = compare(*(load(ROOT / "models", name).manifest for name in (task, f"{task}-int8")))
            assert losses
            assert unmatched == 0
