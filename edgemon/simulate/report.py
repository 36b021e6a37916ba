"""What a simulation did, in figures and in ids: what "nothing was lost" is checked with."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from edgemon.errors import DeliveryError
from edgemon.messages.rows import CLEARS


def percentile_ms(lags: Counter[int], share: float) -> int:
    """The nearest-rank percentile of a histogram of milliseconds; 0 of none."""
    left = share * lags.total()
    for lag_ms in sorted(lags):
        left -= lags[lag_ms]
        if left <= 0:
            return lag_ms
    return 0


@dataclass(slots=True)
class Report:
    """Counted while the ward is played; `lags` is a histogram of how late each step was told, in ms."""

    settings: dict[str, object]
    lags: Counter[int] = field(default_factory=Counter)
    published: Counter[str] = field(default_factory=Counter)  # by topic of the table
    commands: Counter[str] = field(default_factory=Counter)  # by name and outcome
    played_s: float = 0.0
    cpu_s: float = 0.0  # of one core, while it was played
    receipted: int = 0
    unknown_receipts: int = 0  # ids in receipts that waited no more: a repeat that was receipted again
    receipts: int = 0
    resent: int = 0
    repeated: int = 0
    late: int = 0
    made: dict[str, list[str]] = field(default_factory=dict)  # every durable id, by topic of the table
    unsent: list[str] = field(default_factory=list)
    waiting: list[str] = field(default_factory=list)

    @property
    def messages(self) -> int:
        """All that was published, repeats among them."""
        return self.published.total()

    @property
    def per_second(self) -> float:
        """Messages a second over the time played."""
        return self.messages / self.played_s if self.played_s > 0 else 0.0

    @property
    def lost(self) -> list[str]:
        """Durable ids that no receipt (or PUBACK) has named."""
        return [row_id for row_id in self.waiting if not row_id.startswith(CLEARS)]

    def line(self) -> str:
        """The result in one line."""
        lags = "/".join(str(percentile_ms(self.lags, share)) for share in (0.5, 0.99))
        made = sum(map(len, self.made.values()))
        return (
            f"{self.messages} messages in {self.played_s:.1f} s, {self.per_second:.0f}/s, "
            f"{self.cpu_s:.1f} s of one core; lag p50/p99/max {lags}/{max(self.lags, default=0)} ms; "
            f"{made} durable, {made - len(self.lost)} delivered, {len(self.lost)} not; "
            f"{self.resent} sent again, {self.repeated} repeated and {self.late} late on purpose"
        )

    def write(self, path: Path) -> None:
        """All of it as JSON.

        Raises:
            DeliveryError: the file cannot be written.
        """
        told = {
            "settings": self.settings,
            "played_s": round(self.played_s, 3),
            "cpu_s": round(self.cpu_s, 3),
            "messages": self.messages,
            "messages_per_s": round(self.per_second, 1),
            "lag_ms": {
                "p50": percentile_ms(self.lags, 0.5),
                "p99": percentile_ms(self.lags, 0.99),
                "max": max(self.lags, default=0),
            },
            "published": dict(sorted(self.published.items())),
            "commands": dict(sorted(self.commands.items())),
            "receipts": self.receipts,
            "durable": {
                "made": sum(map(len, self.made.values())),
                "receipted": self.receipted,
                "receipted_again": self.unknown_receipts,
                "sent_again": self.resent,
                "repeated_on_purpose": self.repeated,
                "late_on_purpose": self.late,
                "never_sent": self.unsent,
                "unreceipted": self.lost,
                "ids": self.made,
            },
        }
        try:
            path.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
        except OSError as error:
            raise DeliveryError(f"{path}: {error.strerror}; give a file that can be written") from error
