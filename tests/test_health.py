"""What the board tells: read from trees laid out as a Pi's kernel lays them out, and from this machine itself."""

from __future__ import annotations

import io
import json
import logging
import math
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgemon import health, logs
from edgemon.health import BoardReader, Latency, Progress


def _lay(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def _zone(number: int, kind: str, temp: str) -> dict[str, str]:
    folder = f"sys/class/thermal/thermal_zone{number}"
    return {f"{folder}/type": kind + "\n", f"{folder}/temp": temp + "\n"}


@pytest.mark.parametrize(
    ("zones", "expected"),
    [
        ({}, None),
        (_zone(0, "cpu-thermal", "61322"), 61.322),
        (_zone(0, "gpu-thermal", "70000") | _zone(1, "cpu-thermal", "55000"), 55.0),
        (_zone(0, "nvme", "41000"), 41.0),
        (_zone(0, "cpu-thermal", "-5000"), -5.0),
        (_zone(0, "cpu-thermal", "broken"), None),
    ],
)
def test_temperature_is_that_of_the_soc(tmp_path: Path, zones: dict[str, str], expected: float | None) -> None:
    assert health.temperature_c(_lay(tmp_path, zones)) == expected


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, None),
        ({"sys/class/hwmon/hwmon1/name": "rpi_volt\n", "sys/class/hwmon/hwmon1/in0_lcrit_alarm": "1\n"}, 0x1),
        ({"sys/class/hwmon/hwmon1/name": "rpi_volt\n", "sys/class/hwmon/hwmon1/in0_lcrit_alarm": "0\n"}, 0),
        ({"sys/class/hwmon/hwmon0/name": "nct6775\n", "sys/class/hwmon/hwmon0/in0_lcrit_alarm": "1\n"}, None),
        ({"dev/vcio": "a plain file refuses the mailbox's ioctl"}, None),
    ],
)
def test_undervoltage_comes_from_the_voltage_sensor(
    tmp_path: Path, files: dict[str, str], expected: int | None
) -> None:
    assert health.throttled(_lay(tmp_path, files)) == expected


RTC = "sys/class/rtc/rtc0"
MARK = {"run/systemd/timesync/synchronized": ""}


@pytest.mark.parametrize(
    ("kernel_synced", "files", "expected"),
    [
        (True, {}, "ntp"),
        (False, MARK, "unsynced"),  # timesyncd's mark outlives its contact: the kernel knows better
        (None, MARK, "ntp"),
        (None, {}, "unsynced"),
        (False, {f"{RTC}/hctosys": "1", f"{RTC}/since_epoch": "1000"}, "rtc"),
        (False, {f"{RTC}/hctosys": "1", f"{RTC}/since_epoch": "7"}, "unsynced"),  # its battery was empty
        (False, {f"{RTC}/hctosys": "0", f"{RTC}/since_epoch": "1000"}, "unsynced"),
    ],
)
def test_clock_source(tmp_path: Path, kernel_synced: bool | None, files: dict[str, str], expected: str) -> None:
    assert health.clock_source(_lay(tmp_path, files), kernel_synced, wall_s=1001.0) == expected


def test_boot_id_is_the_kernels(tmp_path: Path) -> None:
    _lay(tmp_path, {"proc/sys/kernel/random/boot_id": "0615acff-27cb-41b6-bdc3-a5c760a358cf\n"})
    assert health.boot_id(tmp_path) == "0615acff27cb41b6bdc3a5c760a358cf"


def test_boot_id_stays_the_same_where_the_kernel_does_not_tell(tmp_path: Path) -> None:
    assert len(health.boot_id(tmp_path)) == 32
    assert health.boot_id(tmp_path) == health.boot_id(tmp_path)


def test_this_machine_is_read_without_an_error(tmp_path: Path) -> None:
    reader = BoardReader(tmp_path)
    first = reader.read()
    end = time.process_time() + 0.02
    while time.process_time() < end:
        math.sqrt(2.0)
    second = reader.read()
    assert first.cpu_share is None
    assert second.cpu_share is not None
    assert second.cpu_share > 0.0
    assert second.memory_bytes is not None
    assert 2**20 < second.memory_bytes < 2**36
    assert second.storage_free_bytes is not None
    assert second.clock_source in ("ntp", "rtc", "unsynced")
    assert second.temperature_c is None or -40.0 < second.temperature_c < 125.0


def test_a_board_that_tells_nothing_gives_none(tmp_path: Path) -> None:
    board = BoardReader(tmp_path / "absent", root=tmp_path).read()
    assert (board.temperature_c, board.throttled, board.storage_free_bytes, board.memory_bytes) == (None,) * 4


def test_cpu_share_is_of_one_core(tmp_path: Path) -> None:
    reader = BoardReader(tmp_path)
    assert reader._cpu_share(10.0, 5.0) is None
    assert reader._cpu_share(12.0, 6.0) == 0.5
    assert reader._cpu_share(12.0, 6.5) is None


def test_alive_until_one_stage_is_silent_for_longer_than_the_limit() -> None:
    progress = Progress(("capture", "deliver"), start_s=100.0)
    progress.beat("capture", 109.0)
    assert progress.alive(110.0, limit_s=10.0)
    assert not progress.alive(110.5, limit_s=10.0)
    assert progress.stuck(110.5, limit_s=10.0) == ("deliver",)
    assert progress.stuck(130.0, limit_s=10.0) == ("capture", "deliver")


