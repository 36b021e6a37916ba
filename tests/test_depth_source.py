"""Depth as a source: folders of PNG files, a depth camera's stand-in, and what the device makes of it."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from conftest import ROOT, eventually
from daemon import edgemon, running, write_config
from hypothesis import given, settings
from hypothesis import strategies as st
from mosquitto import Broker
from pose_model import ship
from test_limbs import sight, watcher
from test_pipeline import stamp

from edgemon import doctor
from edgemon.config import Bed, Config, Models
from edgemon.errors import SourceError, SourceLost, SourceUnavailable, SourceUndecodable
from edgemon.frames import gives_depth, open_source
from edgemon.frames.capture import Capture
from edgemon.frames.depth import DepthCamera, DepthFolder
from edgemon.frames.fit import fit_depth
from edgemon.frames.meter import Meter
from edgemon.messages import decode
from edgemon.messages import payloads as p
from edgemon.records import Frame, Health, Reason

needs_models = pytest.mark.skipif(not (ROOT / "models/face.toml").is_file(), reason="no released models in this tree")
FPS = 10.0


def bed(source: object, **more: object) -> Bed:
    given = {"id": "cot-7", "source": f"depth:{source}", "width_px": 320, "height_px": 240, "fps": FPS, **more}
    return Bed.model_validate(given)


def lying(width: int = 320, height: int = 240, noise: int = 0) -> np.ndarray:
    """An infant's height above a mattress 900 mm away."""
    rows, columns = np.mgrid[:height, :width]
    near_mm = 200 * np.exp(-((columns - width / 2) ** 2 + (rows - height / 2) ** 2) / (2 * (height / 12) ** 2))
    wavers = np.random.default_rng(noise).integers(-3, 4, (height, width)) if noise else 0
    return (900 - near_mm + wavers).astype(np.uint16)


def record(
    folder: Path, count: int = 6, ending: str = ".png", picture: Callable[[int], np.ndarray] | None = None
) -> Path:
    """A recording: file n holds n mm at the top left corner."""
    folder.mkdir(exist_ok=True)
    for n in range(count):
        image = picture(n) if picture else lying(noise=n + 1)
        image[0, 0] = n
        assert cv2.imwrite(str(folder / f"{n}{ending}"), image)
    return folder


def frames(source: DepthFolder | DepthCamera, most: int = 100) -> Iterator[Frame]:
    source.open()
    for _ in range(most):
        frame = source.read()
        if frame is None:
            break
        yield frame
    source.close()


def played(where: Path, most: int = 100, **more: object) -> list[Frame]:
    source = open_source(bed(where, **more), paced=False)
    assert isinstance(source, DepthFolder)
    return list(frames(source, most))


def test_a_folder_is_played_in_the_order_of_its_numbers_at_the_beds_rate(tmp_path: Path) -> None:
    seen = played(record(tmp_path, 12))
    assert [int(frame.image[0, 0]) for frame in seen] == list(range(12))  # 10 after 9, not after 1
    assert [frame.seq for frame in seen] == list(range(12))
    assert [frame.captured_s for frame in seen] == pytest.approx([n / FPS for n in range(12)])
    assert {(frame.image.dtype, frame.image.shape, frame.bed) for frame in seen} == {
        (np.dtype(np.uint16), (240, 320), "cot-7")
    }


def test_a_loop_goes_on_as_one_recording_and_a_source_may_be_opened_again(tmp_path: Path) -> None:
    source = open_source(bed(record(tmp_path, 3), loop=True), paced=False)
    for _ in range(2):
        source.open()
        seen = [source.read() for _ in range(8)]
        assert [int(frame.image[0, 0]) for frame in seen if frame] == [0, 1, 2, 0, 1, 2, 0, 1]
        assert [frame.seq for frame in seen if frame] == list(range(8))
        assert seen[-1] is not None
        assert seen[-1].captured_s == pytest.approx(0.7)
        source.close()
        source.close()
        assert source.read() is None


def test_a_paced_folder_shows_no_frame_before_its_time_and_close_ends_the_wait(tmp_path: Path) -> None:
    source = open_source(bed(record(tmp_path, 4), fps=20), paced=True)
    begun_s = time.monotonic()
    source.open()
    for n in range(3):
        frame = source.read()
        assert frame is not None
        assert time.monotonic() - begun_s >= n / 20
        assert begun_s <= frame.captured_s - n / 20
    source.close()


