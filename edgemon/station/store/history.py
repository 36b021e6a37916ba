"""What is told of a bed's last day: trends with gaps left as gaps, spans, bouts, the alarm log, coverage."""

from __future__ import annotations

from edgemon.station.nouns import History


class Histories:
    """The part of `Store` that reads the past."""

    def history(self, place: str, from_ms: int, to_ms: int) -> History:
        """A bed between two moments, at most 25 h apart. ValueError: they are further apart, or in the wrong order."""
        raise NotImplementedError
