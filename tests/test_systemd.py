"""What the service tells systemd, read from a real datagram socket; and what systemd itself says about the unit."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgemon.config import Config
from edgemon.systemd import Notifier, watchdog_period_s

ROOT = Path(__file__).resolve().parent.parent
UNIT = ROOT / "systemd" / "edgemon.service"
INSTALL = ROOT / "systemd" / "install.sh"
needs_systemd = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze")


@pytest.fixture(params=["path", "abstract"])
def supervisor(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[socket.socket]:
    """A socket that listens as systemd does."""
    name = str(tmp_path / "notify") if request.param == "path" else f"@edgemon-test-{uuid.uuid4()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
        s.bind(name.replace("@", "\0", 1) if name.startswith("@") else name)
        s.settimeout(5.0)
        monkeypatch.setenv("NOTIFY_SOCKET", name)
        yield s


@pytest.mark.parametrize(
    ("call", "said"),
    [("ready", b"READY=1"), ("stopping", b"STOPPING=1"), ("watchdog", b"WATCHDOG=1")],
)
def test_says_the_words_of_sd_notify(supervisor: socket.socket, call: str, said: bytes) -> None:
    getattr(Notifier(), call)()
    assert supervisor.recv(4096) == said


def test_reloading_carries_the_monotonic_time_that_systemd_asks_for(supervisor: socket.socket) -> None:
    Notifier().reloading()
    assert re.fullmatch(rb"RELOADING=1\nMONOTONIC_USEC=\d+", supervisor.recv(4096))


def test_status_stays_one_line_so_that_it_cannot_smuggle_a_command(supervisor: socket.socket) -> None:
    Notifier().status("two beds\nWATCHDOG=1 é")
    assert supervisor.recv(4096).decode() == "STATUS=two beds WATCHDOG=1 é"


def test_says_nothing_where_nobody_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    notifier = Notifier()
    notifier.ready()
    assert not notifier.supervised


def test_a_supervisor_that_has_gone_is_an_error_and_not_silence(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "gone"))
    with pytest.raises(FileNotFoundError):
        Notifier().ready()


@pytest.mark.parametrize(
    ("usec", "pid", "period_s"),
    [
        (None, None, None),
        ("20000000", None, 20.0),
        ("20000000", str(os.getpid()), 20.0),
        ("20000000", "1", None),
        ("0", None, None),
        ("soon", None, None),
    ],
)
def test_watchdog_period(
    monkeypatch: pytest.MonkeyPatch, usec: str | None, pid: str | None, period_s: float | None
) -> None:
    for name, value in (("WATCHDOG_USEC", usec), ("WATCHDOG_PID", pid)):
        monkeypatch.delenv(name, raising=False)
        if value is not None:
            monkeypatch.setenv(name, value)
    assert watchdog_period_s() == period_s


def _settings() -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for line in UNIT.read_text().splitlines():
        if line and line[0] not in "#;[":
            key, _, value = line.partition("=")
            found.setdefault(key, []).append(value)
    return found


@needs_systemd
def test_the_unit_is_valid(tmp_path: Path) -> None:
    program = tmp_path / "opt/edgemon/.venv/bin/edgemon"
    program.parent.mkdir(parents=True)
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    units = tmp_path / "etc/systemd/system"
    units.mkdir(parents=True)
    shutil.copy(UNIT, units)
    for target in ("sysinit", "basic", "multi-user", "network", "network-online", "time-sync", "shutdown"):
        (units / f"{target}.target").write_text(f"[Unit]\nDescription={target}\n")
    verdict = subprocess.run(
        ["systemd-analyze", "verify", "--recursive-errors=no", f"--root={tmp_path}",
         "/etc/systemd/system/edgemon.service"],
        capture_output=True, text=True,
    )  # fmt: skip
    assert (verdict.returncode, verdict.stdout + verdict.stderr) == (0, "")


@needs_systemd
def test_the_unit_exposes_no_more_than_1_3() -> None:
    verdict = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--no-pager", "--threshold=13", str(UNIT)],
        capture_output=True, text=True,
    )  # fmt: skip
    assert verdict.returncode == 0, verdict.stdout + verdict.stderr


def test_the_unit_may_write_only_the_state_folder_of_the_default_configuration() -> None:
    settings = _settings()
    assert [f"/var/lib/{name}" for name in settings["StateDirectory"]] == [str(Config().state_dir)]
    assert settings["ProtectSystem"] == ["strict"]
    assert "ReadWritePaths" not in settings


@pytest.mark.parametrize(
    ("key", "value"),
    [("Type", "notify"), ("NotifyAccess", "main"), ("WatchdogSec", "20"), ("Restart", "always"), ("LimitCORE", "0")],
)
def test_the_unit_is_watched_and_leaves_no_picture_in_a_core_dump(key: str, value: str) -> None:
    assert _settings()[key] == [value]


def test_the_unit_switches_the_telemetry_of_onnxruntime_off() -> None:
    assert "ORT_DISABLE_TELEMETRY=1" in " ".join(_settings()["Environment"])


def test_the_installer_is_valid_shell() -> None:
    for shell in ("bash", "sh"):
        assert subprocess.run([shell, "-n", str(INSTALL)]).returncode == 0


def test_the_installer_tells_what_it_would_do_and_does_nothing(tmp_path: Path) -> None:
    told = subprocess.run(
        ["sh", str(INSTALL), "--dry-run", "--prefix", str(tmp_path / "opt"), "--etc", str(tmp_path / "etc"),
         "--allow", "192.168.10.5"],
        capture_output=True, text=True, env=os.environ | {"PYTHON": sys.executable},
    )  # fmt: skip
    assert told.returncode == 0, told.stderr
    for step in (
        "-m venv --system-site-packages",
        "--require-hashes",
        "edgemon.service",
        "=localhost 192.168.10.5",
        "edgemon doctor",
    ):
        assert step in told.stdout
    assert not list(tmp_path.iterdir())


def test_the_installer_refuses_an_option_that_it_does_not_know() -> None:
    told = subprocess.run(["sh", str(INSTALL), "--force"], capture_output=True, text=True)
    assert told.returncode == 2
    assert "--force" in told.stderr