def test_renders_are_played_without_the_pictures_beside_them(tmp_path: Path) -> None:
    record(tmp_path, 3, ".depth.png")
    cv2.imwrite(str(tmp_path / "0.labels.png"), np.zeros((240, 320), np.uint8))
    cv2.imwrite(str(tmp_path / "0.jpg"), np.zeros((240, 320, 3), np.uint8))
    assert len(played(tmp_path)) == 3


@settings(max_examples=30)
@given(
    st.integers(1, 400), st.integers(1, 400), st.sampled_from([0, 90, 180, 270]), st.integers(0, 2**32),
)  # fmt: skip
def test_scaling_invents_no_depth_and_keeps_proportions(width: int, height: int, turn: int, seed: int) -> None:
    given = np.random.default_rng(seed).integers(1, 2**16, (height, width)).astype(np.uint16)
    made = fit_depth(given, bed("x", rotate_deg=turn))
    assert made.shape == (240, 320)
    assert made.dtype == np.uint16
    assert set(np.unique(made)) <= {0, *np.unique(given)}
    upright = (height, width) if turn in (0, 180) else (width, height)
    scale = min(320 / upright[1], 240 / upright[0])
    filled = np.argwhere(made > 0)
    assert np.ptp(filled, axis=0) + 1 == pytest.approx([max(1, round(n * scale)) for n in upright])


@pytest.mark.parametrize(("turn", "corner"), [(0, (0, 0)), (90, (0, 319)), (180, (239, 319)), (270, (239, 0))])
def test_depth_turns_clockwise(turn: int, corner: tuple[int, int]) -> None:
    shape = (240, 320) if turn in (0, 180) else (320, 240)
    given = np.full(shape, 900, np.uint16)
    given[0, 0] = 500
    assert fit_depth(given, bed("x", rotate_deg=turn))[corner] == 500


def eight_bits(folder: Path) -> Path:
    return record(folder, 2, picture=lambda _: np.full((240, 320), 7, np.uint8))


def colour(folder: Path) -> Path:
    return record(folder, 2, picture=lambda _: np.full((240, 320, 3), 7, np.uint16))


def cut_off(folder: Path) -> Path:
    path = record(folder, 1) / "0.png"
    path.write_bytes(path.read_bytes()[:-200])
    return folder


def no_picture(folder: Path) -> Path:
    (folder / "0.png").write_text("depth")
    return folder


FAILURES: dict[str, tuple[Callable[[Path], Path], type[SourceError], str]] = {
    "no folder": (lambda d: d / "none", SourceUnavailable, "is no folder; give depth:FOLDER of 16-bit PNG"),
    "a file": (lambda d: record(d, 1) / "0.png", SourceUnavailable, "is no folder; give depth:FOLDER"),
    "empty": (lambda d: d, SourceUndecodable, "holds no PNG file; give a folder"),
    "8 bits": (eight_bits, SourceUndecodable, "has 8 bits and 1 channels; give 16 bits and one"),
    "colour": (colour, SourceUndecodable, "has 16 bits and 3 channels; give 16 bits and one"),
    "cut off": (cut_off, SourceUndecodable, "no whole PNG file; give 16-bit depth"),
    "no picture": (no_picture, SourceUndecodable, "no whole PNG file; give 16-bit depth"),
    "no camera": (lambda _: Path("/dev/video63"), SourceUnavailable, "/dev/video63: no such camera"),
}


@pytest.mark.parametrize("what", FAILURES)
def test_what_cannot_be_played_is_one_clear_line(what: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    make, kind, said = FAILURES[what]
    with pytest.raises(kind) as error:
        open_source(bed(make(tmp_path)), paced=False).open()
    assert said in str(error.value)
    assert "\n" not in str(error.value)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda path: cv2.imwrite(str(path), lying(640, 480)), "is 640x480 px, but the first is 320x240"),
        (lambda path: cv2.imwrite(str(path), np.zeros((240, 320), np.uint8)), "has 8 bits and 1 channels"),
        (lambda path: path.write_bytes(path.read_bytes()[:-20]), "no whole PNG file"),
    ],
)
def test_a_file_that_differs_midway_is_lost_after_those_before_it(
    spoil: Callable[[Path], object], said: str, tmp_path: Path
) -> None:
    spoil(record(tmp_path, 5) / "3.png")
    source = open_source(bed(tmp_path), paced=False)
    source.open()
    assert all(source.read() is not None for _ in range(3))
    with pytest.raises(SourceLost, match=said):
        source.read()
    source.close()


