"""Session and sequence numbers that never repeat, also after a crash or a lost outbox."""

from __future__ import annotations

import itertools
import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from edgemon.errors import DeliveryError

log = logging.getLogger(__name__)
BLOCK = 1000  # numbers reserved by one write; a crash skips at most as many


class _Stored(BaseModel):
    model_config = ConfigDict(extra="forbid")
    kernel_boot: str
    boot: str
    session: int = Field(ge=1)
    reserved: int = Field(ge=0)


@dataclass
class Counters:
    """The counters of one start of the daemon, kept in a small file."""

    path: Path
    kernel_boot: str
    boot: str  # names this boot in ids; drawn anew when the file is gone, so that no id is ever used twice
    session: int
    reserved: int  # all numbers up to this one may have been used in this boot

    @classmethod
    def begin(cls, path: Path, kernel_boot: str) -> Counters:
        """Count one more session; the sequence goes on within a boot and starts again in a new one.

        Raises:
            DeliveryError: the file cannot be written.
        """
        stored = _load(path)
        session = stored.session + 1 if stored else 1
        if stored is not None and stored.kernel_boot == kernel_boot:
            counters = cls(path, kernel_boot, stored.boot, session, stored.reserved)
        else:
            counters = cls(path, kernel_boot, f"{kernel_boot[:8]}-{os.urandom(3).hex()}", session, 0)
        counters._store()
        return counters

    def numbers(self) -> Iterator[int]:
        """Rising `seq`; a block of them is reserved on disk before the first of it is used."""
        for number in itertools.count(self.reserved + 1):
            if number > self.reserved:
                self.reserved += BLOCK
                try:
                    self._store()
                except DeliveryError as error:  # a full disk must not silence the device
                    log.error("%s", error)
            yield number

    def _store(self) -> None:
        data = _Stored(kernel_boot=self.kernel_boot, boot=self.boot, session=self.session, reserved=self.reserved)
        fresh = self.path.with_suffix(".new")
        try:
            with fresh.open("w", encoding="utf-8") as file:
                file.write(data.model_dump_json())
                file.flush()
                os.fsync(file.fileno())
            fresh.replace(self.path)
        except OSError as error:
            raise DeliveryError(
                f"{self.path}: cannot be written: {error.strerror}; the state directory needs room and write permission"
            ) from error


def _load(path: Path) -> _Stored | None:
    try:
        return _Stored.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except OSError as error:
        raise DeliveryError(f"{path}: cannot be read: {error.strerror}") from error
    except ValidationError:
        aside = path.with_suffix(".corrupt")
        path.replace(aside)
        log.error("%s is damaged and was moved to %s; session numbers start again", path, aside)
        return None
