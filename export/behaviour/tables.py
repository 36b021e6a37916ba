"""Labels in csv files: a row a picture with subject and label, as COPE is described, or a row an interval of a clip."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from export.babyehanet import TARGETS
from export.behaviour.sample import ROLES, Reading, Sample, joined
from export.datasets.files import numbers_of, text_of


@dataclass(frozen=True, slots=True)
class Header:
    """Which column holds what: roles and targets by name of the column."""

    roles: Mapping[str, str]
    targets: tuple[str, ...]

    @property
    def known(self) -> bool:
        """Whether rows name a file and say something of it."""
        return "file" in self.roles and ("label" in self.roles or bool(self.targets))

    @property
    def of_clips(self) -> bool:
        """Whether a row is an interval."""
        return "start_s" in self.roles or "end_s" in self.roles


@dataclass(frozen=True, slots=True)
class Row:
    """One line: the file it names, whom it shows, its labels, and its interval in a clip."""

    where: str
    path: Path
    subject: str | None
    labels: Mapping[str, float]
    interval_s: tuple[float, float] | None


def header_of(path: Path, reading: Reading) -> Header:
    """The columns of a table, by `Reading.columns` or by their usual names; case does not matter."""
    first = next(csv.reader(text_of(path).splitlines()), [])
    names = {name.strip().lower(): name for name in first}
    roles = {}
    for role, usual in ROLES.items():
        told = reading.columns.get(role)
        found = [names[n] for n in ((told.lower(),) if told else usual) if n in names]
        if found:
            roles[role] = found[0]
    return Header(roles, tuple(names[target] for target in TARGETS if target in names))


def tables(path: Path, reading: Reading) -> tuple[Sample, ...]:
    """The samples of one table; files are named relative to it.

    `label` holds words, several parted by a semicolon; columns named as targets hold 0, 1 or nothing. Rows whose words
    say nothing of any target are left out. Frames of a clip are taken at `Reading.rate_hz` where an interval is.

    Raises:
        ValueError: a column is missing, a row malformed, a file not there; names file and line.
    """
    header = header_of(path, reading)
    if not header.known:
        usual = "; ".join(f"{role}: {' or '.join(names)}" for role, names in ROLES.items())
        raise ValueError(f"{path}:1: needs columns of file and label ({usual}), or tell them by --columns ROLE=NAME")
    rows = tuple(_rows(path, header, reading))
    if header.of_clips:
        return tuple(_frames(rows, reading))
    framing = reading.framing or "scene"
    return tuple(Sample(r.path, r.labels, framing, r.where, r.subject) for r in rows if r.labels)


def _rows(path: Path, header: Header, reading: Reading) -> Iterator[Row]:
    reader = csv.DictReader(text_of(path).splitlines())
    for line in reader:
        where = f"{path}:{reader.line_num}"
        if None in line or None in line.values():
            raise ValueError(f"{where}: not {len(reader.fieldnames or ())} cells, as the header has")
        cells = {name: value.strip() for name, value in line.items()}
        told = {role: cells[name] for role, name in header.roles.items()}
        if not told["file"]:
            raise ValueError(f"{where}: no file; the name of a picture or clip would be right")
        file = path.parent / told["file"]
        if not file.is_file():
            raise ValueError(f"{where}: {file}: no such file; names are relative to the table")
        subject = told.get("subject") or reading.subject_in(told["file"])
        interval_s = _interval(told, where) if header.of_clips else None
        yield Row(where, file, subject, _labels(cells, told, header, reading, where), interval_s)


def _labels(
    cells: Mapping[str, str], told: Mapping[str, str], header: Header, reading: Reading, where: str
) -> dict[str, float]:
    words = [word for word in told.get("label", "").split(";") if word.strip()]
    labels = reading.labels_of(words, where)
    for column in header.targets:
        value = cells[column]
        if value not in ("", "0", "1"):
            raise ValueError(f"{where}: {column} is {value!r}; 0, 1 or nothing would be right")
        if value:
            labels = joined(labels, {column.strip().lower(): float(value)}, where)
    return labels


def _interval(told: Mapping[str, str], where: str) -> tuple[float, float]:
    start_s, end_s = numbers_of((told.get("start_s", ""), told.get("end_s", "")), where)
    if not 0 <= start_s < end_s < math.inf:
        raise ValueError(f"{where}: {start_s:g} to {end_s:g} s is no interval; 0 <= start_s < end_s would be right")
    return start_s, end_s


def _frames(rows: tuple[Row, ...], reading: Reading) -> Iterator[Sample]:
    """Frames on one grid of times in each clip; intervals that overlap speak together."""
    clips: dict[Path, dict[int, tuple[Row, dict[str, float]]]] = {}
    for row in rows:
        assert row.interval_s is not None
        start, end = (math.ceil(t * reading.rate_hz - 1e-9) for t in row.interval_s)
        grid = clips.setdefault(row.path, {})
        for tick in range(start, end):
            first, before = grid.get(tick, (row, {}))
            if first.subject != row.subject:
                raise ValueError(f"{row.where}: subject {row.subject}, but {first.where} says {first.subject}")
            grid[tick] = (first, joined(before, row.labels, row.where))
    for path, grid in clips.items():
        for tick, (row, labels) in sorted(grid.items()):
            if labels:
                time_s = tick / reading.rate_hz
                yield Sample(path, labels, reading.framing or "scene", row.where, row.subject, time_s)
