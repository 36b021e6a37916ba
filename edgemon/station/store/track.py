"""The numbers of one device: which message is newer, which never came, and how far its clock is from ours; pure."""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from edgemon.messages import payloads as p

MAX_GAPS = 64
MAX_OFFSETS = 20
Order = tuple[int, int, int]  # life, session, seq


@dataclass(slots=True)
class Track:
    """What is counted of one device's newest session.

    `life` rises when a device comes with a smaller session number and another boot: its counters were lost, and what
    it says is newer all the same. `first_seq` is -1 until a message of the session has come that was not retained.
    """

    base: str
    life: int = 1
    boot: str = ""
    past: str = ""  # the boot of the life before
    session: int = 0
    first_seq: int = -1
    newest_seq: int = -1
    gaps: list[list[int]] = field(default_factory=list)
    lost: int = 0
    fresh: int = 0
    repeats: int = 0
    last_ms: int = 0
    offsets: list[int] = field(default_factory=list)

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> Track:
        """From its row in the store."""
        known = {name: row[name] for name in cls.__slots__ if name not in ("gaps", "offsets")}
        return cls(**known, gaps=json.loads(row["gaps"]), offsets=json.loads(row["offsets"]))

    def row(self) -> dict[str, object]:
        """As its row in the store."""
        known: dict[str, object] = {name: getattr(self, name) for name in self.__slots__}
        return known | {"gaps": json.dumps(self.gaps), "offsets": json.dumps(self.offsets)}

    @property
    def missing(self) -> int:
        """Numbers between the first and the newest that have not come."""
        return self.lost + sum(last - first + 1 for first, last in self.gaps)

    @property
    def offset_ms(self) -> int | None:
        """Our clock less the device's."""
        return _median_ms(self.offsets)

    def take(self, header: p.Header, *, retained: bool) -> Order:
        """Count a message; its order among all of this device."""
        newer = header.session > self.session and header.boot != self.past
        reborn = (
            header.boot != self.boot
            and not newer
            and isinstance(header, p.Avail)
            and (retained or header.status == "online")
        )
        if reborn and self.boot:
            self.past, self.life = self.boot, self.life + 1
        if newer or reborn:
            self._begin(header)
        if header.boot != self.boot:
            return self.life - 1, header.session, header.seq
        if header.session == self.session and not retained:
            self._count(header)
        return self.life, header.session, header.seq

    def heard_at(self, received_ms: int, device_ms: int) -> None:
        """A message that came at once: its stamp tells how far the clocks are apart."""
        self.offsets = [*self.offsets[1 - MAX_OFFSETS :], received_ms - device_ms]

    def _begin(self, header: p.Header) -> None:
        if header.boot != self.boot:
            self.offsets = []
        self.boot, self.session = header.boot, header.session
        self.first_seq = self.newest_seq = -1
        self.gaps, self.lost, self.fresh, self.repeats = [], 0, 0, 0

    def _count(self, header: p.Header) -> None:
        if isinstance(header, p.Avail):
            if header.status == "offline":
                return  # its number was told beforehand, as the next line knows
            if header.will_seq is not None:
                self._arrive(header.will_seq)
        came = self._arrive(header.seq)
        self.fresh += came is True
        self.repeats += came is False and not isinstance(header, p.Avail | p.Birth)  # of which each replica hears

    def _arrive(self, number: int) -> bool | None:
        """True for a number that comes for the first time, None for one from before we listened."""
        if self.first_seq < 0:
            self.first_seq = self.newest_seq = number
            return True
        if number < self.first_seq:
            return None
        if number > self.newest_seq:
            if number > self.newest_seq + 1:
                self.gaps.append([self.newest_seq + 1, number - 1])
            self.newest_seq = number
            self._forget()
            return True
        return self._fill(number)

    def _fill(self, number: int) -> bool:
        for at, (first, last) in enumerate(self.gaps):
            if first <= number <= last:
                self.gaps[at : at + 1] = [
                    part for part in ([first, number - 1], [number + 1, last]) if part[0] <= part[1]
                ]
                self._forget()
                return True
        return False

    def _forget(self) -> None:
        while len(self.gaps) > MAX_GAPS:
            first, last = self.gaps.pop(0)
            self.lost += last - first + 1


def offset_ms(offsets: str) -> int | None:
    """Our clock less the device's, from the column `offsets` of its row."""
    return _median_ms(json.loads(offsets))


def _median_ms(offsets: Sequence[int]) -> int | None:
    return round(statistics.median(offsets)) if offsets else None