def test_a_late_beat_does_not_turn_progress_back() -> None:
    progress = Progress(("capture",), start_s=0.0)
    progress.beat("capture", 50.0)
    progress.beat("capture", 40.0)
    assert progress.alive(59.0, limit_s=10.0)


def test_an_unknown_stage_is_refused() -> None:
    with pytest.raises(KeyError, match="pose"):
        Progress(("capture",), start_s=0.0).beat("pose", 1.0)


def test_timing_a_stage_does_not_make_it_one_that_must_progress() -> None:
    progress = Progress((), start_s=0.0)
    progress.took("expression", 0.020)
    assert progress.alive(1e6, limit_s=1.0)
    assert progress.latency() == {"expression": Latency(20.0, 20.0, 20.0, 1)}


def test_percentiles_are_by_nearest_rank() -> None:
    assert Latency.of(i / 1000.0 for i in range(1, 101)) == Latency(50.0, 95.0, 99.0, 100)
    assert Latency.of(()) is None


@given(st.lists(st.floats(0.0, 10.0), min_size=1, max_size=200), st.integers(1, 50))
def test_latency_is_bounded_ordered_and_of_the_newest(taken_s: list[float], keep: int) -> None:
    progress = Progress((), start_s=0.0, keep=keep)
    for one_s in taken_s:
        progress.took("face", one_s)
    found, newest = progress.latency()["face"], taken_s[-keep:]
    assert found.count == len(newest) <= keep
    assert min(newest) * 1000 <= found.p50_ms <= found.p95_ms <= found.p99_ms <= max(newest) * 1000


# Logs


@pytest.fixture
def root_logger() -> Iterator[logging.Logger]:
    root = logging.getLogger()
    before = root.handlers[:], root.level
    yield root
    root.handlers[:], root.level = before


def _logged(stream: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_log_is_one_json_object_a_line(root_logger: logging.Logger) -> None:
    stream = io.StringIO()
    logs.configure("info", stream)
    logging.getLogger("edgemon.frames").info("camera %s\nis back", "cot-1", extra={"bed": "cot-1"})
    root_logger.debug("not at this level")
    (line,) = _logged(stream)
    assert set(line) == {"level", "logger", "msg", "mono_ms", "ts", "bed"}
    assert (line["level"], line["logger"], line["msg"]) == ("info", "edgemon.frames", "camera cot-1\nis back")
    assert str(line["ts"]).endswith("Z")


def test_a_traceback_stays_in_its_line(root_logger: logging.Logger) -> None:
    stream = io.StringIO()
    logs.configure("info", stream)
    try:
        raise OSError("password=hunter2")
    except OSError:
        root_logger.exception("delivery failed")
    (line,) = _logged(stream)
    assert "OSError" in str(line["exc"])
    assert "hunter2" not in stream.getvalue()


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("opening rtsp://nurse:s3cret@cam-1:554/main", "opening rtsp://***@cam-1:554/main"),
        ("password: s3cret and more", "password: *** and more"),
        ("{'token': 's3 cret'}", "{'token': ***}"),
        ("passwords are files; 3 tokens", "passwords are files; 3 tokens"),
        ("frame 3 at 12:30", "frame 3 at 12:30"),
    ],
)
def test_no_secret_is_logged(text: str, shown: str) -> None:
    assert logs.masked(text) == shown


def test_a_repeated_message_is_held_back_and_counted() -> None:
    now_s = [0.0]
    limit = logs.RepeatLimit(burst=2, period_s=60.0, clock=lambda: now_s[0])

    def passes(template: str) -> logging.LogRecord | None:
        record = logging.LogRecord("edgemon", logging.WARNING, "", 0, template, None, None)
        return record if limit.filter(record) else None

    assert [bool(passes("camera lost")) for _ in range(5)] == [True, True, False, False, False]
    assert passes("broker away")
    now_s[0] = 61.0
    record = passes("camera lost")
    assert record is not None
    assert record.repeated == 3  # type: ignore[attr-defined]


def test_the_memory_of_repeated_messages_is_bounded() -> None:
    limit = logs.RepeatLimit(keep=4)
    for number in range(100):
        limit.filter(logging.LogRecord("edgemon", logging.INFO, "", 0, f"message {number}", None, None))
    assert len(limit._seen) == 4


def test_under_journald_the_priority_leads_the_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, root_logger: logging.Logger
) -> None:
    with (tmp_path / "journal").open("w+") as journal:
        stat = os.fstat(journal.fileno())
        monkeypatch.setenv("JOURNAL_STREAM", f"{stat.st_dev}:{stat.st_ino}")
        logs.configure("debug", journal)
        root_logger.error("outbox is full")
        root_logger.debug("tick")
        journal.flush()
        lines = (tmp_path / "journal").read_text().splitlines()
    assert [line[:4] for line in lines] == ["<3>{", "<7>{"]
    assert json.loads(lines[0][3:])["msg"] == "outbox is full"


def test_a_stream_without_a_file_is_not_the_journal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JOURNAL_STREAM", "8:1")
    assert not logs.under_journald(io.StringIO())
    assert not logs.under_journald(sys.__stderr__ or io.StringIO())
