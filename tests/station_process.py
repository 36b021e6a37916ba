"""An `edgemon station` in a process of its own, for tests that kill it."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import yaml


class StationProcess:
    """One process of a station; its words go to FOLDER/NAME.log."""

    def __init__(self, folder: Path, name: str, **settings: object) -> None:
        self.config, self.log = folder / f"{name}.yaml", folder / f"{name}.log"
        self.config.write_text(yaml.safe_dump(settings), encoding="utf-8")
        self.start()

    def start(self) -> None:
        """Start it, again too."""
        with self.log.open("ab") as out:
            words = (sys.executable, "-m", "edgemon", "station", "--config", str(self.config))
            self.process = subprocess.Popen(words, stdout=out, stderr=out)

    @property
    def connected(self) -> bool:
        """Whether it has said so; fails where it ended."""
        assert self.process.poll() is None, self.words
        return "connected to broker" in self.words

    @property
    def words(self) -> str:
        """What it has said."""
        return self.log.read_text(encoding="utf-8")

    def kill(self) -> None:
        """Kill -9."""
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        """SIGTERM; its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(20)
