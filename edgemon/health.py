"""What the board tells about itself, and whether every stage makes progress; None where the board does not tell."""

from __future__ import annotations

import array
import ctypes
import fcntl
import functools
import math
import os
import shutil
import threading
import time
import uuid
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from edgemon.records import ClockSource

UNDERVOLTAGE = 0x1  # the bits that are true now; the same bits shifted left by 16 were true since boot
FREQUENCY_CAPPED = 0x2
THROTTLED = 0x4
SOFT_TEMPERATURE_LIMIT = 0x8
HOT_C = 80.0  # the firmware slows the cores down from here on

_SOC_ZONES = ("cpu-thermal", "soc-thermal", "cpu_thermal", "x86_pkg_temp", "acpitz")  # the truest first
_RTC_AGREES_S = 5.0
_TIME_ERROR = 5  # adjtimex(2): the clock is not synchronized
_MAILBOX = 0xC0086400  # _IOWR(100, 0, char *): the property channel of the Raspberry Pi's firmware
_GET_THROTTLED = 0x00030046
_MAILBOX_DONE = 0x80000000


@dataclass(frozen=True, slots=True)
class Board:
    """The readings of one moment."""

    temperature_c: float | None
    throttled: int | None  # UNDERVOLTAGE | FREQUENCY_CAPPED | THROTTLED | SOFT_TEMPERATURE_LIMIT, and since boot << 16
    storage_free_bytes: int | None
    memory_bytes: int | None  # resident memory of this process
    cpu_share: float | None  # of one core, since the reading before; None at the first
    clock_source: ClockSource

    @property
    def hot(self) -> bool:
        """Whether the cores are slowed down, or about to be."""
        warm = self.temperature_c is not None and self.temperature_c >= HOT_C
        return warm or bool((self.throttled or 0) & (FREQUENCY_CAPPED | THROTTLED))


class BoardReader:
    """Reads the board; `root` is where /sys, /proc, /dev and /run are found."""

    def __init__(self, state_dir: Path, root: Path = Path("/")) -> None:
        self._state_dir, self._root = state_dir, root
        self._before: tuple[float, float] | None = None

    def read(self) -> Board:
        """Everything that the board tells now."""
        return Board(
            temperature_c=temperature_c(self._root),
            throttled=throttled(self._root),
            storage_free_bytes=storage_free_bytes(self._state_dir),
            memory_bytes=memory_bytes(self._root),
            cpu_share=self._cpu_share(time.monotonic(), time.process_time()),
            clock_source=clock_source(self._root, kernel_clock_synced(), time.time()),
        )

    def _cpu_share(self, now_s: float, used_s: float) -> float | None:
        before, self._before = self._before, (now_s, used_s)
        if before is None or now_s <= before[0]:
            return None
        return (used_s - before[1]) / (now_s - before[0])


def temperature_c(root: Path = Path("/")) -> float | None:
    """Temperature of the SoC in degrees Celsius, or of the first thermal zone where none is known by name."""
    zones: dict[str, float] = {}
    for zone in sorted(root.glob("sys/class/thermal/thermal_zone*")):
        kind, value = _text(zone / "type"), _number(zone / "temp")
        if kind is not None and value is not None:
            zones.setdefault(kind, value / 1000.0)
    named = [zones[kind] for kind in _SOC_ZONES if kind in zones]
    return next(iter(named or zones.values()), None)


def throttled(root: Path = Path("/")) -> int | None:
    """The firmware's throttling bits; from the voltage sensor alone only UNDERVOLTAGE; None on other boards."""
    bits = _firmware_throttled(root / "dev/vcio")
    if bits is not None:
        return bits
    for sensor in sorted(root.glob("sys/class/hwmon/hwmon*")):
        alarm = _number(sensor / "in0_lcrit_alarm")
        if _text(sensor / "name") == "rpi_volt" and alarm is not None:
            return UNDERVOLTAGE if alarm else 0
    return None


