"""A real PostgreSQL on a free loopback port, in a folder of its own, as a user who is not root."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from conftest import free_port

USER = "edgemon"


def programs() -> Path:
    """Where initdb is; skips where there is none."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    if not found:
        pytest.skip("needs PostgreSQL: apt-get install postgresql")
    if os.geteuid() == 0 and shutil.which("setpriv") is None:
        pytest.skip("needs setpriv of util-linux: PostgreSQL refuses to run as root")
    return found[-1].parent


class Server:
    """One server; databases in it are made by `database`."""

    def __init__(self, folder: Path) -> None:
        self.folder, self._programs, self.port = folder, programs(), free_port()
        self._made = 0
        folder.mkdir(mode=0o755)
        if os.geteuid() == 0:
            shutil.chown(folder, "postgres", "postgres")
            for parent in folder.parents:  # pytest's own folders let only their owner in
                if parent.stat().st_uid == os.geteuid() and not parent.stat().st_mode & 0o001:
                    parent.chmod(parent.stat().st_mode | 0o011)
        self._do("initdb", "-D", str(folder / "data"), "-U", USER, "--auth=trust", "--no-sync", "-E", "UTF8")
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c max_connections=60"
        self._do("pg_ctl", "-D", str(folder / "data"), "-l", str(folder / "log"), "-o", options, "-w", "start")

    def database(self) -> str:
        """A new, empty database; its address as the station's configuration gives it."""
        self._made += 1
        name = f"station{self._made}"
        self._do("createdb", "-h", "127.0.0.1", "-p", str(self.port), "-U", USER, name)
        return f"postgresql://{USER}@127.0.0.1:{self.port}/{name}"

    def stop(self) -> None:
        """End it at once."""
        self._do("pg_ctl", "-D", str(self.folder / "data"), "-m", "immediate", "-w", "stop")

    def _do(self, program: str, *words: str) -> None:
        as_user = ("setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups") if os.geteuid() == 0 else ()
        command = (*as_user, str(self._programs / program), *words)
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd="/", stdin=subprocess.DEVNULL)
        assert done.returncode == 0, f"{program}: {done.stdout[-500:]} {done.stderr[-500:]}"
