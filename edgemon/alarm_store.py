"""What alarms must not forget over a restart: where each stands, and a bounded log of their moves."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from edgemon.events.engine import LogRow, Snapshot

LOG_MAX_BYTES = 1_000_000  # two files of it are kept

log = logging.getLogger(__name__)
_SNAPSHOTS = TypeAdapter(tuple[Snapshot, ...])
_LOG_ROW = TypeAdapter(LogRow)


class AlarmStore:
    """Two small files in the state directory; a full disk costs a log line here, never an alarm on the wire."""

    def __init__(self, folder: Path) -> None:
        self._snapshots = folder / "alarms.json"
        self._log = folder / "alarm_log.jsonl"
        self._written = b""

    def load(self, boot: str) -> tuple[tuple[Snapshot, ...], bool]:
        """The snapshots of an earlier run, none where the file is damaged; and whether it was in this boot."""
        try:
            data = json.loads(self._snapshots.read_bytes())
            return _SNAPSHOTS.validate_python(data["beds"]), data["boot"] == boot
        except FileNotFoundError:
            return (), True
        except (OSError, ValueError, KeyError, TypeError, ValidationError) as error:
            log.error("%s: alarms start anew: %s", self._snapshots, str(error).splitlines()[0])
            return (), True

    def save(self, boot: str, snapshots: Iterable[Snapshot]) -> None:
        """Keep where every alarm stands; writes only what changed."""
        kept = tuple(snapshots)
        gist = _SNAPSHOTS.dump_json(tuple(snapshot.model_copy(update={"taken_s": 0.0}) for snapshot in kept))
        if gist == self._written:
            return
        fresh = self._snapshots.with_suffix(".new")
        try:
            fresh.write_text(
                json.dumps({"boot": boot, "beds": _SNAPSHOTS.dump_python(kept, mode="json")}), encoding="utf-8"
            )
            fresh.replace(self._snapshots)
        except OSError as error:
            log.error("%s: cannot be written: %s", self._snapshots, error.strerror)
            return
        self._written = gist

    def append(self, rows: Iterable[LogRow], ts: str) -> None:
        """Write moves to the log, each with the wall time at which it was written."""
        lines = [json.dumps({"ts": ts, **_LOG_ROW.dump_python(row, mode="json")}) + "\n" for row in rows]
        if not lines:
            return
        try:
            if self._log.exists() and self._log.stat().st_size > LOG_MAX_BYTES:
                self._log.replace(self._log.with_suffix(".1.jsonl"))
            with self._log.open("a", encoding="utf-8") as file:
                file.writelines(lines)
        except OSError as error:
            log.error("%s: cannot be written: %s", self._log, error.strerror)