class DepthDevice:
    """Behaves as cv2.VideoCapture on a depth camera whose driver calls its format `given`, packed or not."""

    def __init__(self, given: str = "Y16 ", *, packed: bool = False) -> None:
        self.given, self.packed, self.released = given, packed, 0
        self.asked: list[tuple[int, float]] = []

    def set(self, prop: int, value: float) -> bool:
        self.asked.append((prop, value))
        return True

    def get(self, prop: int) -> float:
        told = {
            cv2.CAP_PROP_FRAME_WIDTH: 640.0, cv2.CAP_PROP_FRAME_HEIGHT: 480.0,
            cv2.CAP_PROP_FOURCC: float(cv2.VideoWriter.fourcc(*self.given)),
        }  # fmt: skip
        return told.get(prop, time.monotonic() * 1000)

    def read(self) -> tuple[bool, np.ndarray]:
        picture = lying(640, 480)
        return True, picture.reshape(1, -1).view(np.uint8) if self.packed else picture

    def release(self) -> None:
        self.released += 1


@pytest.mark.parametrize("given", ["Z16 ", "Y16 "])
@pytest.mark.parametrize("packed", [False, True])
def test_a_depth_camera_is_read_without_conversion(given: str, packed: bool) -> None:
    device = DepthDevice(given, packed=packed)
    source = DepthCamera(bed("/dev/video2"), opener=lambda number: device)  # type: ignore[arg-type, return-value]
    seen = list(frames(source, 4))
    assert source.name == "/dev/video2"
    assert (cv2.CAP_PROP_CONVERT_RGB, 0) in device.asked
    assert {(f.image.dtype.name, f.image.shape) for f in seen} == {("uint16", (240, 320))}
    assert set(np.unique(seen[0].image)) <= set(np.unique(lying(640, 480)))
    assert all(a.captured_s <= b.captured_s and b.seq == a.seq + 1 for a, b in itertools.pairwise(seen))


def test_a_colour_camera_is_no_depth_camera() -> None:
    device = DepthDevice("YUYV")
    source = DepthCamera(bed("/dev/video2"), opener=lambda number: device)  # type: ignore[arg-type, return-value]
    with pytest.raises(SourceUnavailable, match="/dev/video2: gives 'YUYV', no depth"):
        source.open()
    assert device.released == 1


