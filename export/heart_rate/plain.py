"""Traces and rendered sets: NAME.csv or NNN.npz, with the true rate beside them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from export.heart_rate.tables import number, rows_of
from export.heart_rate.traces import Array, Recording

REFERENCE = ".reference.csv"
ABSTAIN_SUFFIX = ", no pulse"


def reference_bpm(recording: Path, t_s: Array) -> Array | None:
    """The rate at the times of a recording by NAME.reference.csv beside it: rows `t_s,bpm`, between them a line.

    It is unknown (NaN) beside an empty cell and further outside the rows than they lie apart. A file with a header
    alone says that there is no pulse: None.

    Raises:
        ValueError: the file is missing or malformed.
    """
    path = recording.with_name(recording.stem + REFERENCE)
    rows = [(number(t, path, n), number(b, path, n), n) for n, (t, b) in rows_of(path, ("t_s", "bpm"))]
    if not rows:
        return None
    at_s, bpm = np.array([r[0] for r in rows]), np.array([r[1] for r in rows])
    if not np.isfinite(at_s).all() or bool((np.diff(at_s) <= 0).any()):
        bad = next(r[2] for i, r in enumerate(rows) if not np.isfinite(r[0]) or (i and r[0] <= rows[i - 1][0]))
        raise ValueError(f"{path}:{bad}: times must be given and rise")
    apart_s = float(np.median(np.diff(at_s))) if len(at_s) > 1 else np.inf
    inside = (t_s >= at_s[0] - apart_s) & (t_s <= at_s[-1] + apart_s)
    return np.where(inside, np.interp(t_s, at_s, bpm), np.nan)


def traces_in(folder: Path) -> list[Path]:
    """Every NAME.csv whose header begins with t_s and that is no reference."""
    found = []
    for path in sorted(folder.glob("*.csv")):
        if not path.name.endswith(REFERENCE):
            with path.open("rb") as file:
                found += [path] if file.readline().lstrip(b"\xef\xbb\xbf").startswith(b"t_s,") else []
    return found


def is_traces(folder: Path) -> bool:
    """Whether it holds a trace."""
    return bool(traces_in(folder))


def traces(folder: Path) -> Iterator[Recording]:
    """Traces `t_s,r,g,b`, or `t_s,r0,g0,b0,r1,...` of several regions; an empty cell is a region out of view.

    Raises:
        ValueError: a row is malformed, named by file and line.
    """
    for path in traces_in(folder):
        with path.open(encoding="utf-8-sig") as file:
            regions = max(1, file.readline().count(",") // 3)
        names = [f"{c}{i}" for i in range(regions) for c in "rgb"] if regions > 1 else ["r", "g", "b"]
        rows = [[number(c, path, n) for c in row] for n, row in rows_of(path, ("t_s", *names))]
        table = np.array(rows).reshape(len(rows), 1 + 3 * regions)
        t_s, rgb = table[:, 0], table[:, 1:].reshape(len(rows), regions, 3)
        yield Recording(path.stem, path.stem, folder.name, "trace", t_s, rgb, reference_bpm(path, t_s))


def is_rendered(folder: Path) -> bool:
    """Whether it holds truth.jsonl and NNN.npz (`synthesize pulses`)."""
    return (folder / "truth.jsonl").is_file() and any(folder.glob("*.npz"))


def rendered(folder: Path) -> Iterator[Recording]:
    """Rendered clips; those of dolls and photographs are a set of their own.

    Raises:
        ValueError: truth and arrays do not agree, named by file and line.
    """
    truth = folder / "truth.jsonl"
    for line, text in enumerate(truth.read_text(encoding="utf-8").splitlines(), 1):
        try:
            row = json.loads(text)
            name, pulse, identity = row["name"], row["pulse"], row["identity"]
            shown = f"{row['motion'] if pulse else row['kind']}, {row['light']}"
        except (json.JSONDecodeError, KeyError, TypeError) as error:
            raise ValueError(f"{truth}:{line}: no row of a rendered set: {error}") from error
        path = folder / f"{name}.npz"
        if not path.is_file():
            raise ValueError(f"{truth}:{line}: there is no {path.name}")
        with np.load(path) as arrays:
            missing = {"t_s", "rgb", "patches", "bpm"} - set(arrays)
            if missing:
                raise ValueError(f"{path}: lacks {', '.join(sorted(missing))}")
            t_s, rgb, patches, bpm = (arrays[key] for key in ("t_s", "rgb", "patches", "bpm"))
        yield Recording(
            f"{name} {shown}",
            f"identity {identity}",
            f"rendered {folder.name}" + ("" if pulse else ABSTAIN_SUFFIX),
            "rendered",
            t_s.astype(np.float64),
            rgb.astype(np.float64),
            bpm.astype(np.float64) if pulse else None,
            patches.astype(np.float32),
        )
