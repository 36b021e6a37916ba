"""Logs as one JSON object a line, bounded in rate, with secrets masked and syslog priorities under journald."""

from __future__ import annotations

import json
import logging
import os
import re
import sys
import time
from collections import OrderedDict
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TextIO

_PRIORITY = {logging.CRITICAL: 2, logging.ERROR: 3, logging.WARNING: 4, logging.INFO: 6, logging.DEBUG: 7}
_SECRETS = (
    (re.compile(r"(?<=://)[^\s/@]+(?=@)"), "***"),  # user:password of an rtsp:// address
    (
        re.compile(r"(?i)\b((?:password|passwd|secret|token|api_?key)['\"]?\s*[=:]\s*)('[^']*'|\"[^\"]*\"|\S+)"),
        r"\1***",
    ),
)


def masked(text: str) -> str:
    """The text with credentials in addresses, and values named password, secret or token, replaced by ***."""
    for pattern, replacement in _SECRETS:
        text = pattern.sub(replacement, text)
    return text


class JsonFormatter(logging.Formatter):
    """One record as one line: level, logger, msg, mono_ms, ts (UTC), and bed, repeated, exc where there are any.

    `prefixed` puts the sd-daemon(3) priority such as <3> before it, which journald strips off and files.
    """

    def __init__(self, *, prefixed: bool = False) -> None:
        super().__init__()
        self._prefixed = prefixed

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "level": record.levelname.lower(),
            "logger": record.name,
            "msg": masked(record.getMessage()),
            "mono_ms": round(time.monotonic() * 1000),
            "ts": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        }
        line |= {name: value for name in ("bed", "repeated") if (value := getattr(record, name, None)) is not None}
        if record.exc_info:
            line["exc"] = masked(self.formatException(record.exc_info))
        prefix = f"<{_PRIORITY.get(record.levelno, 5)}>" if self._prefixed else ""
        return prefix + json.dumps(line, default=str)


class RepeatLimit(logging.Filter):
    """Lets the same message (logger, level and template) pass `burst` times in `period_s` seconds.

    The first one to pass after that carries as `repeated` how many were held back. At most `keep` messages are
    remembered; the one unseen for longest is forgotten.
    """

    def __init__(
        self, burst: int = 5, period_s: float = 60.0, keep: int = 256, clock: Callable[[], float] = time.monotonic
    ) -> None:
        super().__init__()
        self._burst, self._period_s, self._keep, self._clock = burst, period_s, keep, clock
        self._seen: OrderedDict[tuple[str, int, str], tuple[float, int]] = OrderedDict()

    def filter(self, record: logging.LogRecord) -> bool:
        key = (record.name, record.levelno, str(record.msg))
        now_s = self._clock()
        start_s, count = self._seen.pop(key, (now_s, 0))
        if now_s - start_s >= self._period_s:
            if count > self._burst:
                record.repeated = count - self._burst
            start_s, count = now_s, 0
        self._seen[key] = (start_s, count + 1)
        if len(self._seen) > self._keep:
            self._seen.popitem(last=False)
        return count < self._burst


def under_journald(stream: TextIO) -> bool:
    """Whether the stream is the one that JOURNAL_STREAM names (systemd.exec(5))."""
    try:
        stat = os.fstat(stream.fileno())
    except (OSError, ValueError):
        return False
    return os.environ.get("JOURNAL_STREAM") == f"{stat.st_dev}:{stat.st_ino}"


def configure(level: str, stream: TextIO | None = None) -> None:
    """Send all logging, from `level` (debug, info, warning, error) on, to the stream (default: stderr)."""
    stream = sys.stderr if stream is None else stream
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter(prefixed=under_journald(stream)))
    handler.addFilter(RepeatLimit())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
