"""What alarms must not forget over a restart: where each stands, and a bounded log of their moves."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError, field_validator

from edgemon.events.engine import LogRow, Snapshot

LOG_MAX_BYTES = 1_000_000  # two files of it are kept

log = logging.getLogger(__name__)
_LOG_ROW = TypeAdapter(LogRow)


class Kept(BaseModel):
    """Where all alarms stood, in which boot."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    boot: str
    beds: tuple[Snapshot, ...]

    @field_validator("beds")
    @classmethod
    def _distinct(cls, beds: tuple[Snapshot, ...]) -> tuple[Snapshot, ...]:
        if len({snapshot.bed for snapshot in beds}) < len(beds):
            raise ValueError("a bed has two snapshots")
        return beds


class AlarmStore:
    """Two small files in the state directory; a full disk costs a log line here, never an alarm on the wire."""

    def __init__(self, folder: Path) -> None:
        self._snapshots = folder / "alarms.json"
        self._log = folder / "alarm_log.jsonl"
        self._written: tuple[object, ...] = ()
        self._failing: set[Path] = set()  # told once, until it works again

    def load(self) -> Kept | None:
        """What an earlier run left, or None where there was none or the file is damaged."""
        try:
            return Kept.model_validate_json(self._snapshots.read_bytes())
        except FileNotFoundError:
            return None
        except OSError as error:
            why = error.strerror or str(error)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            why = f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
        log.error("%s: alarms start anew: %s", self._snapshots, why)
        return None

    def save(self, boot: str, beds: tuple[Snapshot, ...]) -> None:
        """Keep where every alarm stands; writes only what changed."""
        gist = tuple(snapshot.rows for snapshot in beds)
        if gist == self._written:
            return
        fresh = self._snapshots.with_suffix(".new")
        with self._writing(self._snapshots):
            with fresh.open("w", encoding="utf-8") as file:
                file.write(Kept(boot=boot, beds=beds).model_dump_json())
                file.flush()
                os.fsync(file.fileno())
            fresh.replace(self._snapshots)
            self._written = gist

    def append(self, rows: Iterable[LogRow], ts: str) -> None:
        """Write moves to the log, each with the wall time at which it was written."""
        lines = [json.dumps({"ts": ts, **_LOG_ROW.dump_python(row, mode="json")}) + "\n" for row in rows]
        if not lines:
            return
        with self._writing(self._log):
            if self._log.exists() and self._log.stat().st_size > LOG_MAX_BYTES:
                self._log.replace(self._log.with_suffix(".1.jsonl"))
            with self._log.open("a", encoding="utf-8") as file:
                file.writelines(lines)

    @contextmanager
    def _writing(self, path: Path) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if path not in self._failing:
                log.error("%s: cannot be written: %s", path, error.strerror)
            self._failing.add(path)
        else:
            self._failing.discard(path)