def test_of_depth_a_picture_is_frozen_when_no_bit_changes_and_never_dark(tmp_path: Path) -> None:
    record(tmp_path, 6, picture=lambda n: lying(noise=min(n, 2) + 1))
    for n in range(6):
        image = cv2.imread(str(tmp_path / f"{n}.png"), cv2.IMREAD_UNCHANGED)
        image[0, 0] = 7
        cv2.imwrite(str(tmp_path / f"{n}.png"), image)
    now_s = 0.0
    meter, told = Meter(lambda: now_s), []
    for frame in played(tmp_path):
        now_s = frame.captured_s
        meter.add(frame)
        told.append((round(meter.frozen_s(), 3), meter.luma()))
    assert told == [(0.0, None), (0.0, None), (0.0, None), (0.1, None), (0.2, None), (0.3, None)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("models")
    for path in (ROOT / "models").iterdir():
        if path.suffix in (".onnx", ".toml"):
            (made / path.name).write_bytes(path.read_bytes())
    ship(made)
    ship(made, "pose-depth", colour="depth")
    return made


def test_a_covered_depth_camera_alarms_and_an_open_one_does_not(folder: Path) -> None:
    """A lens that is covered leaves holes: after the condition's delay that is a covered view, and it clears again."""
    one, mind = sight(folder, "pose-depth"), watcher()
    told: list[p.Alarm] = []
    for n in range(0, 1000, 2):
        at_s = n / FPS
        picture = np.zeros((192, 256), np.uint16) if 200 <= n < 550 else lying(256, 192)
        mind.take(one.look(Frame("cot-1", n, at_s, picture, "test")))
        said = mind.tick(Health(at_s=at_s, frame_age_s=0.0), stamp(at_s))
        told += [message.payload for message in said if isinstance(message.payload, p.Alarm)]
    assert [(alarm.condition, alarm.phase) for alarm in told] == [
        ("view_obstructed", "start"), ("view_obstructed", "end"),
    ]  # fmt: skip
    assert 50_000 <= told[0].mono_ms <= 52_000
    assert 55_000 <= told[1].mono_ms <= 59_000


@needs_models
def test_replay_reads_poses_of_a_depth_recording_and_no_face(folder: Path, tmp_path: Path) -> None:
    recording = record(tmp_path / "night", 60, picture=lambda n: lying(noise=n + 1))
    config = write_config(
        tmp_path, models={"folder": str(folder), "pose": "pose-depth"},
        beds=[{"id": "cot-1", "fps": 2, "width_px": 320, "height_px": 240}],
    )  # fmt: skip
    one = edgemon("replay", f"depth:{recording}", "--config", str(config), "--json")
    assert one.returncode == 0, one.stderr
    rows = [json.loads(line) for line in one.stdout.splitlines()]
    told = [decode(row["topic"], json.dumps(row["payload"]).encode()) for row in rows]
    state = [payload for payload in told if isinstance(payload, p.State)][-1]
    reasons = {state.face.reason, state.eyes.reason, state.cry.reason, state.heart_rate.reason}
    assert reasons == {Reason.DISABLED}
    assert state.posture.reason is not Reason.DISABLED
    assert not [payload for payload in told if isinstance(payload, p.Alarm)]
    assert edgemon("replay", f"depth:{recording}", "--config", str(config), "--json").stdout == one.stdout


@needs_models
def test_the_daemon_watches_depth_and_tells_its_health(folder: Path, tmp_path: Path, broker: Broker) -> None:
    recording = record(tmp_path / "night", 30)
    config = write_config(
        tmp_path, models={"folder": str(folder), "pose": "pose-depth"},
        beds=[{
            "id": "cot-1", "source": f"depth:{recording}", "fps": 10, "width_px": 320, "height_px": 240, "loop": True,
        }],
        mqtt={"port": broker.plain}, cadence={"health_s": 1, "state_s": 1},
    )  # fmt: skip
    from test_simulate import Station

    station = Station(broker.plain)
    try:
        with running(config):
            eventually(lambda: any(t.endswith("/state") for t, _ in peek(station)), 60, "a state")
            eventually(lambda: any(reports(station)), 60, "the camera's rate in a health report")
    finally:
        station.stop()
    camera = reports(station)[-1]
    assert (camera.luma, camera.frozen_s < 1.0) == (None, True)
    states = [payload for _, payload in peek(station) if isinstance(payload, p.State)]
    assert states[-1].face.reason is Reason.DISABLED
    assert states[-1].active_alarms == ()


HEARD: dict[int, list[tuple[str, p.Payload | None]]] = {}


def peek(station: object) -> list[tuple[str, p.Payload | None]]:
    """All that it has heard so far."""
    kept = HEARD.setdefault(id(station), [])
    while not station.heard.empty():  # type: ignore[attr-defined]
        topic, data = station.heard.get()  # type: ignore[attr-defined]
        kept.append((topic, decode(topic, data) if data else None))
    return kept


def reports(station: object) -> list[p.CameraHealth]:
    told = [payload for _, payload in peek(station) if isinstance(payload, p.HealthReport)]
    return [report.cameras[0] for report in told if (report.cameras[0].fps or 0.0) > 5.0]


def test_capture_says_why_a_depth_recording_ended(tmp_path: Path) -> None:
    (record(tmp_path, 4) / "2.png").write_bytes(b"")
    capture = Capture(lambda: open_source(bed(tmp_path), paced=False), on_frame=lambda _: None)
    capture.start()
    eventually(lambda: capture.ended)
    capture.stop()
    assert "2.png: no whole PNG file" in (capture.stats().error or "")


@needs_models
@pytest.mark.parametrize(
    ("pose", "sources", "told"),
    [
        ("pose-depth", ["clip"], "reads depth, and cot-0 gives colour"),
        ("pose-depth", ["depth:."], None),
        ("pose-depth", ["depth:.", "depth:/dev/video1"], None),
        ("pose-depth", ["depth:.", "clip"], "reads depth, and cot-1 gives colour"),
        ("pose", ["depth:."], "reads colour, and cot-0 gives depth"),
        ("pose", ["clip"], None),
    ],
)
def test_the_doctor_tells_where_the_pose_network_is_of_another_kind(
    folder: Path, pose: str, sources: list[str], told: str | None
) -> None:
    beds = tuple(Bed(id=f"cot-{n}", source=source) for n, source in enumerate(sources))
    config = Config(beds=beds, models=Models(folder=folder, pose=pose))
    found = [one for one in doctor.models(config) if " reads " in one.what]
    assert [told in one.what for one in found if told] == ([True] if told else [])
    assert bool(found) is bool(told)
    assert all(one.remedy for one in found)


def test_the_form_of_a_source_says_whether_it_gives_depth() -> None:
    assert [gives_depth(s) for s in ("depth:/a", "depth:/dev/video0", "/dev/video0", "clip", "depth.mp4")] == [
        True, True, False, False, False,
    ]  # fmt: skip
