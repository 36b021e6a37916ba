"""What a replay keeps for people who study it: a table of movement features, and a picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from edgemon import manifest, plots, tables
from edgemon.config import Bed, Config
from edgemon.errors import ConfigError
from edgemon.movement import MotionMeter, chambers
from edgemon.movement.body import VISIBLE
from edgemon.plots import Recorder
from edgemon.records import Frame, Message, Observation

POSE: Final = "pose"  # the network that is taken where none is configured
TABLE_HZ: Final = 30.0
PLOT_HZ: Final = 10.0


class Study:
    """Records the beds of a replay; `config` is the configuration to replay with: poses are read more often in it.

    Raises:
        ConfigError: the table or the picture cannot be made, said before the replay and not after it.
    """

    def __init__(
        self, config: Config, beds: Sequence[Bed], title: str, *, table: Path | None, plot: Path | None
    ) -> None:
        if table is not None:
            tables.check(table)
        if plot is not None:
            plots.check(plot)
        self.config = _posed(config, TABLE_HZ if table is not None else PLOT_HZ)
        if table is not None and self.config.models.pose is None:
            raise ConfigError(f"{table}: features of movement need a pose network: name models.pose in --config")
        visible = _visible(self.config)
        self._recorders = {bed.id: Recorder(bed.id, f"{title}, {bed.id}", _meter(bed), visible) for bed in beds}
        self._table, self._plot = table, plot
        self.seen = False  # whether there was any frame: a video that cannot be opened replaces no file

    def see(self, bed: str, frame: Frame, observations: Sequence[Observation]) -> None:
        """Take in the next frame of a bed and what was seen of it."""
        self.seen = True
        self._recorders[bed].see(frame, observations)

    def hear(self, message: Message) -> None:
        """Take in the next message."""
        for recorder in self._recorders.values():
            recorder.hear(message)

    def write(self) -> None:
        """Write what was asked for; with several beds a picture of each, with the bed's name in the file's.

        Raises:
            ConfigError: a file cannot be written.
        """
        recordings = {bed: recorder.recording() for bed, recorder in self._recorders.items()}
        if self._table is not None:
            rows: list[chambers.Row] = []
            for bed, told in recordings.items():
                at_s, poses = [t_s for t_s, _ in told.poses], [pose.keypoints for _, pose in told.poses]
                rows += chambers.rows(bed, at_s, poses, visible=told.visible)
            tables.write(self._table, rows)
        if self._plot is not None:
            for bed, told in recordings.items():
                name = f"{self._plot.stem}-{bed}" if len(recordings) > 1 else self._plot.stem
                plots.draw(told, self._plot.with_stem(name))


def _posed(config: Config, pose_hz: float) -> Config:
    models = config.models
    if models.pose is None and ((models.folder or manifest.default_folder()) / f"{POSE}.toml").is_file():
        models = models.model_copy(update={"pose": POSE})
    cadence = config.cadence.model_copy(update={"pose_hz": pose_hz})
    return config.model_copy(update={"models": models, "cadence": cadence})


def _visible(config: Config) -> float:
    if config.models.pose is None:
        return VISIBLE
    folder = config.models.folder or manifest.default_folder()
    return manifest.load(folder, config.models.pose).manifest.threshold("visible")


def _meter(bed: Bed) -> MotionMeter:
    region = bed.cot_region
    return MotionMeter(region=(region.x0, region.y0, region.x1, region.y1))
