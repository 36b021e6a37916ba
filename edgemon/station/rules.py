"""What the station itself alarms about: silence, and a device that its last will calls offline; pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

from edgemon.records import Priority
from edgemon.station.nouns import Notice, Pulse

PRIORITY = Priority.MEDIUM  # as of the device's own camera_lost: the infant is watched by nobody


@dataclass(frozen=True, slots=True)
class Verdict:
    """What has to be opened and closed."""

    opened: tuple[Notice, ...]
    closed: tuple[Notice, ...]


class Steady:
    """Ages of what was heard by a clock that nobody sets: a wall clock that is set back makes no silence look short."""

    def __init__(self) -> None:
        self._first_ms: dict[
            str, tuple[int, int]
        ] = {}  # by place: when it was heard, and when that was first seen here

    def aged(self, pulses: Iterable[Pulse], now_ms: int, steady_ms: int) -> list[Pulse]:
        """Pulses as old as either clock says."""
        known, self._first_ms = self._first_ms, {}
        found = []
        for pulse in pulses:
            heard_ms, first_ms = known.get(pulse.place, (None, 0))
            first_ms = first_ms if heard_ms == pulse.heard_ms else steady_ms
            self._first_ms[pulse.place] = (pulse.heard_ms, first_ms)
            found.append(replace(pulse, heard_ms=min(pulse.heard_ms, now_ms - (steady_ms - first_ms))))
        return found


def judge(
    pulses: Iterable[Pulse], standing: Iterable[Notice], now_ms: int, *, silence_ms: int, since_ms: int
) -> Verdict:
    """Compare what should stand with what does.

    Silence counts from `since_ms` at the earliest, when the station began to listen, so that its own restart raises
    nothing; but only a word of the bed closes what stands.
    """
    stands = {(notice.place, notice.condition): notice for notice in standing}
    opened, keeps = [], set()
    for pulse in pulses:
        condition = _condition(pulse, now_ms, silence_ms)
        if condition is None:
            continue
        keeps.add((pulse.place, condition))
        listening = condition == "device_offline" or now_ms - since_ms > silence_ms
        if (pulse.place, condition) not in stands and listening:
            opened.append(Notice(pulse.place, condition, PRIORITY, now_ms))
    return Verdict(tuple(opened), tuple(notice for key, notice in stands.items() if key not in keeps))


def _condition(pulse: Pulse, now_ms: int, silence_ms: int) -> Literal["no_data", "device_offline"] | None:
    """One cause, one alarm: of an offline device it is not news that it is silent."""
    if pulse.online == "offline":
        return "device_offline"
    return "no_data" if now_ms - pulse.heard_ms > silence_ms else None
