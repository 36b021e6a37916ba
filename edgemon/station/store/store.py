"""Writing what was heard, reading what is known now."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sqlalchemy.engine import URL

from edgemon.messages import payloads as p
from edgemon.station.nouns import BedNow, CommandRow, DeviceNow, Heard, Notice, Pulse, Refused
from edgemon.station.store.history import Histories
from edgemon.station.store.people import People


class Store(People, Histories):
    """The store of a station; every method may raise `StoreUnavailable`.

    Readers never wait for writers. Read `newest_change` before `beds`, then nothing is missed between two readings.
    """

    @classmethod
    def open(cls, url: str | URL) -> Store:
        """Connect, and bring the tables up to date; one process at a time does that.

        Raises:
            StoreUnavailable: it cannot be reached or written, or a later edgemon has made it.
        """
        raise NotImplementedError

    @property
    def dialect(self) -> str:
        """`sqlite` or `postgresql`."""
        raise NotImplementedError

    def close(self) -> None:
        """Give all connections back."""
        raise NotImplementedError

    def ready(self) -> None:
        """Return if the store can be read and written now, else raise `StoreUnavailable`."""
        raise NotImplementedError

    def commit(self, batch: Sequence[Heard], refused: Sequence[Refused] = ()) -> dict[str, list[str]]:
        """Write a batch, all or nothing; ids to send a receipt for, by base: those committed and repeats alike."""
        raise NotImplementedError

    def newest_change(self) -> int:
        """The highest `change` of all."""
        raise NotImplementedError

    def beds(self, after_change: int = 0) -> list[BedNow]:
        """Every bed of which something has changed since."""
        raise NotImplementedError

    def bed(self, place: str) -> BedNow | None:
        """One bed, or of `_device` its device's own alarms; None where nothing was ever heard."""
        raise NotImplementedError

    def pulses(self) -> list[Pulse]:
        """When each bed was last heard of."""
        raise NotImplementedError

    def devices(self) -> list[DeviceNow]:
        """Every device that was ever heard, by name; base None of refusals nobody can be blamed for stands as `-`."""
        raise NotImplementedError

    def asked(self, request: p.CommandRequest, place: str, by: str, now_ms: int) -> None:
        """Write down a command that is about to be sent; `by` is the person, `request.by` the station."""
        raise NotImplementedError

    def command(self, cmd_id: str) -> CommandRow | None:
        """A command and its answer."""
        raise NotImplementedError

    def notices(self) -> list[Notice]:
        """The station's own alarms that stand."""
        raise NotImplementedError

    def change_notices(self, opened: Iterable[Notice], closed: Iterable[Notice], now_ms: int) -> None:
        """Open and close alarms of the station; again is no harm."""
        raise NotImplementedError

    def acknowledge_notice(self, place: str, condition: str, by: str, now_ms: int) -> bool:
        """End the signal of one; False where it does not stand or was acknowledged before."""
        raise NotImplementedError

    def prune(self, now_ms: int, raw_ms: int, history_ms: int) -> int:
        """Forget heart rates by the second and history that are older than told; returns how many rows."""
        raise NotImplementedError
