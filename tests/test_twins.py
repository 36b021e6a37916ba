"""Two infants before one camera: one capture, and each bed has its own face, state and topics; shipped networks."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from conftest import ROOT
from daemon import edgemon, heard, running, write_config
from mosquitto import Broker
from numpy.typing import NDArray

from edgemon import doctor
from edgemon.config import Bed, Config, Region, parse
from edgemon.errors import ConfigError
from edgemon.frames import open_source
from edgemon.frames.capture import Capture
from edgemon.frames.fake import FakeSource
from edgemon.health import Progress
from edgemon.messages import payloads as p
from edgemon.pipeline import build_sights
from edgemon.records import Face, Frame
from edgemon.vision import Vision

needs_models = pytest.mark.skipif(not (ROOT / "models/face.toml").is_file(), reason="no released models in this tree")
HERE = Path("edgemon.yaml")
LEFT, RIGHT = Region(x1=0.5), Region(x0=0.5)
FPS = 15


def pictures(seconds: float) -> Iterator[NDArray[np.uint8]]:
    """The two demo clips side by side, 640x240: two infants in one picture."""
    sources = [open_source(Bed(id="a", source=name, width_px=320, height_px=240), paced=False) for name in CLIPS]
    for source in sources:
        source.open()
    for number in range(round(seconds * 30)):
        frames = [source.read() for source in sources]
        if number % (30 // FPS) == 0:
            yield np.hstack([frame.rgb for frame in frames if frame is not None])
    for source in sources:
        source.close()


CLIPS = ("clip", "clip2")


@pytest.fixture(scope="module")
def twins(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A video of both."""
    path = tmp_path_factory.mktemp("twins") / "twins.mp4"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), FPS, (640, 240))
    for picture in pictures(8.0):
        writer.write(cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
    writer.release()
    return path


def beds(source: str) -> list[dict[str, object]]:
    picture = {"source": source, "width_px": 640, "height_px": 240, "fps": FPS}
    return [
        {"id": "cot-left", "cot_region": {"x1": 0.5}, **picture},
        {"id": "cot-right", "cot_region": {"x0": 0.5}, **picture},
    ]


@needs_models
def test_each_bed_follows_its_own_face() -> None:
    """And the network looks once at each picture, for both."""
    pair = tuple(Bed(id=name, cot_region=region) for name, region in (("left", LEFT), ("right", RIGHT)))
    sights = build_sights(Config(beds=pair))
    shown: dict[str, list[Face]] = {"left": [], "right": []}
    network = sights[0]._detector._detector  # type: ignore[attr-defined]
    looked: list[int] = []
    detect = network.detect
    network.detect = lambda image: looked.append(id(image)) or detect(image)
    for number, picture in enumerate(pictures(6.0)):
        for sight in sights:
            seen = sight.look(Frame("left", number, number / FPS, picture, "test"))
            assert all(o.bed == sight.bed.id for o in seen.observations)
            shown[sight.bed.id] += [seen.face] if seen.face else []
    middles = {name: {(face.box[0] + face.box[2]) / 2 > 320 for face in faces} for name, faces in shown.items()}
    assert middles == {"left": {False}, "right": {True}}
    assert min(len(faces) for faces in shown.values()) > 80
    assert len(looked) <= 5.5 * 6.0


@needs_models
def test_a_replay_tells_of_both_beds(twins: Path, tmp_path: Path) -> None:
    config = write_config(tmp_path, beds=beds("clip"))
    told = edgemon("replay", str(twins), "--config", str(config), cwd=tmp_path)
    assert told.returncode == 0, told.stderr
    lines = [line for line in told.stdout.splitlines() if "presence start" in line]
    assert [line.split()[0] for line in lines] == ["cot-left", "cot-right"]


@needs_models
def test_the_daemon_opens_one_camera_for_both(twins: Path, tmp_path: Path, broker: Broker) -> None:
    """Face and heart rate of each bed under its own topic."""
    both = [bed | {"loop": True} for bed in beds(str(twins))]
    config = write_config(tmp_path, beds=both, mqtt={"host": "127.0.0.1", "port": broker.plain})
    wanted = {(bed, kind) for bed in ("cot-left", "cot-right") for kind in ("State", "HeartRateVital")}
    words = ["-h", "127.0.0.1", "-p", str(broker.plain), "-t", "edgemon/v1/#", "-W", "30"]
    with heard(words) as messages, running(config):
        for topic, payload in messages:
            assert isinstance(payload, p.Header)
            assert f"/{payload.bed}/" in topic
            if isinstance(payload, p.HeartRateVital) or (isinstance(payload, p.State) and payload.face.value):
                wanted.discard((payload.bed, type(payload).__name__))
            if not wanted:
                break
    assert not wanted


@needs_models
def test_one_capture_serves_two_sights() -> None:
    """Every frame reaches both traces, and both looks; the camera is opened once."""
    config = Config(beds=tuple(Bed.model_validate(bed) for bed in beds("0")))
    source = FakeSource(list(pictures(1.0)), bed="cot-left", fps=FPS, live=False)
    progress = Progress(("vision",), time.monotonic())
    vision = Vision(build_sights(config), progress)
    (camera,) = config.cameras
    names = [bed.id for bed in camera]
    capture = Capture(lambda: source, on_frame=lambda frame: vision.on_frame(names, frame))
    sampled: list[tuple[str, int]] = []
    for sight in vision.sights:
        sight.sample = lambda frame, bed=sight.bed.id: sampled.append((bed, frame.seq))  # type: ignore[method-assign, misc]
    capture.start()
    vision.watch([capture, capture])
    looked = {vision.seen.get(timeout=10)[0] for _ in range(2)}
    while not capture.ended:
        vision.seen.get(timeout=10)
    capture.stop()
    vision.stop()
    assert source.opened == 1
    assert looked == {"cot-left", "cot-right"}
    assert sampled == [(name, number) for number in range(FPS) for name in names]


@pytest.mark.parametrize(
    ("one", "other", "said"),
    [
        ("source: 0", "source: /dev/video0", "must not overlap"),
        ("source: picamera", 'source: "picamera:0", cot_region: {x0: 0.3}', "must not overlap"),
        ("source: a.mp4, cot_region: {x1: 0.6}", "source: a.mp4, cot_region: {x0: 0.5}", "must not overlap"),
        ("source: 0, cot_region: {x1: 0.5}", "source: 0, cot_region: {x0: 0.5}, fps: 15", "give both the same fps"),
    ],
)
def test_beds_of_one_camera_that_cannot_be_told_apart_are_refused(one: str, other: str, said: str) -> None:
    """In one line that names both beds, the camera, and what would be right."""
    with pytest.raises(ConfigError) as caught:
        parse(f"beds: [{{id: ann, {one}}}, {{id: ben, {other}}}]", HERE)
    line = str(caught.value)
    assert "\n" not in line
    assert line.startswith("edgemon.yaml:1:1: beds: beds ann and ben share the camera ")
    assert said in line


def test_the_doctor_opens_a_shared_camera_once(twins: Path) -> None:
    config = Config(beds=tuple(Bed.model_validate(bed) for bed in beds(str(twins))))
    (found,) = doctor.cameras(config)
    assert found.verdict is doctor.Verdict.OK
    assert found.what.startswith("bed cot-left and cot-right: ")


def test_a_password_in_the_address_of_a_shared_camera_is_not_told() -> None:
    bed = "source: 'rtsp://nurse:hush@10.0.0.9/cam'"
    with pytest.raises(ConfigError) as caught:
        parse(f"beds: [{{id: ann, {bed}}}, {{id: ben, {bed}}}]", HERE)
    assert "hush" not in str(caught.value)


def test_regions_that_touch_are_two_places_of_one_camera() -> None:
    text = "beds: [{id: ann, source: 0, cot_region: {x1: 0.5}}, {id: cy}, {id: ben, source: 0, cot_region: {x0: 0.5}}]"
    assert [[bed.id for bed in camera] for camera in parse(text, HERE).cameras] == [["ann", "ben"], ["cy"]]