def _firmware_throttled(device: Path) -> int | None:
    # size in bytes, request, tag, size of its value, request, value (0: reset no sticky bit), end
    message = array.array("I", (28, 0, _GET_THROTTLED, 4, 0, 0, 0))
    try:
        fd = os.open(device, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.ioctl(fd, _MAILBOX, message, True)
    except OSError:
        return None
    finally:
        os.close(fd)
    return message[5] if message[1] == _MAILBOX_DONE else None


def storage_free_bytes(folder: Path) -> int | None:
    """Bytes that the folder's file system still takes; None where there is no such folder."""
    try:
        return shutil.disk_usage(folder).free
    except OSError:
        return None


def memory_bytes(root: Path = Path("/")) -> int | None:
    """Resident memory of this process."""
    pages = (_text(root / "proc/self/statm") or "").split()
    return int(pages[1]) * os.sysconf("SC_PAGE_SIZE") if len(pages) > 1 else None


def kernel_clock_synced() -> bool | None:
    """Whether something disciplines the kernel's clock, by adjtimex(2); None where asking is forbidden."""
    libc = ctypes.CDLL(None, use_errno=True)
    state = libc.adjtimex(ctypes.create_string_buffer(256))  # struct timex, modes 0: read only
    return None if state < 0 else state != _TIME_ERROR


def clock_source(root: Path, kernel_synced: bool | None, wall_s: float) -> ClockSource:
    """Where the wall clock comes from: ntp, rtc or unsynced.

    The kernel's word counts; where asking it is forbidden (ProtectClock=yes), the mark that systemd-timesyncd sets at
    its first contact. A hardware clock counts when the kernel started from it and it still agrees within 5 s.
    """
    marked = (root / "run/systemd/timesync/synchronized").exists()
    if kernel_synced or (kernel_synced is None and marked):
        return "ntp"
    for clock in root.glob("sys/class/rtc/rtc*"):
        since_epoch_s = _number(clock / "since_epoch")
        trusted = _number(clock / "hctosys") == 1
        if trusted and since_epoch_s is not None and abs(since_epoch_s - wall_s) <= _RTC_AGREES_S:
            return "rtc"
    return "unsynced"


@functools.cache
def boot_id(root: Path = Path("/")) -> str:
    """32 hex digits that name this boot; where the kernel does not tell, digits that name this process."""
    told = (_text(root / "proc/sys/kernel/random/boot_id") or "").replace("-", "")
    return told if len(told) == 32 else uuid.uuid4().hex


def _text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return None


def _number(path: Path) -> int | None:
    text = _text(path) or ""
    return int(text) if text.lstrip("-").isdigit() else None


@dataclass(frozen=True, slots=True)
class Latency:
    """How long a stage took, in milliseconds (nearest-rank percentiles over its newest `count` turns)."""

    p50_ms: float
    p95_ms: float
    p99_ms: float
    count: int

    @classmethod
    def of(cls, taken_s: Iterable[float]) -> Latency | None:
        """The percentiles of durations in seconds; None of none."""
        ranked = sorted(taken_s)
        if not ranked:
            return None
        p50, p95, p99 = (ranked[math.ceil(q * len(ranked)) - 1] * 1000.0 for q in (0.50, 0.95, 0.99))
        return cls(p50, p95, p99, len(ranked))


class Progress:
    """When each stage last got something done and how long its newest turns took; any thread may tell or ask.

    All times are monotonic seconds. The stages named at the start must make progress; a stage that is only timed
    need not.
    """

    def __init__(self, stages: Iterable[str], start_s: float, keep: int = 512) -> None:
        self._beats = dict.fromkeys(stages, start_s)
        self._taken: dict[str, deque[float]] = {}
        self._keep = keep
        self._lock = threading.Lock()

    def beat(self, stage: str, now_s: float) -> None:
        """The stage got something done.

        Raises:
            KeyError: this stage was not named at the start.
        """
        with self._lock:
            self._beats[stage] = max(now_s, self._beats[stage])

    def took(self, stage: str, taken_s: float) -> None:
        """One turn of the stage took so long; only the newest `keep` are remembered."""
        with self._lock:
            self._taken.setdefault(stage, deque(maxlen=self._keep)).append(taken_s)

    def stuck(self, now_s: float, limit_s: float) -> tuple[str, ...]:
        """The stages that have got nothing done for longer than the limit."""
        with self._lock:
            return tuple(stage for stage, beat_s in self._beats.items() if now_s - beat_s > limit_s)

    def alive(self, now_s: float, limit_s: float) -> bool:
        """Whether no stage is stuck: the one reason to feed the watchdog."""
        return not self.stuck(now_s, limit_s)

    def latency(self) -> dict[str, Latency]:
        """The percentiles of every stage that was timed."""
        with self._lock:
            taken = {stage: tuple(durations_s) for stage, durations_s in self._taken.items()}
        return {stage: found for stage, durations_s in taken.items() if (found := Latency.of(durations_s)) is not None}
