"""The CC0 base mesh with its shape targets, skeleton and skin weights, parsed once and cached as arrays."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]
Ints = NDArray[np.int32]

CACHE_FILE = Path(__file__).resolve().parents[2] / ".cache" / "infant_mesh_v1.npz"
DRAWN_GROUPS = ("body", "helper-l-eye", "helper-r-eye", "helper-tongue")


@dataclass(frozen=True)
class Target:
    """A sparse shape target: vertex rows and their displacement in decimetres."""

    rows: Ints
    moves: Floats


@dataclass(frozen=True)
class InfantMesh:
    """The base mesh in decimetres: y runs from feet to crown, z to the front, x to the subject's left.

    `quads` maps a group's name to its (N, 4) vertex rows; `weights` is (V, bones) and sums to one per vertex;
    `heads` holds the vertex rows whose mean is a bone's joint, `parents` the bone's parent or -1.
    """

    base: Floats
    quads: dict[str, Ints]
    targets: dict[str, Target]
    bones: tuple[str, ...]
    parents: tuple[int, ...]
    heads: tuple[Ints, ...]
    weights: Floats

    def blend(self, weights: dict[str, float], start: Floats | None = None) -> Floats:
        """Base (or `start`) plus the sum of the weighted targets, as a new (V, 3) array."""
        out = (self.base if start is None else start).copy()
        for name, weight in weights.items():
            if weight:
                target = self.targets[name]
                out[target.rows] += np.float32(weight) * target.moves
        return out

    def joint(self, vertices: Floats, bone: str) -> Floats:
        """Where the head of `bone` lies in `vertices`."""
        place: Floats = vertices[self.heads[self.bones.index(bone)]].mean(axis=0)
        return place


def mesh_root() -> Path:
    """The folder of the mesh beside this checkout."""
    root = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "infant_mesh" / "makehuman" / "data"
    if not root.is_dir():
        raise FileNotFoundError(f"{root}: the infant mesh is missing; `shared/` must lie beside the checkout")
    return root


@lru_cache(maxsize=1)
def load_mesh() -> InfantMesh:
    """The mesh, from the cache file under the working folder where there is one."""
    if not CACHE_FILE.is_file():
        _write_cache(mesh_root(), CACHE_FILE)
    with np.load(CACHE_FILE) as data:
        return _from_arrays({name: data[name] for name in data.files})


def _write_cache(root: Path, path: Path) -> None:
    base, groups = _parse_obj(root / "3dobjs" / "base.obj")
    arrays: dict[str, NDArray[np.generic]] = {"base": base}
    arrays |= {f"quads/{name}": quads for name, quads in groups.items()}
    for file in sorted((root / "targets").rglob("*.target")):
        table = _parse_target(file)
        arrays[f"rows/{file.stem if file.parent.parent.name != 'units' else _unit_name(file)}"] = table[0]
        arrays[f"moves/{file.stem if file.parent.parent.name != 'units' else _unit_name(file)}"] = table[1]
    rig = json.loads((root / "rigs" / "default.mhskel").read_text(encoding="utf-8"))
    weights = json.loads((root / "rigs" / "default_weights.mhw").read_text(encoding="utf-8"))["weights"]
    arrays |= _parse_rig(rig, weights, len(base))
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(f".{np.random.default_rng().integers(1 << 40)}.npz")
    np.savez(partial, **arrays)  # type: ignore[arg-type]
    partial.replace(path)


def _unit_name(file: Path) -> str:
    return f"{file.parent.name}/{file.stem}"


def _parse_obj(path: Path) -> tuple[Floats, dict[str, Ints]]:
    vertices: list[list[float]] = []
    groups: dict[str, list[list[int]]] = {}
    current: list[list[int]] = []
    for line in path.read_text(encoding="utf-8").splitlines():
        kind, _, rest = line.partition(" ")
        if kind == "v":
            vertices.append([float(part) for part in rest.split()])
        elif kind == "g":
            current = groups.setdefault(rest.strip(), [])
        elif kind == "f":
            corners = [int(part.split("/")[0]) - 1 for part in rest.split()]
            current.append(corners if len(corners) == 4 else [*corners, corners[-1]])
    quads = {name: np.array(rows, np.int32) for name, rows in groups.items() if name in DRAWN_GROUPS or "lash" in name}
    return np.array(vertices, np.float32), quads


def _parse_target(path: Path) -> tuple[Ints, Floats]:
    lines = [line.split() for line in path.read_text(encoding="utf-8").splitlines() if line and line[0] != "#"]
    rows = np.array([int(parts[0]) for parts in lines], np.int32)
    return rows, np.array([[float(value) for value in parts[1:4]] for parts in lines], np.float32).reshape(-1, 3)


def _parse_rig(
    rig: dict[str, dict[str, dict[str, str]]],
    skin: dict[str, list[list[float]]],
    count: int,
) -> dict[str, NDArray[np.generic]]:
    names: list[str] = []
    while len(names) < len(rig["bones"]):
        names += [
            name
            for name, bone in rig["bones"].items()
            if name not in names and (bone["parent"] is None or bone["parent"] in names)
        ]
    parents = [names.index(rig["bones"][name]["parent"]) if rig["bones"][name]["parent"] else -1 for name in names]
    weights = np.zeros((count, len(names)), np.float32)
    for index, name in enumerate(names):
        table = np.array(skin.get(name, []), np.float64).reshape(-1, 2)
        weights[table[:, 0].astype(int), index] = table[:, 1]
    total = weights.sum(axis=1)
    weights[total == 0, names.index("root")] = 1
    weights /= weights.sum(axis=1, keepdims=True)
    arrays: dict[str, NDArray[np.generic]] = {
        "bones": np.array(names),
        "parents": np.array(parents, np.int32),
        "weights": weights,
    }
    for name in names:
        arrays[f"head/{name}"] = np.array(rig["joints"][rig["bones"][name]["head"]], np.int32)
    return arrays


def _from_arrays(arrays: dict[str, NDArray[np.generic]]) -> InfantMesh:
    def part(prefix: str) -> dict[str, NDArray[np.generic]]:
        return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}

    moves = part("moves/")
    names = tuple(str(name) for name in arrays["bones"])
    return InfantMesh(
        base=arrays["base"].astype(np.float32),
        quads={name: rows.astype(np.int32) for name, rows in part("quads/").items()},
        targets={
            name: Target(rows.astype(np.int32), moves[name].astype(np.float32)) for name, rows in part("rows/").items()
        },
        bones=names,
        parents=tuple(int(index) for index in arrays["parents"]),
        heads=tuple(arrays[f"head/{name}"].astype(np.int32) for name in names),
        weights=arrays["weights"].astype(np.float32),
    )
