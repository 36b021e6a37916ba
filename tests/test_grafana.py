"""The dashboard file: every query in it runs against a real store, and finds what is there."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from conftest import ROOT
from heard import BASE, NOW_MS, OUTBOX, PLACE, all_heard, birth, composer, online
from postgres import Server
from sqlalchemy import Connection, text
from wire import alarm_event, bout, hour, minute, moved, patient, stamp

from edgemon.records import Priority
from edgemon.station.nouns import Notice, Refused
from edgemon.station.settings import StationConfig
from edgemon.station.store import Store
from edgemon.station.store import schema as t

DASHBOARD = json.loads((ROOT / "grafana/edgemon.json").read_text(encoding="utf-8"))
PANELS = {f"{panel['id']} {panel['title']}": panel for panel in DASHBOARD["panels"] if panel["type"] != "row"}
DAY_MS = 86_400_000
SECRET = {"account", "login", "audit"}  # what a reader of dashboards needs no right to


def queries() -> dict[str, str]:
    """Every query of the file by where it stands."""
    found = {
        f"{title} {target['refId']}": target["rawSql"] for title, panel in PANELS.items() for target in panel["targets"]
    }
    asked = {one["name"]: one["query"] for one in DASHBOARD["templating"]["list"] if one["type"] == "query"}
    return found | asked


def filled(sql: str, place: str = PLACE) -> str:
    """A query as Grafana sends it; nothing of its own words is left."""
    quoted = "'" + place.replace("'", "''") + "'"
    for word, value in (("$__from", NOW_MS - DAY_MS), ("$__to", NOW_MS + DAY_MS), ("${place:sqlstring}", quoted)):
        sql = sql.replace(word, str(value))
    assert "$" not in sql, f"a word of Grafana that nothing replaces: {sql}"
    return sql


@pytest.fixture(scope="module")
def reader(postgres: Server) -> Iterator[Connection]:
    """A connection to a store in which there is something of each kind, that may only read, and nothing secret."""
    store = Store.open(StationConfig(store_url=postgres.database()).store)
    device = composer()
    store.commit(
        all_heard([
            online(device), birth(device), device.health(stamp(), uptime_s=1, cameras=[], stages=[], outbox=OUTBOX),
            device.state(patient(), [], stamp()), device.heart_rate("cot-1", patient().heart_rate, stamp()),
            device.alarm(alarm_event(), stamp()), minute(device), device.movement(moved(), stamp()),
            device.summary(hour(), stamp()), device.behaviour(bout(), stamp()),
        ]),
        [Refused(BASE, "schema", "bad", NOW_MS)],
    )  # fmt: skip
    store.change_notices([Notice(PLACE, "no_data", Priority.MEDIUM, NOW_MS)], [], NOW_MS)
    store.assign("Cot 7", PLACE, "chief", NOW_MS)
    tables = ", ".join(f'"{name}"' for name in t.metadata.tables if name not in SECRET)
    with store.engine.begin() as connection:
        connection.execute(text("DROP ROLE IF EXISTS dashboards"))
        connection.execute(text("CREATE ROLE dashboards"))
        connection.execute(text("GRANT USAGE ON SCHEMA public TO dashboards"))
        connection.execute(text(f"GRANT SELECT ON {tables} TO dashboards"))
    with store.engine.connect() as connection:
        connection.execute(text("SET ROLE dashboards"))
        connection.commit()
        yield connection
        connection.rollback()
        connection.execute(text("RESET ROLE"))
        connection.execute(text("DROP OWNED BY dashboards"))
        connection.execute(text("DROP ROLE dashboards"))
        connection.commit()
    store.close()


@pytest.mark.parametrize("where", queries())
def test_every_query_finds_what_is_there(reader: Connection, where: str) -> None:
    sql = filled(queries()[where])
    rows = reader.execute(text(sql.replace(":", "\\:"))).mappings().all()
    assert rows, sql
    for row in rows:
        if "time" in row:
            assert abs(row["time"].timestamp() * 1000 - NOW_MS) < 2 * DAY_MS
    reader.rollback()


def test_the_figures_are_those_of_the_store(reader: Connection) -> None:
    def told(title: str) -> list[dict[str, Any]]:
        [sql] = [sql for where, sql in queries().items() if title in where]
        rows = reader.execute(text(filled(sql).replace(":", "\\:"))).mappings()
        return [dict(row) for row in rows]

    assert told("place") == [{"__value": PLACE, "__text": "Cot 7"}]
    [losses] = told("Losses")
    assert (losses["device"], losses["missing"]) == (BASE, 0)
    assert {row["bed"] for row in told("6 Alarms that stand")} == {"Cot 7"}
    assert len(told("6 Alarms that stand")) == 2
    assert told("own alarms") == [{"condition": "no_data", "beds": 1}]
    assert sum(told("3 Alarms that stand")[0].values()) == 1
    assert told("Refused")[0]["text"] == "bad"
    reader.rollback()


@pytest.mark.parametrize("place", ["site/nicu/cot-pi-1/cot-9", "'; DROP TABLE hr; --"])
def test_another_bed_has_nothing(reader: Connection, place: str) -> None:
    for where, sql in queries().items():
        if "${place:sqlstring}" in sql:
            assert not reader.execute(text(filled(sql, place).replace(":", "\\:"))).all(), where
    reader.rollback()


def test_the_file_is_what_grafana_takes() -> None:
    """One database chosen by whoever imports it; nothing of the machine that it was made on; times are ours."""
    used = {json.dumps(panel["datasource"]) for panel in PANELS.values()}
    used |= {json.dumps(target["datasource"]) for panel in PANELS.values() for target in panel["targets"]}
    assert used == {json.dumps({"type": "grafana-postgresql-datasource", "uid": "${datasource}"})}
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])
    assert "id" not in DASHBOARD
    for where, sql in queries().items():
        assert not SECRET & set(re.findall(r"\w+", sql)), where
        assert ("$__from" in sql) == ("$__to" in sql), where
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & taken, f"{panel['title']} lies over another panel"
        assert at["x"] + at["w"] <= 24
        taken |= cells
