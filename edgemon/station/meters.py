"""What one process of the station counts about itself, for Prometheus."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

ROWS = (1, 2, 5, 10, 20, 50, 100, 200, 500)
SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)


class Meters:
    """Counters of this replica; each object has its own registry, so that two stations in one process do not meet."""

    def __init__(self) -> None:
        registry = self.registry = CollectorRegistry()
        self.messages = Counter("edgemon_station_messages", "messages that this process took", registry=registry)
        self.refused = Counter(
            "edgemon_station_refused", "messages that this process refused", ("reason",), registry=registry
        )
        self.batch = Histogram("edgemon_station_batch_rows", "messages of a commit", buckets=ROWS, registry=registry)
        self.commit = Histogram(
            "edgemon_station_commit_seconds", "time that a commit took", buckets=SECONDS, registry=registry
        )
        self.receipts = Counter("edgemon_station_receipts", "ids of messages that were receipted", registry=registry)
        self.screens = Gauge("edgemon_station_screens", "pages that follow the live stream here", registry=registry)
        self.poll = Histogram(
            "edgemon_station_poll_seconds",
            "time to read what changed, for all screens",
            buckets=SECONDS,
            registry=registry,
        )
