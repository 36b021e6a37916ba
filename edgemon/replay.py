"""A recorded video through the real pipeline, as fast as it goes, on its own clock: the same video, the same bytes."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TextIO

from tqdm import tqdm

from edgemon.config import Bed, Config
from edgemon.events.conditions import settings_for
from edgemon.frames import open_source
from edgemon.frames.meter import Meter
from edgemon.messages import Composer, Stamp, encode
from edgemon.messages import payloads as p
from edgemon.pipeline import TICK_S, Mind, build_sights, state_settings
from edgemon.records import Frame, Health, Message, Observation, Reason
from edgemon.study import Study

BOOT, SESSION = "replay", 1
_EPOCH = Stamp(0.0, "1970-01-01T00:00:00.000Z", "unsynced")  # a file does not say when it was filmed


Watch = Callable[[str, Frame, Sequence[Observation]], None]  # of each frame: the bed, and what was seen of it


def replay(
    config: Config,
    video: str,
    *,
    as_json: bool,
    out: TextIO,
    progress: TextIO,
    movement: Path | None = None,
    plot: Path | None = None,
) -> int:
    """Print every message of `video` as one JSON line, or what changed as one plain line each.

    The video stands for the first bed's camera, and so for all beds that share it. `movement` gets the features of each
    bed's minutes and `plot` a picture, also of a video that turns out to be damaged; for them poses are read more
    often than configured.

    Raises:
        ConfigError: `movement` or `plot` cannot be made.
        SourceError: the video cannot be opened, decoded, or is damaged; all up to the damage has been printed.
        ModelError: a model cannot be used.
    """
    beds = tuple(bed.model_copy(update={"source": video, "loop": False}) for bed in config.cameras[0])
    study = Study(config, beds, Path(video).name, table=movement, plot=plot) if movement or plot else None
    config = (study.config if study else config).model_copy(update={"beds": beds})
    tell = _json_line if as_json else _plain_line
    with tqdm(unit=" frames", desc=video, file=progress, disable=None, leave=False) as bar:
        try:
            for message in messages(config, beds[0], bar, study.see if study else None):
                if study:
                    study.hear(message)
                line = tell(message)
                if line and not as_json and len(beds) > 1 and isinstance(message.payload, p.Header):
                    line = f"{message.payload.bed}  {line}"
                if line:
                    out.write(line + "\n")
        finally:
            out.flush()
            if study and study.seen:
                study.write()
    return 0


def messages(config: Config, bed: Bed, bar: tqdm[None] | None = None, watch: Watch | None = None) -> Iterator[Message]:
    """All messages of the file that is the source of `bed`, in order, for all beds of the configuration."""
    source = open_source(bed, paced=False)
    sights = build_sights(config)
    composer = Composer(config.site, config.unit, config.device, BOOT, SESSION)
    conditions, prefix = settings_for(config.alarms), f"{config.device}/{BOOT}"
    states = state_settings(config)
    minds = [Mind(sight.bed.id, config.cadence, conditions, composer, prefix, states=states) for sight in sights]
    now_s = 0.0
    meter = Meter(lambda: now_s)
    next_tick_s = TICK_S
    try:
        source.open()
        while (frame := source.read()) is not None:
            now_s = frame.captured_s
            while next_tick_s <= now_s:
                for mind in minds:
                    yield from mind.tick(_health(meter, next_tick_s), _stamp(next_tick_s))
                next_tick_s += TICK_S
            meter.add(frame)
            for sight, mind in zip(sights, minds, strict=True):
                sight.sample(frame)
                seen = sight.look(frame)
                mind.take(seen)
                if watch is not None:
                    watch(sight.bed.id, frame, seen.observations)
            if bar is not None:
                bar.update()
        for mind in minds:
            yield from mind.tick(_health(meter, now_s), _stamp(now_s))
            yield from mind.finish(_stamp(now_s))
    finally:
        source.close()


def _health(meter: Meter, at_s: float) -> Health:
    captured_s = meter.captured_s
    age_s = None if captured_s is None else max(0.0, at_s - captured_s)
    return Health(at_s=at_s, frame_age_s=age_s, frozen_s=meter.frozen_s(), luma=meter.luma())


def _stamp(at_s: float) -> Stamp:
    return Stamp(at_s, _EPOCH.wall(at_s), "unsynced")


def _json_line(message: Message) -> str:
    payload = encode(message).decode()
    return f'{{"topic":{json.dumps(message.topic)},"payload":{payload or "null"}}}'


def _plain_line(message: Message) -> str:
    payload = message.payload
    if isinstance(payload, p.State):
        readings = (("eyes", payload.eyes), ("sleep", payload.sleep), ("cry", payload.cry))
        told = [f"{name} {r.value or f'unknown ({r.reason})'}" for name, r in readings]
        if payload.posture.reason is not Reason.DISABLED:
            told.append(f"posture {payload.posture.value or f'unknown ({payload.posture.reason})'}")
        rate = payload.heart_rate
        told.append(
            f"heart rate {rate.value:.0f}/min q{rate.quality:.2f}" if rate.value else f"heart rate ({rate.reason})"
        )
        return f"{payload.mono_ms / 1000:7.1f} s  " + ", ".join(told)
    if isinstance(payload, p.Alarm):
        return f"{payload.mono_ms / 1000:7.1f} s  ALARM {payload.condition} {payload.priority} {payload.phase}"
    if isinstance(payload, p.Behaviour):
        return f"{payload.mono_ms / 1000:7.1f} s  {payload.type} {payload.phase}"
    return ""
