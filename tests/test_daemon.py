"""The daemon from outside: two beds, a camera that goes, a second daemon, the end of a file."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT, eventually
from daemon import edgemon, heard, running, write_config
from mosquitto import Broker

from edgemon import daemon as daemon_module
from edgemon.config import Bed, load
from edgemon.frames.fake import FakeSource
from edgemon.messages import payloads as p

pytestmark = pytest.mark.skipif(not (ROOT / "models/face.toml").is_file(), reason="no released models in this tree")


def plain(broker: Broker) -> dict[str, object]:
    return {"host": "127.0.0.1", "port": broker.plain}


def test_two_beds_in_one_daemon_keep_apart(tmp_path: Path, broker: Broker) -> None:
    """Two clips: each bed's face, state and heart rate come under its own topic, and only there."""
    beds = [{"id": "cot-a", "source": "clip", "loop": True}, {"id": "cot-b", "source": "clip2", "loop": True}]
    config = write_config(tmp_path, beds=beds, mqtt=plain(broker))
    wanted = {(bed, kind) for bed in ("cot-a", "cot-b") for kind in ("State", "HeartRateVital")}
    words = ["-h", "127.0.0.1", "-p", str(broker.plain), "-t", "edgemon/v1/#", "-W", "60"]
    with heard(words) as messages, running(config):
        for topic, payload in messages:
            assert isinstance(payload, p.Header)
            assert f"/{payload.bed}/" in topic
            seen = isinstance(payload, p.HeartRateVital) or (isinstance(payload, p.State) and payload.face.value)
            if seen:
                wanted.discard((payload.bed, type(payload).__name__))
            if not wanted:
                break
    assert not wanted


def test_a_file_that_ends_ends_the_daemon(tmp_path: Path, broker: Broker) -> None:
    """Without `loop` the end of all files is the end of the run, with exit code 0."""
    config = write_config(tmp_path, beds=[{"id": "cot-1", "source": "clip2"}], mqtt=plain(broker))
    assert edgemon("run", "--config", str(config)).returncode == 0


def test_a_second_daemon_on_the_same_state_is_refused(tmp_path: Path, broker: Broker) -> None:
    """One line, exit code 5, and the first goes on."""
    config = write_config(tmp_path, beds=[{"id": "cot-1", "loop": True}], mqtt=plain(broker))
    with running(config) as first:
        eventually((tmp_path / "state/counters.json").exists, 30, "the first daemon")
        second = edgemon("run", "--config", str(config))
        assert first.poll() is None
    assert (second.returncode, second.stderr.count("\n")) == (5, 1)
    assert "another edgemon runs on it" in second.stderr


def test_a_camera_that_goes_is_told_within_two_seconds(
    tmp_path: Path, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Frames stop: a technical alarm, no physiological one, and the heart rate says why it is gone."""
    picture = np.full((480, 640, 3), 128, np.uint8)
    gone = threading.Event()

    def source(bed: Bed, *, paced: bool) -> FakeSource:
        return FakeSource([*[picture] * 30, gone], bed=bed.id, start_s=time.monotonic(), live=paced)

    monkeypatch.setattr(daemon_module, "open_source", source)
    config = write_config(tmp_path, beds=[{"id": "cot-1"}], mqtt=plain(broker))
    words = ["-h", "127.0.0.1", "-p", str(broker.plain), "-t", "edgemon/v1/+/+/+/+/alarm/+", "-W", "30"]
    with heard(words) as messages:
        one = threading.Thread(target=daemon_module.Daemon(load(config), duration_s=8.0).run, name="daemon")
        monkeypatch.setattr(daemon_module, "stop_socket", _no_signals)
        one.start()
        alarms = []
        for _, payload in messages:
            assert isinstance(payload, p.Alarm)
            alarms.append(payload)
            if payload.condition == "camera_lost":
                break
        gone.set()  # the camera's thread can end
        one.join(30)
    assert not one.is_alive()
    assert {alarm.kind for alarm in alarms} == {"technical"}
    assert alarms[-1].value is not None
    assert alarms[-1].value <= 2.0
    assert alarms[-1].signal_delay_ms <= 500


def _no_signals() -> object:
    """Signals can be handled in the main thread alone; here the duration ends the daemon."""

    @contextlib.contextmanager
    def never() -> Iterator[socket.socket]:
        ours, theirs = socket.socketpair()
        with ours, theirs:
            yield ours

    return never()
