"""`evaluate movement`: what the device's poses say of a minute's movement, beside the same formulas on true joints."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from edgemon.config import Bed
from edgemon.errors import SourceError
from edgemon.frames.video import VideoFile
from edgemon.inference import Model
from edgemon.movement import MotionMeter, track_of
from edgemon.movement.body import ENDS, HIPS, SHOULDERS, VISIBLE, Array
from edgemon.movement.formulas import steps
from edgemon.movement.summary import summarize
from edgemon.observations.pose import PoseObserver, PoseReader
from edgemon.observations.pose_network import PoseNetwork
from edgemon.records import KEYPOINTS, Frame, Motion, MovementSummary, Pose
from export.pose.movement_report import TRUE, Ends, Flow, Minute, MovementReport

RATES_HZ: Final = (1.0, 5.0, 10.0, 30.0)
WINDOW_S: Final = 60.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `evaluate movement` beside those of `evaluate`."""
    own = parser.add_argument_group("movement")
    own.add_argument("--clips", type=Path, nargs="+", default=[], help="videos of `synthesize limbs`, a minute or more")


@dataclass(frozen=True, slots=True, eq=False)
class Told:
    """A clip's truth: joints (n, 14, 3) of x px, y px, v at each of its frames."""

    video: Path
    fps: float
    size: tuple[int, int]
    joints: NDArray[np.float32]

    @classmethod
    def read(cls, video: Path) -> Told:
        """What lies beside the video.

        Raises:
            ValueError: it is not there, or something in it is malformed.
        """
        path = video.with_suffix(".truth.json")
        try:
            told = json.loads(path.read_text(encoding="utf-8"))
            joints = np.array([row["keypoints"] for row in told["frames"]], np.float32)
            width, height = (int(side) for side in told["size"])
            fps = float(told["fps"])
        except OSError as error:
            raise ValueError(f"{path}: {error.strerror}; `python -m export synthesize limbs` writes it") from error
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{path}: not the truth of a clip of limbs: {error!r}") from error
        if joints.shape[1:] != (len(KEYPOINTS), 3) or fps <= 0:
            raise ValueError(f"{path}: frames must have {len(KEYPOINTS)} joints, and fps be above 0")
        return cls(video, fps, (width, height), joints)

    @property
    def at_s(self) -> Array:
        """When each frame was taken."""
        return np.arange(len(self.joints)) / self.fps

    @property
    def known(self) -> NDArray[np.float32]:
        """All joints as a network would tell them that errs nowhere, hidden ones too."""
        out = self.joints.copy()
        out[..., 2] = 1.0
        return out


@dataclass(frozen=True, slots=True, eq=False)
class Looked:
    """What was seen of each frame of a clip: the pose, or None; what changed since the frame before."""

    poses: tuple[Pose | None, ...]
    motion: tuple[Motion, ...]


def report_of(args: argparse.Namespace) -> MovementReport:
    """The report that the arguments ask for.

    Raises:
        ValueError: there are no clips, or one cannot be used.
        ModelError: the model cannot be loaded.
    """
    told = Path(args.model or "pose")
    folder = args.models if told.parent == Path() else told.parent
    return evaluate_movement(args.clips, PoseNetwork(Model.open(folder, told.name)))


def evaluate_movement(
    clips: Sequence[Path], network: PoseReader, *, window_s: float = WINDOW_S, rates_hz: Sequence[float] = RATES_HZ
) -> MovementReport:
    """Judge a network on clips, by whole windows.

    Raises:
        ValueError: there are no clips, one cannot be used, or the network looks at depth.
    """
    if not clips:
        raise ValueError("evaluate movement: --clips needs videos of `synthesize limbs`")
    if network.takes_depth:
        raise ValueError(f"model {network.manifest.label} looks at depth; clips of limbs are in colour")
    minutes: list[Minute] = []
    flows, ends = [], []
    visible = network.manifest.threshold("visible")
    for told in map(Told.read, clips):
        if len(told.joints) < window_s * told.fps:
            raise ValueError(
                f"{told.video}: {len(told.joints) / told.fps:.1f} s long; at least {window_s:g} s is needed"
            )
        looked = look(told, network)
        minutes += _minutes(told, looked, (network.manifest.label, visible), window_s, rates_hz)
        flows.append(_flow(told, looked.motion))
        ends.append(_ends(told, looked.poses, visible))
    return MovementReport(network.manifest.label, tuple(minutes), tuple(flows), tuple(ends))


