"""The daemon's own pipeline in real time on a looping clip: frames, drops, gaps in the skin trace, CPU and memory.

python benchmarks/live.py [--seconds 60] [--beds 1] [--pose NAME] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import time
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from edgemon.config import Bed, Config, Models
from edgemon.frames import open_source
from edgemon.frames.capture import Capture
from edgemon.frames.clip import clip_path
from edgemon.health import Progress, memory_bytes
from edgemon.observations.pose import PoseObserver
from edgemon.pipeline import build_sights
from edgemon.records import Reason
from edgemon.vision import Vision

CLIPS = ("clip", "clip2", str(clip_path("clip")), str(clip_path("clip2")))  # four sources: one is one camera


@dataclass(frozen=True)
class Figures:
    """Of all beds together."""

    seconds: float
    beds: int
    frames: int
    fps: float
    frames_overtaken: int  # by a newer one before the detector took them; the trace still has them
    trace_gaps: int
    cpu_share: float
    memory_mb: float
    p99_ms: dict[str, float]
    poses: int  # looks for joints; those that rested because the machine was too slow do not count
    poses_rested: int


def measure(seconds: float, beds: int, pose: str | None) -> Figures:
    """Run for `seconds`, with pose at 1 Hz where a network of it is named."""
    cots = tuple(Bed(id=f"cot-{n}", source=CLIPS[n], loop=True) for n in range(beds))
    config = Config(beds=cots, models=Models(pose=pose))
    progress = Progress(("vision",), time.monotonic())
    vision = Vision(build_sights(config), progress)
    captures = [
        Capture(partial(open_source, bed, paced=True), on_frame=partial(vision.on_frame, (bed.id,)), name=bed.id)
        for bed in config.beds
    ]
    begun_s, cpu_s = time.monotonic(), resource.getrusage(resource.RUSAGE_SELF)
    for capture in captures:
        capture.start()
    vision.watch(captures)
    rested: list[bool] = []
    while time.monotonic() - begun_s < seconds:
        _, seen = vision.seen.get()
        rested += [o.reason is Reason.OVERLOADED for o in seen.observations if o.observer == PoseObserver.name]
    took_s, used = time.monotonic() - begun_s, resource.getrusage(resource.RUSAGE_SELF)
    stats = [capture.stats() for capture in captures]
    for capture in captures:
        capture.stop()
    vision.stop()
    frames = sum(s.frames for s in stats)
    return Figures(
        seconds=took_s,
        beds=beds,
        frames=frames,
        fps=frames / took_s,
        frames_overtaken=sum(s.drops for s in stats),
        trace_gaps=sum(sight.ring.gaps for sight in vision.sights),
        cpu_share=(used.ru_utime + used.ru_stime - cpu_s.ru_utime - cpu_s.ru_stime) / took_s,
        memory_mb=(memory_bytes() or 0) / 1e6,
        p99_ms={stage: took.p99_ms for stage, took in progress.latency().items()},
        poses=rested.count(False),
        poses_rested=sum(rested),
    )


def main() -> int:
    """Print the figures."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--beds", type=int, default=1, choices=(1, 2, 3, 4))
    parser.add_argument("--pose", metavar="NAME", help="the pose network, at 1 Hz")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    found = measure(args.seconds, args.beds, args.pose)
    print(f"{found.beds} bed(s), {found.seconds:.0f} s: {found.frames} frames, {found.fps:.2f} fps in all")
    print(
        f"overtaken before the detector took them: {found.frames_overtaken}; gaps in the skin trace: {found.trace_gaps}"
    )
    if args.pose:
        print(f"looks for joints: {found.poses}; left out because looks took too long: {found.poses_rested}")
    print(f"CPU {100 * found.cpu_share:.0f} % of one core, memory {found.memory_mb:.0f} MB")
    print("p99 ms: " + ", ".join(f"{stage} {value:.1f}" for stage, value in sorted(found.p99_ms.items())))
    if args.json:
        args.json.write_text(json.dumps(asdict(found), indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
