"""A bed's day as files: every row once, in its order, and nothing in it that a spreadsheet takes for a formula."""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from heard import PLACE as BED
from hypothesis import given
from hypothesis import strategies as st
from station_web import PLACE, START_MS, Station, serving
from wire import composer, hour, moved, stamp

from edgemon.cli import main
from edgemon.messages import encode
from edgemon.station import export
from edgemon.station.inbox import read
from edgemon.station.nouns import Heard, to_ts

MINUTE_MS, HOUR_MS, DAY_MS = 60_000, 3_600_000, 86_400_000
FORMULA = "=cmd|'/c calc'!A0"


@pytest.fixture
def station(tmp_path: Path) -> Iterator[Station]:
    """A station that heard three hours of a bed, one of them without anything."""
    with serving(tmp_path) as running:
        fill(running)
        yield running


def fill(station: Station) -> None:
    station.online()
    for at_ms in (*range(START_MS, START_MS + 3 * MINUTE_MS, MINUTE_MS), START_MS + 2 * HOUR_MS):
        station.clock.now_ms = at_ms
        station.state()
        station.say(
            "vitals/hr/min", "cot-1", start=to_ts(at_ms), end=to_ts(at_ms + MINUTE_MS), min=None, median=140, max=150,
            valid_share=0.9, estimates=60, method="rPPG",
        )  # fmt: skip
        station.say(
            "event/cry", "cot-1", type="cry", phase="end", event_id="-e1", start=to_ts(at_ms),
            end=to_ts(at_ms + 1000), duration_s=1, peak=0.5, code=None,
        )  # fmt: skip
    station.alarm(unit=FORMULA, ack={"by": "@nurse", "at": to_ts(START_MS)}, presence="ack", value=-3)
    station.alarm("storage_full", bed="_device", kind="technical", value=None, limit=None, unit=None)
    device = composer(session=1)
    for message in (device.movement(moved(), stamp()), device.summary(hour(), stamp())):
        heard = read(message.topic, encode(message), retained=False, now_ms=START_MS)
        assert isinstance(heard, Heard), heard
        station.store.commit([heard])
    assert BED == PLACE


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text, newline="")))


def test_every_table_is_exported_and_written_down(station: Station) -> None:
    path = f"/api/beds/{PLACE}/export"
    with station.person("nurse", "view") as nurse:

        def told(what: str, **params: Any) -> list[dict[str, str]]:
            answer = nurse.get(path, params={"what": what, "from_ms": START_MS, "to_ms": START_MS + DAY_MS} | params)
            assert answer.status_code == 200, answer.text
            assert answer.headers["content-type"].startswith("text/csv")
            name = answer.headers["content-disposition"]
            assert name == f'attachment; filename="site-nicu-cot-pi-1-cot-1_2026-01-01T0000_{what}.csv"'
            found = rows(answer.text)
            assert not found or set(found[0]) == set(export.TABLES[what].columns)  # type: ignore[index]
            return found

        rates = told("heart_rate")
        assert [row["start"] for row in rates] == [
            to_ts(START_MS + offset) for offset in (0, MINUTE_MS, 2 * MINUTE_MS, 2 * HOUR_MS)
        ]
        assert (rates[0]["median_bpm"], rates[0]["min_bpm"], rates[0]["estimates"]) == ("140.0", "", "60")
        assert {row["value"] for row in told("sleep")} == {"asleep"}
        assert [(row["event_id"], row["peak"]) for row in told("events")] == [("'-e1", "0.5")] * 4
        alarms = told("alarms")
        assert [row["condition"] for row in alarms] == ["hr_high", "storage_full"]
        assert (alarms[0]["unit"], alarms[0]["ack_by"], alarms[0]["value"]) == (f"'{FORMULA}", "'@nurse", "-3.0")
        audit = station.store.audit_rows()
        assert [(row.who, row.what, row.place) for row in audit[:4]] == [("nurse", "export", PLACE)] * 4
        assert audit[0].detail.startswith("alarms csv, 2026-01-01T00:00:00.000Z to ")
        for what, table, known in (
            ("movement", "movement_minute", "left_arm_seen"),
            ("summaries", "summary", "period"),
        ):
            [row] = station.store.told(table, PLACE, 0, 2**53)
            end = row["end_ms"] if what == "summaries" else row["start_ms"] + 1
            answer = nurse.get(path, params={"what": what, "from_ms": end - HOUR_MS, "to_ms": end})
            [found] = rows(answer.text)
            assert found[known] == str(row.get(known, row.get("left_arm", {}).get("seen")))


