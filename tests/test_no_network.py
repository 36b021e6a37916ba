"""The daemon opens no internet socket but to its broker, and writes no file outside its state directory."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT
from daemon import write_config
from mosquitto import Broker

pytestmark = [
    pytest.mark.skipif(not (ROOT / "models/face.toml").is_file(), reason="no released models in this tree"),
    pytest.mark.skipif(shutil.which("strace") is None, reason="needs strace: apt-get install strace"),
]
CALLS = (
    "trace=connect,bind,listen,sendto,"
    "open,openat,creat,rename,renameat,renameat2,unlink,unlinkat,mkdir,mkdirat,truncate"
)


@pytest.fixture(scope="module")
def trace(tmp_path_factory: pytest.TempPathFactory, certificates: Path) -> tuple[Path, int, list[str]]:
    """Ten seconds of the daemon under strace, in a network namespace that has only loopback where that is allowed."""
    folder = tmp_path_factory.mktemp("traced")
    (folder / "broker").mkdir()
    broker = Broker(folder / "broker", certificates)
    broker.start()
    home = folder / "home"
    home.mkdir()
    mqtt = {"host": "127.0.0.1", "port": broker.plain}
    config = write_config(folder, beds=[{"id": "cot-1", "loop": True}], mqtt=mqtt)
    out = folder / "strace"
    command = ["strace", "-f", "-qq", "-o", str(out), "-e", CALLS, sys.executable, "-B", "-m", "edgemon"]
    words = ["run", "--config", str(config), "--duration-s", "10"]
    try:
        result = subprocess.run(
            [*command, *words],
            env={"HOME": str(home), "PATH": "/usr/bin:/bin"},
            capture_output=True,
            text=True,
            timeout=120,
        )
    finally:
        broker.stop()
    if "ptrace" in result.stderr and result.returncode:
        pytest.skip("this machine does not allow strace")
    assert result.returncode == 0, result.stderr
    assert not list(home.iterdir()), "something was written below the home directory"
    return folder, broker.plain, out.read_text(errors="replace").splitlines()


def test_no_internet_socket_but_the_brokers(trace: tuple[Path, int, list[str]]) -> None:
    """Every connect and datagram of family inet goes to the broker, but for paho's own pair of loopback sockets.

    paho wakes its thread through a socket that listens on an ephemeral loopback port, and one connection to it; its
    connections to the broker start from port 0 of any address, which is no listening.
    """
    _, port, lines = trace
    inet = [line for line in lines if "AF_INET" in line]
    assert inet, "the trace shows no connection at all, so it proves nothing"
    binds = [line for line in inet if "bind(" in line]
    assert [line for line in binds if "sin_port=htons(0)" not in line] == []
    out = [line for line in inet if "bind(" not in line]
    assert [line for line in out if 'sin_addr=inet_addr("127.0.0.1")' not in line] == []
    pairs = [line for line in binds if 'inet_addr("127.0.0.1")' in line]
    assert len([line for line in out if f"sin_port=htons({port})" not in line]) <= len(pairs)
    assert len([line for line in lines if "listen(" in line]) <= len(pairs)


def test_no_file_is_written_outside_the_state_directory(trace: tuple[Path, int, list[str]]) -> None:
    """Files opened for writing, made, renamed or removed lie below state_dir; /dev/null is none."""
    folder, _, lines = trace
    writes = re.compile(r"O_WRONLY|O_RDWR|O_CREAT|\b(?:creat|rename\w*|unlink\w*|mkdir\w*|truncate)\(")
    paths = [
        m.group(1)
        for line in lines
        if writes.search(line) and " = -1 " not in line and (m := re.search(r'"([^"]*)"', line))
    ]
    assert paths, "the trace shows no file at all, so it proves nothing"
    inside = (str(folder / "state"), "/dev/null", "/dev/shm/sem.", "/proc/self/")
    assert [path for path in paths if not path.startswith(inside)] == []