def look(told: Told, network: PoseReader) -> Looked:
    """Show all frames to the device's observer and meter.

    Raises:
        ValueError: the video cannot be read, or has other frames than its truth.
    """
    bed = Bed(id="cot", source=str(told.video), width_px=told.size[0], height_px=told.size[1], fps=told.fps)
    observer, meter = PoseObserver(network), MotionMeter()
    poses: list[Pose | None] = []
    motion = []
    for frame in _frames(bed, told.video):
        value = observer.observe([(frame, (bed,))])[0].value
        poses.append(value if isinstance(value, Pose) else None)
        changed = meter.add(frame.image, frame.captured_s)
        motion += [] if changed is None else [changed]
    if len(poses) != len(told.joints):
        raise ValueError(f"{told.video}: {len(poses)} frames, but its truth tells of {len(told.joints)}")
    return Looked(tuple(poses), tuple(motion))


def _frames(bed: Bed, video: Path) -> Iterator[Frame]:
    source = VideoFile(bed, video, paced=False)
    try:
        source.open()
        while (frame := source.read()) is not None:
            yield frame
    except SourceError as error:
        raise ValueError(str(error)) from error
    finally:
        source.close()


def due(count: int, fps: float, hz: float) -> list[int]:
    """The frames that are looked at `hz` times a second; all of them where there are not so many."""
    return [int(n) for n in np.unique(np.round(np.arange(0, count, max(1.0, fps / hz)))) if n < count]


def _minutes(
    told: Told, looked: Looked, named: tuple[str, float], window_s: float, rates_hz: Sequence[float]
) -> Iterator[Minute]:
    """Each whole window by the network and by true joints at each rate, beside true joints of every frame."""
    name, visible = named
    at_s, known = told.at_s, told.known

    def summed(frames: Sequence[int], joints: Sequence[NDArray[np.float32]], least: float) -> MovementSummary:
        track = track_of([float(at_s[n]) for n in frames], joints, least)
        return summarize(told.video.stem, start_s, start_s + window_s, track, motion)

    for begin in range(int((len(at_s) + 1e-6) / (window_s * told.fps))):
        start_s = begin * window_s
        inside = [n for n, t in enumerate(at_s) if start_s <= t < start_s + window_s]
        motion = [m for m in looked.motion if start_s <= m.at_s < start_s + window_s]

        truth = summed(inside, [known[n] for n in inside], VISIBLE)
        for hz in rates_hz:
            chosen = [inside[i] for i in due(len(inside), told.fps, hz)]
            seen = [(n, pose.keypoints) for n in chosen if (pose := looked.poses[n]) is not None]
            yield Minute(name, hz, summed([n for n, _ in seen], [joints for _, joints in seen], visible), truth)
            yield Minute(TRUE, hz, summed(chosen, [known[n] for n in chosen], VISIBLE), truth)


def _flow(told: Told, motion: Sequence[Motion]) -> Flow:
    """Quantity of motion of the picture beside the limbs' true speed, second by second."""
    at_s, _, velocity = steps(track_of(list(told.at_s), list(told.known)))
    speed = np.linalg.norm(velocity, axis=-1).mean(axis=1)
    moved_s, quantity = np.array([m.at_s for m in motion]), np.array([m.quantity for m in motion])
    seconds = range(int(told.at_s[-1]))
    pairs = np.array(
        [(quantity[moved_s.astype(int) == s].mean(), speed[at_s.astype(int) == s].mean()) for s in seconds]
    )
    return Flow(told.video.stem, pairs[:, 0], pairs[:, 1])


def _ends(told: Told, poses: Sequence[Pose | None], visible: float) -> Ends:
    """How far wrists and ankles that the network tells lie from the truth, in trunk lengths."""
    trunk_px = np.median(np.linalg.norm(
        told.joints[:, SHOULDERS, :2].mean(axis=1) - told.joints[:, HIPS, :2].mean(axis=1), axis=1
    ))  # fmt: skip
    errors = [
        float(np.hypot(*(pose.keypoints[end, :2] - truth[end, :2])) / trunk_px)
        for pose, truth in zip(poses, told.joints, strict=True)
        if pose is not None
        for end in ENDS
        if pose.keypoints[end, 2] > visible
    ]
    return Ends(told.video.stem, sum(pose is not None for pose in poses) / len(poses), np.array(errors))