def test_what_cannot_be_exported_is_said_in_one_line(station: Station, monkeypatch: pytest.MonkeyPatch) -> None:
    path = f"/api/beds/{PLACE}/export"
    with station.person("nurse", "view") as nurse:
        monkeypatch.setitem(sys.modules, "pyarrow", None)
        for wrong, status in (
            ({"what": "passwords"}, 422), ({"format": "xls"}, 422), ({"from_ms": "x"}, 422),
            ({"from_ms": START_MS - 3 * DAY_MS}, 422), ({"format": "parquet"}, 422),
        ):  # fmt: skip
            answer = nurse.get(path, params=wrong)
            assert (answer.status_code, set(answer.json())) == (status, {"error"}), wrong
        assert "edgemon[parquet]" in answer.json()["error"]
        assert nurse.get("/api/beds/site/nicu/cot-pi-1/cot-9/export").status_code == 404
        assert station.store.audit_rows()[0].what == "login"
        statuses = [nurse.get(path).status_code for _ in range(61)]
        assert statuses == [200] * 60 + [429]
    with station.browser() as stranger:
        assert stranger.get(path).status_code == 401


def test_the_command_line_writes_the_same_without_the_web(
    station: Station, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store, out = f"sqlite:///{tmp_path}/station.db", tmp_path / "day"
    words = ["--place", PLACE, "--day", "2026-01-01", "--out", str(out)]
    assert main(["station", "export", "--store", store, *words]) == 0
    paths = [Path(line) for line in capsys.readouterr().out.splitlines()]
    assert len(paths) == len(export.TABLES)
    assert sorted(out.iterdir()) == sorted(paths)
    with station.person("nurse", "view") as nurse:
        params = {"what": "heart_rate", "from_ms": START_MS, "to_ms": START_MS + DAY_MS}
        answer = nurse.get(f"/api/beds/{PLACE}/export", params=params)
    assert (out / "site-nicu-cot-pi-1-cot-1_2026-01-01T0000_heart_rate.csv").read_bytes() == answer.content
    assert (export.WHO, "export") in {(row.who, row.what) for row in station.store.audit_rows()}
    assert main(["station", "--store", store, "export", *words]) == 0
    capsys.readouterr()


def test_the_command_line_says_what_is_wrong(
    station: Station, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store, out = f"sqlite:///{tmp_path}/station.db", tmp_path / "day"

    def fails(*more: str, place: str = PLACE, store: str = store) -> str:
        words = ["--place", place, "--day", "2026-01-01", "--out", str(out), *more]
        assert main(["station", "export", "--store", store, *words]) == 2
        told = capsys.readouterr().err
        assert told.count("\n") == 1
        return told

    assert PLACE in fails(place="site/nicu/cot-pi-1/cot-9")
    assert "no such store" in fails(store=f"sqlite:///{tmp_path}/none.db")
    assert not (tmp_path / "none.db").exists()
    out.write_text("a file, no folder")
    assert "cannot be written" in fails()
    assert station.store.pulses()


def test_parquet(station: Station) -> None:
    parquet = pytest.importorskip("pyarrow.parquet", reason="needs the extra `parquet`")
    for what in export.TABLES:
        pieces = export.written(station.store, what, PLACE, START_MS, START_MS + DAY_MS, form="parquet")
        table = parquet.read_table(io.BytesIO(b"".join(pieces)))
        assert table.column_names == list(export.TABLES[what].columns)
        if what == "heart_rate":
            assert table["start"].to_pylist()[0].timestamp() * 1000 == START_MS
            assert table["min_bpm"].to_pylist() == [None] * 4
        if what == "alarms":
            assert table["unit"].to_pylist()[0] == FORMULA


@given(st.text(max_size=20), st.floats(allow_nan=False, allow_infinity=False))
def test_no_text_is_a_formula_and_every_number_stays_one(text: str, number: float) -> None:
    told = str(export._cell(text, "text"))
    assert not told.startswith(export.FORMULA)
    assert told in (text, f"'{text}")
    assert export._cell(number, "number") == number
    [found] = csv.reader(io.StringIO(export._lines([[told, "x"]]).decode(), newline=""))
    assert found[0] == told


def test_a_day_is_of_utc() -> None:
    assert export.days(date(2026, 1, 1)) == (START_MS, START_MS + DAY_MS)
