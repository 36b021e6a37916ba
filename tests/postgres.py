"""A real PostgreSQL on a free loopback port, in a folder of its own, as a user who is not root."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
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
    """One server; without `fsync` what it commits survives its clients' death, and not the machine's."""

    def __init__(self, *, fsync: bool = False) -> None:
        self._programs, self.port = programs(), free_port()
        self.folder = folder = Path(tempfile.mkdtemp(prefix="edgemon-postgres-"))  # pytest's let only their owner in
        if os.geteuid() == 0:
            shutil.chown(folder, "postgres", "postgres")
        self._do("initdb", "-D", str(folder / "data"), "-U", USER, "--auth=trust", "--no-sync", "-E", "UTF8")
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories="
        options += f" -c fsync={'on' if fsync else 'off'}"
        self._do("pg_ctl", "-D", str(folder / "data"), "-l", str(folder / "log"), "-o", options, "-w", "start")

    @property
    def pid(self) -> int:
        """Of the process whose children all others are."""
        return int((self.folder / "data/postmaster.pid").read_text().splitlines()[0])

    def database(self) -> str:
        """The database, emptied; its address as the station's configuration gives it."""
        where = ("-h", "127.0.0.1", "-p", str(self.port), "-U", USER)
        self._do("psql", *where, "-qc", "DROP SCHEMA public CASCADE; CREATE SCHEMA public", "postgres")
        return f"postgresql://{USER}@127.0.0.1:{self.port}/postgres"

    def stop(self) -> None:
        """End it at once."""
        self._do("pg_ctl", "-D", str(self.folder / "data"), "-m", "immediate", "-w", "stop")
        shutil.rmtree(self.folder)

    def _do(self, program: str, *words: str) -> None:
        as_user = ("setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups") if os.geteuid() == 0 else ()
        command = (*as_user, str(self._programs / program), *words)
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd="/", stdin=subprocess.DEVNULL)
        assert done.returncode == 0, f"{program}: {done.stdout[-500:]} {done.stderr[-500:]}"
