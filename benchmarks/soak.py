"""Memory over a long replay: the clip again and again through the whole pipeline, as fast as it goes.

python benchmarks/soak.py [--minutes 10] [--json FILE]     # minutes of the clip's clock
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from tqdm import tqdm

from edgemon.config import Bed, Config
from edgemon.health import memory_bytes
from edgemon.replay import messages

SETTLED_AFTER = 0.2  # share of the run after which caches are warm


@dataclass(frozen=True)
class Figures:
    """Resident memory."""

    minutes: float
    messages: int
    settled_mb: float
    end_mb: float
    growth_mb: float


def measure(minutes: float) -> Figures:
    """Replay until the clip's clock shows `minutes`."""
    bed = Bed(id="cot-1", source="clip", loop=True)
    settled_mb, count, at_s = 0.0, 0, 0.0
    with tqdm(total=round(minutes * 60), unit="s", disable=None) as bar:
        for message in messages(Config(beds=(bed,)), bed):
            at_s = getattr(message.payload, "mono_ms", 0) / 1000
            count += 1
            bar.update(int(at_s) - bar.n)
            if not settled_mb and at_s > SETTLED_AFTER * minutes * 60:
                settled_mb = (memory_bytes() or 0) / 1e6
            if at_s >= minutes * 60:
                break
    end_mb = (memory_bytes() or 0) / 1e6
    return Figures(at_s / 60, count, settled_mb, end_mb, end_mb - settled_mb)


def main() -> int:
    """Print the figures."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    found = measure(args.minutes)
    print(f"{found.minutes:.1f} min of video, {found.messages} messages")
    print(f"memory {found.settled_mb:.1f} MB settled, {found.end_mb:.1f} MB at the end: {found.growth_mb:+.1f} MB")
    if args.json:
        args.json.write_text(json.dumps(asdict(found), indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
