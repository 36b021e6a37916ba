"""What every test gets: no leaked threads, loopback only, waiting without sleeping, the shared data where it exists."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

pytest_plugins = ["station_browser"]

if TYPE_CHECKING:
    from mosquitto import Broker
    from postgres import Server

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(autouse=True)
def no_leaked_threads() -> Iterator[None]:
    """Fail a test that leaves a thread running."""
    before = set(threading.enumerate())
    yield
    leaked = [t for t in threading.enumerate() if t not in before and not t.name.startswith("pydev")]
    for thread in leaked:
        thread.join(2.0)
    alive = [t.name for t in leaked if t.is_alive()]
    assert not alive, f"threads left running: {alive}"


@pytest.fixture(autouse=True)
def loopback_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Refuse every connection that leaves this machine."""
    connect = socket.socket.connect

    def guarded(self: socket.socket, address: object) -> None:
        if self.family in (socket.AF_INET, socket.AF_INET6) and isinstance(address, tuple):
            assert address[0] in ("127.0.0.1", "::1", "localhost"), f"a test tried to reach {address}"
        connect(self, address)  # type: ignore[arg-type]

    monkeypatch.setattr(socket.socket, "connect", guarded)


def free_port() -> int:
    """A loopback port that is free now."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


def eventually(predicate: Callable[[], object], timeout_s: float = 10.0, what: str = "the condition") -> None:
    """Wait until the predicate holds; for peers that offer no event to wait for (processes, sockets)."""
    pause = threading.Event()
    end = time.monotonic() + timeout_s
    while not predicate():
        assert time.monotonic() < end, f"{what} did not come true within {timeout_s} s"
        pause.wait(0.01)


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An authority and a certificate for each peer, made once."""
    import mosquitto

    mosquitto.require()
    folder = tmp_path_factory.mktemp("certificates")
    mosquitto.make_certificates(folder)
    return folder


@pytest.fixture
def broker(tmp_path: Path, certificates: Path) -> Iterator[Broker]:
    """A running mosquitto."""
    import mosquitto

    folder = tmp_path / "broker"
    folder.mkdir()
    made = mosquitto.Broker(folder, certificates)
    made.start()
    yield made
    made.stop()


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    """A running PostgreSQL."""
    from postgres import Server

    server = Server()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder beside the project that holds meshes, photographs and pulse recordings."""
    folder = ROOT.parent / "shared"
    if not (folder / "data").is_dir():
        pytest.skip("needs ../shared/data, which is not beside this checkout")
    return folder


@pytest.fixture(scope="session")
def egl() -> None:
    """Skips where there is no EGL; a process of its own asks, for a failing driver may not raise cleanly."""
    ask = "import moderngl; from export.infant.render import EGL; moderngl.create_context(standalone=True, **EGL)"
    answer = subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True, check=False)
    if answer.returncode != 0:
        pytest.skip("no EGL here: install libegl1, libgl1 and libgl1-mesa-dri")
