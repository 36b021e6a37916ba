"""The store: one interface over SQLite and PostgreSQL, safe for many threads, and for many processes."""

from edgemon.station.store.engine import Unfit
from edgemon.station.store.leadership import Leadership
from edgemon.station.store.store import Store

__all__ = ["Leadership", "Store", "Unfit"]
