"""`edgemon station` as a process: it says what is wrong in one line, serves its roles, and stops in order."""

from __future__ import annotations

import socket
import threading
import urllib.request
from pathlib import Path

import pytest
import yaml
from conftest import eventually, free_port
from heard import NOW_MS, PLACE, all_heard, birth, composer, online
from mosquitto import Broker
from station_process import StationProcess
from wire import patient, stamp

from edgemon.cli import main
from edgemon.station.lead import Lead
from edgemon.station.settings import StationConfig
from edgemon.station.store import Store


def fails(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
    code = main(["station", *words])
    return code, capsys.readouterr().err


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"silence": 45}, "unknown key; known here: auth"),
        ({"http": {"prt": 1}}, "known here: cert_file"),
        ({"auth": "open", "http": {"host": "0.0.0.0"}}, "auth open needs http.host 127.0.0.1"),
        ({"auth": "oidc"}, "needs the section oidc"),
        ({"share": True}, "store of PostgreSQL"),
        ({"store_url": "mysql://x/y"}, "a store is sqlite"),
        ({"store_url": "postgresql://u:pw@h/d"}, "store_password_file"),
        ({"store_url": "sqlite://"}, "is a file"),
        ({"roles": []}, "roles"),
        ({"unit": "a/b"}, "unit"),
    ],
)
def test_a_bad_configuration_is_one_line_and_exit_code_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], settings: dict[str, object], words: str
) -> None:
    file = tmp_path / "station.yaml"
    file.write_text(yaml.safe_dump(settings))
    code, said = fails(capsys, "--config", str(file))
    assert (code, said.count("\n")) == (2, 1)
    assert words in said
    assert "pw" not in said


def test_a_password_is_read_from_a_file_that_not_everybody_reads(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    secret = tmp_path / "secret"
    secret.write_text("hush\n")
    secret.chmod(0o600)
    config = StationConfig(store_url="postgresql://edgemon@db/edgemon", store_password_file=secret)
    assert config.store.render_as_string(hide_password=False) == "postgresql+psycopg://edgemon:hush@db/edgemon"
    secret.chmod(0o644)
    file = tmp_path / "station.yaml"
    file.write_text(yaml.safe_dump({"store_url": config.store_url, "store_password_file": "secret"}))
    code, said = fails(capsys, "--config", str(file))
    assert (code, "readable by everybody" in said) == (5, True)


def test_a_store_that_cannot_be_reached_and_a_port_in_use_are_one_line_and_exit_code_5(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    away = f"postgresql://edgemon@127.0.0.1:{free_port()}/x"
    for store in (f"sqlite:///{tmp_path}/no/folder.db", away):
        code, said = fails(capsys, "--store", store)
        assert (code, said.count("\n"), "the store cannot be used" in said) == (5, 1, True)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        code, said = fails(capsys, "--store", f"sqlite:///{tmp_path}/station.db", "--port", port)
    assert (code, "cannot be listened on" in said) == (5, True)


def test_users_are_made_and_changed_on_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    secret = tmp_path / "secret"
    secret.write_text("correct horse\n")
    secret.chmod(0o600)
    url = f"sqlite:///{tmp_path}/station.db"
    user = ("station", "--store", url, "user")
    assert main([*user, "add", "nina", "--role", "administer", "--password-file", str(secret)]) == 0
    assert main([*user, "role", "nina", "--role", "view"]) == 0
    store = Store.open(url)
    found = store.verify("nina", "correct horse")
    assert found is not None
    assert found.role == "view"
    assert main([*user, "disable", "nina"]) == 0
    assert store.verify("nina", "correct horse") is None
    assert [row.what for row in store.audit_rows()] == ["user disable", "user role", "user add"]
    store.close()
    code, said = fails(capsys, "--store", url, "user", "disable", "nobody")
    assert (code, said) == (2, "edgemon: there is no user nobody\n")


def test_a_station_serves_its_page_and_stops_when_told_to(broker: Broker, tmp_path: Path) -> None:
    port = free_port()
    station = StationProcess(tmp_path, "station", mqtt={"port": broker.plain}, http={"port": port}, auth="open")
    try:
        eventually(lambda: station.connected and f"http://127.0.0.1:{port}" in station.words, 60, "the station")
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=10) as answer:
            assert answer.status == 200
        assert station.stop() == 0, station.words
        assert "Traceback" not in station.words
    finally:
        station.kill()


def test_the_rules_open_and_close_what_the_station_alarms_about(tmp_path: Path) -> None:
    store, settings = Store.open(f"sqlite:///{tmp_path}/station.db"), StationConfig()
    device = composer()
    store.commit(all_heard([birth(device), online(device), device.state(patient(), [], stamp())]))
    lead = Lead(settings, store)
    lead._since_ms = 0
    for after_ms, expected in ((45_000, []), (45_001, ["no_data"]), (46_000, ["no_data"])):
        lead.apply(NOW_MS + after_ms)
        assert [one.condition for one in store.notices()] == expected
    store.commit(all_heard([device.avail("offline", stamp(), connection=1)], now_ms=NOW_MS + 47_000))
    lead.apply(NOW_MS + 47_000)
    assert [(one.place, one.condition) for one in store.notices()] == [(PLACE, "device_offline")]
    store.commit(all_heard([online(device, 2), device.state(patient(), [], stamp())], now_ms=NOW_MS + 48_000))
    lead.apply(NOW_MS + 48_000)
    assert store.notices() == []
    store.close()


def test_the_rules_go_on_once_the_store_is_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgemon.station.lead.EVERY_S", 0.01)
    monkeypatch.setattr("edgemon.station.store.engine.BUSY_S", 0.05)
    url = f"sqlite:///{tmp_path}/station.db"
    store, other, stop = Store.open(url), Store.open(url), threading.Event()
    device = composer()
    other.commit(all_heard([birth(device), device.avail("offline", stamp(), connection=1)]))
    lead = Lead(StationConfig(), store)
    with other._writing():
        thread = threading.Thread(target=lead.run, args=(stop,))
        thread.start()
        eventually(lambda: lead._fault, 20, "the word of a locked store")
    eventually(other.notices, 20, "a notice")
    stop.set()
    thread.join(10)
    store.close()
    other.close()
