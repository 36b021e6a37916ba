"""What nouns check themselves with when they are built."""

from __future__ import annotations


def require(ok: bool, what: str) -> None:
    """Raise ValueError with `what` unless `ok`."""
    if not ok:
        raise ValueError(what)


def share(name: str, value: float) -> None:
    """Require a value within 0..1."""
    require(0.0 <= value <= 1.0, f"{name} must be within 0..1, got {value}")
