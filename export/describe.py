"""What is said of a model: its notes, the manifest beside it and the card for people."""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from edgemon.manifest import FRAMES, Manifest, Metric, ModelFile, ModelInput, Origin, parse
from export.onnx_export import TASKS, TaskName

NOTES = Path(__file__).parent / "notes"
SHEETS = {
    "expression": "expression",
    "pain": "expression",
    "pose": "body",
}  # of a card; the others learn from the face view
Precision = Literal["fp32", "int8"]


@dataclass(frozen=True, slots=True)
class Notes:
    """What only a person can say of a model; `thresholds` are those that no data chooses."""

    intended_use: str
    limits: tuple[str, ...]
    thresholds: Mapping[str, float]
    origins: tuple[Origin, ...]


def read_notes(path: Path) -> Notes:
    """Read a TOML file of notes.

    Raises:
        ValueError: unreadable, not TOML, or a part is missing; names the file and the part.
    """
    try:
        told = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise ValueError(f"{path}: cannot be read as TOML: {error}") from error
    for part in ("intended_use", "limits", "origins"):
        if not told.get(part):
            raise ValueError(f"{path}: {part}: missing; a model is not released without it")
    for number, origin in enumerate(told["origins"], 1):
        for part in ("data", "licence"):
            if not str(origin.get(part, "")).strip():
                raise ValueError(f"{path}: origins[{number}].{part}: missing; a model is not released without it")
    origins = tuple(Origin.model_validate(origin) for origin in told["origins"])
    return Notes(told["intended_use"], tuple(told["limits"]), told.get("thresholds", {}), origins)


def draft(
    task: TaskName, precision: Precision, onnx: bytes, *, version: str, thresholds: Mapping[str, float], notes: Notes
) -> ModelFile:
    """A model that can be run and measured but not yet released: it has no metrics."""
    spec = TASKS[task]
    manifest = Manifest.model_construct(
        id=task if precision == "fp32" else f"{task}-{precision}",
        version=version,
        sha256=hashlib.sha256(onnx).hexdigest(),
        precision=precision,
        task=task,
        intended_use=notes.intended_use,
        thresholds={**notes.thresholds, **thresholds},
        input=spec.input,
        outputs=spec.told_outputs,
        origins=notes.origins,
        metrics=(),
    )
    return ModelFile(manifest, onnx)


def finished(model: ModelFile, metrics: tuple[Metric, ...]) -> ModelFile:
    """The draft with its metrics, checked as a device checks it.

    Raises:
        ModelError: anything that a manifest must hold is missing.
    """
    text = to_toml(model.manifest.model_copy(update={"metrics": metrics}))
    return ModelFile(parse(text, f"manifest of {model.manifest.label}"), model.onnx)


def write(model: ModelFile, folder: Path) -> None:
    """Write NAME.onnx and NAME.toml."""
    folder.mkdir(parents=True, exist_ok=True)
    name = model.manifest.id
    (folder / f"{name}.onnx").write_bytes(model.onnx)
    (folder / f"{name}.toml").write_text(to_toml(model.manifest), encoding="utf-8")


def to_toml(manifest: Manifest) -> str:
    """The manifest as TOML; `edgemon.manifest.parse` reads it back unchanged."""
    told = manifest.model_dump(mode="json")
    flat = {key: value for key, value in told.items() if not isinstance(value, (dict, list))}
    parts = [*_pairs(flat)]
    for key in ("thresholds", "input"):
        parts += ["", f"[{key}]", *_pairs(told[key])]
    for key in ("outputs", "origins", "metrics"):
        for row in told[key]:
            parts += ["", f"[[{key}]]", *_pairs(row)]
    return "\n".join(parts) + "\n"


def _pairs(table: Mapping[str, object]) -> Iterator[str]:
    # JSON's strings, numbers and arrays are TOML's too
    return (f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in table.items())


def _input(spec: ModelInput) -> str:
    width, height = spec.size_px
    what = "RGB frames, as many as there are," if FRAMES in spec.shape else "One RGB image"
    return f"{what} of {width}x{height}, (x - {spec.mean[0]}) * scale."


def card(notes: Notes, released: tuple[ModelFile, ...], tables: Mapping[str, tuple[str, ...]]) -> str:
    """The model card (Markdown): use, data, licence, figures per condition, limits."""
    first = released[0].manifest
    lines = [f"# {first.task}", "", notes.intended_use, "", "| file | model | size | SHA-256 |", "|---|---|---|---|"]
    for file in released:
        m = file.manifest
        lines.append(
            f"| `{m.id}.onnx` | {m.label}, {m.precision} | {len(file.onnx) / 1e6:.2f} MB | `{m.sha256[:16]}` |"
        )
    lines += ["", "## Input and output", "", _input(first.input)]
    lines += [f"- `{output.name}`: {output.meaning}" for output in first.outputs]
    lines += ["", "## Data and licence", "", *(f"- {origin.data}. {origin.licence}." for origin in notes.origins)]
    lines += ["", f"![Renders such as it learned from](../../docs/img/{SHEETS.get(first.task, 'newborn')}_sheet.jpg)"]
    lines += ["", "Weights: Apache-2.0, trained from scratch; nothing is initialised or distilled from other weights."]
    lines += ["", "## Figures", ""]
    for name, table in tables.items():
        lines += [f"{name}:", "", "```", *table, "```", ""]
    lines += ["## Limits", "", *(f"- {limit}" for limit in notes.limits), ""]
    return "\n".join(lines)
