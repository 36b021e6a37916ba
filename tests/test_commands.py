"""What a station asks of alarms, and what alarms keep over a restart; refusals change nothing."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest

from edgemon import alarm_store
from edgemon.alarm_store import AlarmStore
from edgemon.commands import execute
from edgemon.errors import CommandRefused
from edgemon.events.conditions import settings_for
from edgemon.events.engine import AlarmEngine
from edgemon.messages import payloads as p
from edgemon.records import DEVICE_BED, Activation, AlarmEvent, Health, Phase, Presence

BED, BY = "cot-1", "station-7"
TS = "2026-01-05T03:12:09.120Z"
LOST, WELL = {"frame_age_s": 5.0}, {"frame_age_s": 0.0, "luma": 100.0}
Engines = dict[str, AlarmEngine]


def health(at_s: float, **facts: float) -> Health:
    return Health(at_s=at_s, **facts)  # type: ignore[arg-type]


@pytest.fixture
def engines() -> Engines:
    """One bed whose camera was lost at 10 s, and a device that is well."""
    both = {bed: AlarmEngine(bed, settings_for({}), "pi-1/boot/1") for bed in (BED, DEVICE_BED)}
    both[BED].step(None, health(10.0, **LOST), 10.0)
    both[DEVICE_BED].step(None, health(10.0), 10.0)
    return both


def request(name: str, bed: str = BED, **fields: object) -> p.CommandRequest:
    return p.CommandRequest.model_validate(
        {"cmd_id": "c1", "name": name, "device": "pi-1", "bed": bed, "by": BY, "expires": TS, **fields}
    )


def acknowledge(
    revision: int = 1, alarm_id: str = "pi-1/boot/1/cot-1/camera_lost/1", **fields: str
) -> p.CommandRequest:
    return request("acknowledge", alarm_id=alarm_id, revision=revision, **fields)


def pause(kind: str, seconds: float, bed: str = BED) -> p.CommandRequest:
    return request("pause", bed, pause=kind, duration_s=seconds)


def test_an_acknowledgement_ends_the_signal_and_not_the_condition(engines: Engines) -> None:
    (event,) = execute(engines, acknowledge(), 12.0)
    assert (event.phase, event.presence, event.revision, event.at_s) == (Phase.UPDATE, Presence.ACK, 2, 12.0)
    assert [row.by for row in engines[BED].drain_log()] == [None, BY]
    assert engines[BED].active() == (event,)


def test_an_audio_pause_quietens_what_is_on_and_ends_by_itself(engines: Engines) -> None:
    (event,) = execute(engines, pause("audio", 60.0), 12.0)
    assert (event.phase, event.activation) == (Phase.UPDATE, Activation.AUDIO_PAUSED)
    back = engines[BED].step(None, health(72.0, **LOST), 72.0)
    assert [(e.phase, e.activation) for e in back if e.condition == "camera_lost"] == [(Phase.UPDATE, Activation.ON)]


def test_a_procedure_pause_leaves_technical_alarms_alone(engines: Engines) -> None:
    assert execute(engines, pause("procedure", 300.0), 12.0) == ()
    assert engines[BED].active()[0].activation is Activation.ON
    assert engines[BED].pauses(112.0).procedure_s == 200.0


@pytest.mark.parametrize(
    ("command", "why"),
    [
        pytest.param(acknowledge(bed="cot-9"), "no bed 'cot-9' here; known: cot-1, _device", id="unknown bed"),
        pytest.param(acknowledge(revision=7), "at revision 1, not 7", id="another revision"),
        pytest.param(acknowledge(alarm_id="pi-1/boot/1/cot-1/hr_low/1"), "no alarm", id="not active"),
        pytest.param(acknowledge(bed=DEVICE_BED), "stands in _device", id="another bed's alarm"),
        pytest.param(pause("audio", 121.0), "up to 120 s", id="audio pause too long"),
        pytest.param(pause("procedure", 60.0, DEVICE_BED), "no physiological alarms", id="nothing to pause"),
        pytest.param(request("rebirth"), "no command to an alarm", id="not for alarms"),
    ],
)
def test_a_refusal_says_why_and_changes_nothing(engines: Engines, command: p.CommandRequest, why: str) -> None:
    before = [engine.snapshot() for engine in engines.values()]
    with pytest.raises(CommandRefused, match=why):
        execute(engines, command, 12.0)
    assert [engine.snapshot() for engine in engines.values()] == before
    assert engines[BED].pauses(12.0) == engines[DEVICE_BED].pauses(12.0)


def test_the_same_acknowledgement_twice_is_refused_the_second_time(engines: Engines) -> None:
    execute(engines, acknowledge(), 12.0)
    with pytest.raises(CommandRefused, match="it is ack"):
        execute(engines, acknowledge(revision=2), 13.0)


def kept(folder: Path, engine: AlarmEngine, boot: str = "boot-a") -> AlarmStore:
    store = AlarmStore(folder)
    store.save(boot, (engine.snapshot(),))
    return store


def restored(folder: Path, now_s: float, *, same_clock: bool = True) -> tuple[AlarmEngine, AlarmEvent]:
    found = AlarmStore(folder).load()
    assert found is not None
    fresh = AlarmEngine(BED, settings_for({}), "pi-1/boot/2")
    fresh.restore(found.beds[0], now_s, same_clock=same_clock)
    return fresh, fresh.active()[0]


def test_an_occurrence_survives_a_restart(tmp_path: Path, engines: Engines) -> None:
    """The same id and revision go on, the acknowledgement holds, and it is told again at once."""
    execute(engines, acknowledge(), 12.0)
    kept(tmp_path, engines[BED])
    fresh, event = restored(tmp_path, 40.0)
    assert event == engines[BED].active()[0]
    (again,) = fresh.step(None, health(40.0, **LOST), 40.0)
    assert (again.phase, again.presence, again.alarm_id) == (Phase.CONTINUE, Presence.ACK, event.alarm_id)
    (end,) = fresh.step(None, health(60.0, **WELL), 60.0) or fresh.step(None, health(63.0, **WELL), 63.0)
    assert (end.phase, end.revision) == (Phase.END, 3)


def test_over_a_reboot_the_clock_begins_anew(tmp_path: Path, engines: Engines) -> None:
    kept(tmp_path, engines[BED])
    _, event = restored(tmp_path, 3.0, same_clock=False)
    assert (event.onset_s, event.at_s) == (3.0, 3.0)


def test_the_boot_is_kept_with_the_snapshots(tmp_path: Path, engines: Engines) -> None:
    kept(tmp_path, engines[BED])
    found = AlarmStore(tmp_path).load()
    assert found is not None
    assert found.boot == "boot-a"


def test_nothing_kept_is_nothing_found(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert AlarmStore(tmp_path).load() is None
    assert caplog.text == ""


def _with(change: str, value: object) -> str:
    """A file as it is written, with one field of its first event changed."""
    engine = AlarmEngine(BED, settings_for({}), "pi-1/boot/1")
    engine.step(None, health(10.0, **LOST), 10.0)
    data = {"boot": "b", "beds": [engine.snapshot().model_dump(mode="json")]}
    data["beds"][0]["rows"][0]["event"][change] = value  # type: ignore[index]
    return json.dumps(data)


def _twice() -> str:
    snapshot = AlarmEngine(BED, settings_for({}), "pi-1/boot/1").snapshot().model_dump(mode="json")
    return json.dumps({"boot": "b", "beds": [snapshot, snapshot]})


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="empty"),
        pytest.param('{"boot": "b", "beds": [{"bed"', id="torn"),
        pytest.param("[]", id="not an object"),
        pytest.param("\x00" * 512, id="zeros after power loss"),
        pytest.param(_with("at_s", 99.0), id="an event after its snapshot"),
        pytest.param(_with("at_s", float("nan")), id="a time that is no number"),
        pytest.param(_with("onset_s", -float("inf")), id="a time that is not finite"),
        pytest.param(_with("revision", 0), id="no revision"),
        pytest.param(_with("phase", "begin"), id="no phase"),
        pytest.param(_twice(), id="a bed twice"),
    ],
)
def test_a_damaged_file_starts_alarms_anew_and_says_so(
    text: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "alarms.json").write_text(text, encoding="utf-8")
    assert AlarmStore(tmp_path).load() is None
    assert "alarms start anew" in caplog.text


def test_only_a_change_is_written(tmp_path: Path, engines: Engines) -> None:
    store = kept(tmp_path, engines[BED])
    file = tmp_path / "alarms.json"
    file.unlink()
    engines[BED].step(None, health(11.0, **LOST), 11.0)
    store.save("boot-a", (engines[BED].snapshot(),))
    assert not file.exists()
    execute(engines, acknowledge(), 12.0)
    store.save("boot-a", (engines[BED].snapshot(),))
    assert file.exists()


def test_the_log_names_every_move_and_is_bounded(
    tmp_path: Path, engines: Engines, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alarm_store, "LOG_MAX_BYTES", 2_000)
    store, rows = AlarmStore(tmp_path), engines[BED].drain_log()
    for _ in range(50):
        store.append(rows, TS)
    files = sorted(tmp_path.glob("alarm_log*"))
    assert [file.name for file in files] == ["alarm_log.1.jsonl", "alarm_log.jsonl"]
    assert sum(file.stat().st_size for file in files) < 6_000
    line = json.loads(files[1].read_text(encoding="utf-8").splitlines()[0])
    assert (line["ts"], line["cause"], line["event"]["condition"]) == (TS, "delay_elapsed", "camera_lost")


def test_a_disk_that_takes_nothing_costs_one_log_line_and_is_tried_again(
    tmp_path: Path, engines: Engines, caplog: pytest.LogCaptureFixture
) -> None:
    """/dev/full is a real disk without room: every write to it fails."""
    (tmp_path / "alarms.new").symlink_to("/dev/full")
    (tmp_path / "alarm_log.jsonl").symlink_to("/dev/full")
    store, rows = AlarmStore(tmp_path), engines[BED].drain_log()
    for _ in range(3):
        store.save("boot-a", (engines[BED].snapshot(),))
        store.append(rows, TS)
    told = [r.getMessage() for r in caplog.records if r.levelno == logging.ERROR]
    assert [("alarms.json" in line, "No space left" in line) for line in told] == [(True, True), (False, True)]
    (tmp_path / "alarms.new").unlink()
    store.save("boot-a", (engines[BED].snapshot(),))
    assert AlarmStore(tmp_path).load() is not None
