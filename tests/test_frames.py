"""One contract for every frame source, then what is particular to each."""

from __future__ import annotations

import gc
import itertools
import math
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import libcamera_stub
import numpy as np
import pytest
from conftest import eventually, free_port
from hypothesis import given
from hypothesis import strategies as st

from edgemon.config import Bed
from edgemon.errors import SourceError, SourceLost, SourceUnavailable, SourceUndecodable
from edgemon.frames import FrameSource, open_source
from edgemon.frames.capture import Capture
from edgemon.frames.clip import CLIPS, clip_path
from edgemon.frames.fake import FakeSource
from edgemon.frames.fit import fit
from edgemon.frames.pi_camera import PiCamera
from edgemon.frames.rtsp import Rtsp, StreamClock
from edgemon.frames.v4l2 import V4l2
from edgemon.frames.video import VideoFile
from edgemon.records import Frame

# picamera2's own start-up calls what Python has renamed
pytestmark = pytest.mark.filterwarnings("ignore:setDaemon:DeprecationWarning")

FPS = 10.0
RED_BGR = (0, 0, 255)
LOGIN = "nurse:s3cret-w0rd"


def bed(source: object = "clip", **more: object) -> Bed:
    return Bed.model_validate({"id": "cot-7", "source": str(source), "width_px": 320, "height_px": 240, **more})


def write_video(path: Path, pictures: list[np.ndarray], fourcc: str = "MJPG") -> Path:
    """Pictures (BGR) at 10 a second."""
    height, width = pictures[0].shape[:2]
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*fourcc), FPS, (width, height))
    for picture in pictures:
        writer.write(picture)
    writer.release()
    return path


def red(count: int = 12, width: int = 320, height: int = 240) -> list[np.ndarray]:
    return [np.full((height, width, 3), RED_BGR, np.uint8) for _ in range(count)]


class RtspServer:
    """A real RTSP server of a red picture; port and login stay the same through kill and start."""

    def __init__(self, login: str = LOGIN) -> None:
        self.login, self.port = login, free_port()
        self.start()

    def start(self) -> None:
        script = Path(__file__).with_name("rtsp_server.py")
        command = ["/usr/bin/python3", str(script), str(self.port), "0xFFFF0000", self.login]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        while (line := self.process.stdout.readline()) != "ready\n":
            assert line, "the RTSP server did not start"

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()

    def url(self, login: str | None = None) -> str:
        return f"rtsp://{self.login if login is None else login}@127.0.0.1:{self.port}/cam"


@pytest.fixture(scope="session")
def _rtsp_possible() -> None:
    probe = "import gi; gi.require_version('GstRtspServer', '1.0'); from gi.repository import Gst, GstRtspServer; "
    probe += "Gst.init(None); assert Gst.ElementFactory.find('x264enc')"
    if (
        not Path("/usr/bin/python3").exists()
        or subprocess.run(["/usr/bin/python3", "-c", probe], capture_output=True).returncode
    ):
        pytest.skip("needs Debian's python3-gi, gir1.2-gst-rtsp-server-1.0 and gstreamer1.0-plugins-ugly")


@pytest.fixture
def rtsp_server(_rtsp_possible: None) -> Iterator[RtspServer]:
    server = RtspServer()
    yield server
    server.kill()


@pytest.fixture
def pi(monkeypatch: pytest.MonkeyPatch) -> Iterator[libcamera_stub.Camera]:
    """The only camera of a stubbed libcamera, under the real picamera2."""
    camera = libcamera_stub.install(monkeypatch)
    yield camera
    camera.manager.close()
    for name in [name for name in sys.modules if name.split(".")[0] == "picamera2"]:
        del sys.modules[name]


class UsbCamera:
    """Behaves as cv2.VideoCapture does on a USB camera of one size, whose driver stamps on the monotonic clock."""

    def __init__(self, number: int, pictures: int = 1000) -> None:
        self.number, self.left, self.asked, self.released = number, pictures, {}, 0
        self.stamp_s = time.monotonic()

    def set(self, prop: int, value: float) -> bool:
        self.asked[prop] = value
        return True

    def get(self, prop: int) -> float:
        sizes = {cv2.CAP_PROP_FRAME_WIDTH: 640.0, cv2.CAP_PROP_FRAME_HEIGHT: 480.0}
        return sizes.get(prop, self.stamp_s * 1000)

    def read(self) -> tuple[bool, np.ndarray | None]:
        self.left -= 1
        self.stamp_s += 1e-4
        return (True, red(1, 640, 480)[0]) if self.left >= 0 else (False, None)

    def release(self) -> None:
        self.released += 1


def file_source(request: pytest.FixtureRequest) -> FrameSource:
    path = request.getfixturevalue("tmp_path") / "red.mp4"
    return open_source(bed(write_video(path, red(), "mp4v")), paced=False)


def rtsp_source(request: pytest.FixtureRequest) -> FrameSource:
    return open_source(bed(request.getfixturevalue("rtsp_server").url()), paced=True)


def pi_source(request: pytest.FixtureRequest) -> FrameSource:
    request.getfixturevalue("pi")
    return open_source(bed("picamera"), paced=True)


def usb_source(request: pytest.FixtureRequest) -> FrameSource:
    if not Path("/dev/video0").exists():
        pytest.skip("needs a camera at /dev/video0")
    return open_source(bed("0"), paced=True)


# name: how to make it, whether its picture is red
SOURCES: dict[str, tuple[Callable[[pytest.FixtureRequest], FrameSource], bool]] = {
    "file": (file_source, True),
    "clip": (lambda _: open_source(bed("clip"), paced=False), False),
    "clip2": (lambda _: open_source(bed("clip2"), paced=False), False),
    "rtsp": (rtsp_source, True),
    "v4l2": (lambda _: V4l2(bed("0"), opener=UsbCamera), True),
    "v4l2 device": (usb_source, False),
    "picamera2": (pi_source, True),
    "fake": (lambda _: FakeSource([np.full((240, 320, 3), (255, 0, 0), np.uint8)] * 12, bed="cot-7"), True),
}


@pytest.mark.parametrize("name", SOURCES)
def test_contract(name: str, request: pytest.FixtureRequest) -> None:
    make, is_red = SOURCES[name]
    source = make(request)
    for _ in range(2):  # a source may be opened again
        source.open()
        frames = [source.read() for _ in range(8)]
        assert all(f is not None for f in frames)
        assert all(f.image.shape == (240, 320, 3) and f.image.dtype == np.uint8 for f in frames)
        assert all((f.bed, f.source) == (source.bed, source.name) == ("cot-7", f.source) for f in frames)
        seqs = [f.seq for f in frames]
        if name == "rtsp":  # may say by a step that it lost some
            assert all(a < b for a, b in itertools.pairwise(seqs))
        else:
            assert seqs == list(range(8))
        assert all(a.captured_s <= b.captured_s for a, b in itertools.pairwise(frames))
        if is_red:
            assert np.abs(frames[-1].rgb[120, 160].astype(int) - (255, 0, 0)).max() <= 8
        source.close()
        source.close()
        assert source.read() is None


def damaged(path: Path, share: float) -> Path:
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    return path


def text_file(folder: Path) -> Path:
    (folder / "a.mp4").write_text("not a video at all\n" * 100)
    return folder / "a.mp4"


def empty_file(folder: Path) -> Path:
    (folder / "a.mp4").touch()
    return folder / "a.mp4"


FAILURES: dict[str, tuple[Callable[[Path], object], type[SourceError], str]] = {
    "no such file": (lambda d: d / "none.mp4", SourceUnavailable, "is no file; give clip, clip2, picamera"),
    "a folder": (lambda d: d, SourceUnavailable, "is no file"),
    "a text": (text_file, SourceUndecodable, "no video can be read from it; give a whole"),
    "empty": (empty_file, SourceUndecodable, "no video can be read from it"),
    "no index": (
        lambda d: damaged(write_video(d / "a.mp4", red(), "mp4v"), 0.7),
        SourceUndecodable,
        "give a whole MP4",
    ),
    "unknown scheme": (lambda _: "ftp://camera/a", SourceUnavailable, "no source for ftp://; give clip"),
    "no camera": (lambda _: "/dev/video63", SourceUnavailable, "/dev/video63: no such camera; plugged in: "),
    "nothing listens": (lambda _: f"rtsp://{LOGIN}@127.0.0.1:{free_port()}/cam", SourceUnavailable, "nothing answers"),
    "bad port": (lambda _: "rtsp://127.0.0.1:999999/cam", SourceUnavailable, "nothing answers"),
    "no picamera2": (lambda _: "picamera", SourceUnavailable, "sudo apt install python3-picamera2"),
}


@pytest.mark.parametrize("what", FAILURES)
def test_failing_open_is_one_clear_line(
    what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    make, kind, said = FAILURES[what]
    monkeypatch.setitem(sys.modules, "libcamera", None)
    with pytest.raises(kind) as error:
        open_source(bed(make(tmp_path)), paced=True).open()
    assert said in str(error.value)
    assert "\n" not in str(error.value)
    assert capfd.readouterr().err == ""


# --- the one place that turns and scales


@given(st.integers(1, 90), st.integers(1, 90), st.sampled_from([0, 90, 180, 270]))
def test_fit_always_gives_the_configured_size(width: int, height: int, turn: int) -> None:
    fitted = fit(np.full((height, width, 3), 200, np.uint8), bed(rotate_deg=turn))
    assert fitted.shape == (240, 320, 3)
    assert fitted.max() == 200


@pytest.mark.parametrize(("turn", "corner"), [(0, (0, 0)), (90, (0, -1)), (180, (-1, -1)), (270, (-1, 0))])
def test_fit_turns_clockwise(turn: int, corner: tuple[int, int]) -> None:
    sideways = turn in (90, 270)
    picture = np.zeros((320, 240, 3) if sideways else (240, 320, 3), np.uint8)
    picture[:20, :20] = 255
    assert fit(picture, bed(rotate_deg=turn))[corner].tolist() == [255, 255, 255]


def test_fit_keeps_proportions() -> None:
    wide = np.full((180, 320, 3), 90, np.uint8)
    fitted = fit(wide, bed())
    assert (fitted[30:210] == 90).all()
    assert not fitted[:30].any()
    assert not fitted[210:].any()


# --- files and clips


def grey_ramp(count: int) -> list[np.ndarray]:
    return [np.full((240, 320, 3), 20 * i, np.uint8) for i in range(count)]


def read_on(source: FrameSource, frames: list[Frame] | None = None) -> None:
    """Read until the source fails."""
    for frame in iter(source.read, None):
        if frames is not None:
            frames.append(frame)


def read_all(source: FrameSource) -> list[tuple[int, float, bytes]]:
    source.open()
    frames = [(f.seq, f.captured_s, f.image.tobytes()) for f in iter(source.read, None)]
    source.close()
    return frames


def test_unpaced_file_is_deterministic_on_its_own_clock(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mkv", grey_ramp(10))
    first = read_all(VideoFile(bed(), path, paced=False))
    assert [t for _, t, _ in first] == pytest.approx([i / FPS for i in range(10)])
    assert read_all(VideoFile(bed(), path, paced=False)) == first


def test_variable_frame_rate_keeps_its_true_times(tmp_path: Path) -> None:
    if shutil.which("ffmpeg") is None:
        pytest.skip("needs ffmpeg")
    even, path = write_video(tmp_path / "a.mkv", grey_ramp(10)), tmp_path / "b.mkv"
    thin = ["-vf", "select='not(between(n,3,5))'", "-fps_mode", "passthrough", "-c:v", "mjpeg"]
    subprocess.run(["ffmpeg", "-loglevel", "error", "-i", str(even), *thin, str(path)], check=True)
    times = [t for _, t, _ in read_all(VideoFile(bed(), path, paced=False))]
    assert times == pytest.approx([0, 0.1, 0.2, 0.6, 0.7, 0.8, 0.9], abs=0.002)


def test_loop_goes_on_as_one_recording(tmp_path: Path) -> None:
    source = VideoFile(bed(loop=True), write_video(tmp_path / "a.mp4", grey_ramp(5), "mp4v"), paced=False)
    source.open()
    frames = [source.read() for _ in range(17)]
    source.close()
    assert [f.seq for f in frames] == list(range(17))
    assert [f.captured_s for f in frames] == pytest.approx([i / FPS for i in range(17)])
    assert np.array_equal(frames[1].image, frames[11].image)


def test_paced_file_shows_no_frame_before_its_time(tmp_path: Path) -> None:
    source = VideoFile(bed(), write_video(tmp_path / "a.mkv", grey_ramp(4)), paced=True)
    before_s = time.monotonic()
    source.open()
    for i, frame in enumerate(iter(source.read, None)):
        assert before_s + i / FPS <= frame.captured_s <= time.monotonic()
    source.close()


def test_truncated_file_gives_its_frames_and_then_says_so(tmp_path: Path) -> None:
    noise = list(np.random.default_rng(0).integers(0, 255, (20, 240, 320, 3), np.uint8))
    source = VideoFile(bed(), damaged(write_video(tmp_path / "a.mkv", noise), 0.5), paced=False)
    frames: list[Frame] = []
    source.open()
    with pytest.raises(SourceLost, match=r"damaged after [01]\.\d of 2\.0 s; give a whole") as error:
        read_on(source, frames)
    source.close()
    assert 5 <= len(frames) <= 15
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", CLIPS)
def test_bundled_clip_is_whole(name: str) -> None:
    """At least a minute of 30 fps in at most 8 MB, with its truth beside it."""
    path = clip_path(name)
    assert path.with_name(f"{CLIPS[name]}.truth.json").is_file()
    assert path.stat().st_size <= 8 * 2**20
    clip = cv2.VideoCapture(str(path))
    assert clip.get(cv2.CAP_PROP_FPS) == pytest.approx(30)
    assert clip.get(cv2.CAP_PROP_FRAME_COUNT) >= 60 * 30 or name == "clip2"
    clip.release()


# --- RTSP


@given(st.lists(st.tuples(st.floats(-100, 100), st.floats(0, 10)), min_size=1, max_size=40))
def test_stream_clock_never_falls_nor_runs_ahead(steps: list[tuple[float, float]]) -> None:
    clock, stamp_s, now_s, last_s = StreamClock(window=5), 0.0, 1000.0, -math.inf
    for stamp_step_s, wait_s in steps:
        stamp_s, now_s = stamp_s + stamp_step_s, now_s + wait_s
        captured_s = clock.captured_s(stamp_s, now_s)
        assert last_s <= captured_s <= now_s + 1e-9
        last_s = captured_s


def test_stream_clock_takes_the_jitter_out() -> None:
    clock = StreamClock()
    times = [clock.captured_s(i / 30, 50 + i / 30 + (0.0 if i % 7 == 0 else 0.02)) for i in range(90)]
    assert np.allclose(np.diff(times), 1 / 30)


@pytest.mark.parametrize("login", ["nurse:wr0ng-w0rd", ""])
def test_rtsp_refuses_a_wrong_password_and_never_tells_it(
    login: str, rtsp_server: RtspServer, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    source = Rtsp(bed(rtsp_server.url(login)))
    with pytest.raises(SourceUnavailable, match="answers but gives no stream; check the path, the user and") as error:
        source.open()
    told = f"{error.value} {error.value.__cause__} {source.name} {capfd.readouterr()} {caplog.text}"
    assert "w0rd" not in told
    assert source.name == f"rtsp://127.0.0.1:{rtsp_server.port}/cam"


def test_rtsp_server_that_dies_is_lost(rtsp_server: RtspServer) -> None:
    source = Rtsp(bed(rtsp_server.url()))
    source.open()
    assert source.read() is not None
    rtsp_server.kill()
    with pytest.raises(SourceLost, match="ended or fell silent; check the camera"):
        read_on(source)
    source.close()


def test_rtsp_server_that_falls_silent_is_lost(rtsp_server: RtspServer) -> None:
    source = Rtsp(bed(rtsp_server.url()), read_timeout_s=0.5)
    source.open()
    rtsp_server.process.send_signal(subprocess.signal.SIGSTOP)
    with pytest.raises(SourceLost, match="fell silent"):
        read_on(source)
    source.close()


def test_rtsp_camera_that_is_killed_and_comes_back_goes_on_through_capture(rtsp_server: RtspServer) -> None:
    seen: list[Frame] = []
    capture = Capture(lambda: Rtsp(bed(rtsp_server.url())), on_frame=seen.append, backoff_s=(0.2,))
    capture.start()
    eventually(lambda: len(seen) >= 3)
    rtsp_server.kill()
    eventually(lambda: "nothing answers" in (capture.stats().error or ""))
    before = len(seen)
    rtsp_server.start()
    eventually(lambda: len(seen) >= before + 3)
    capture.stop()
    assert all(a.seq < b.seq and a.captured_s <= b.captured_s for a, b in itertools.pairwise(seen))
    assert capture.stats().restarts >= 1
    assert "w0rd" not in str(capture.stats())


# --- V4L2


def test_v4l2_asks_for_motion_jpeg_one_buffer_and_the_size_before_turning() -> None:
    cameras: list[UsbCamera] = []
    source = V4l2(
        bed("/dev/video3", rotate_deg=90, fps=25), opener=lambda n: cameras.append(UsbCamera(n)) or cameras[0]
    )
    source.open()
    source.close()
    assert (cameras[0].number, cameras[0].released) == (3, 1)
    assert cameras[0].asked == {
        cv2.CAP_PROP_FOURCC: cv2.VideoWriter.fourcc(*"MJPG"),
        cv2.CAP_PROP_FRAME_WIDTH: 240,
        cv2.CAP_PROP_FRAME_HEIGHT: 320,
        cv2.CAP_PROP_FPS: 25,
        cv2.CAP_PROP_BUFFERSIZE: 1,
    }


@pytest.mark.parametrize(("offset_s", "kept"), [(-0.02, True), (-1e6, False), (1e6, False)])
def test_v4l2_takes_the_drivers_stamp_only_from_our_clock(offset_s: float, kept: bool) -> None:
    camera = UsbCamera(0)
    camera.stamp_s += offset_s
    source = V4l2(bed("0"), opener=lambda _: camera)
    source.open()
    before_s = time.monotonic()
    frame = source.read()
    source.close()
    assert frame is not None
    assert (frame.captured_s == pytest.approx(camera.stamp_s)) == kept
    assert kept or before_s <= frame.captured_s <= time.monotonic()


def test_v4l2_unplugged_is_lost() -> None:
    source = V4l2(bed("0"), opener=lambda n: UsbCamera(n, pictures=2))
    source.open()
    source.read()
    source.read()
    with pytest.raises(SourceLost, match="gives no picture any more; check the cable"):
        source.read()
    source.close()


# --- the Pi's camera: the real picamera2 over a stubbed libcamera


def test_pi_camera_asks_for_small_yuv_the_whole_field_and_the_rate(pi: libcamera_stub.Camera) -> None:
    source = PiCamera(bed("picamera:0", rotate_deg=270, fps=20))
    source.open()
    source.close()
    main, lores, raw = (pi.config.at(i) for i in range(3))
    assert (lores.size, lores.pixel_format, lores.buffer_count) == (libcamera_stub.Size(240, 320), "YUV420", 4)
    assert main.size == lores.size
    assert raw.size == pi.config.sensor_config.output_size == libcamera_stub.Size(1640, 1232)
    assert lores.color_space.name == "Smpte170m"
    assert pi.started_with["FrameDurationLimits"] == (50_000, 50_000)


def test_pi_camera_drops_the_padding_of_its_rows(pi: libcamera_stub.Camera) -> None:
    source = PiCamera(bed("picamera", width_px=330))
    source.open()
    frame = source.read()
    source.close()
    assert pi.config.at(1).stride == 384
    assert frame is not None
    assert np.abs(frame.rgb.astype(int) - (255, 0, 0)).max() <= 8


def test_pi_camera_times_come_from_the_sensor(pi: libcamera_stub.Camera) -> None:
    source = PiCamera(bed("picamera"))
    source.open()
    times_ns = [round(source.read().captured_s * 1e9) for _ in range(5)]
    source.close()
    assert all(t % libcamera_stub.FRAME_NS == 0 for t in times_ns)
    assert len(set(times_ns)) == 5


def test_pi_camera_hands_its_buffer_back_even_when_conversion_fails(
    pi: libcamera_stub.Camera, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = PiCamera(bed("picamera"))
    source.open()
    with monkeypatch.context() as broken:
        broken.setattr(cv2, "COLOR_YUV2RGB_I420", -1)
        for _ in range(6):  # more than there are buffers
            with pytest.raises(cv2.error):
                source.read()
    assert source.read() is not None
    source.close()


def test_pi_camera_that_falls_silent_is_lost_and_can_be_opened_again(pi: libcamera_stub.Camera) -> None:
    source = PiCamera(bed("picamera"), wait_s=0.1)
    source.open()
    pi.silent = True
    with pytest.raises(SourceLost, match=r"no picture for 0\.1 s; check the ribbon cable"):
        read_on(source)
    source.close()
    pi.silent = False
    source.open()
    assert source.read() is not None
    source.close()


@pytest.mark.parametrize(
    ("source", "busy", "said"), [("picamera", True, "resource busy"), ("picamera:1", False, "No camera number 1")]
)
def test_pi_camera_not_to_be_had_is_one_line_and_leaks_no_descriptor(
    source: str, busy: bool, said: str, pi: libcamera_stub.Camera
) -> None:
    pi.busy = busy

    def refused() -> set[str]:
        with pytest.raises(SourceUnavailable, match=said) as error:
            PiCamera(bed(source)).open()
        assert "\n" not in str(error.value)
        return {each.name for each in Path("/proc/self/fd").iterdir()}

    refused()
    gc.collect()  # of what earlier tests left
    before = refused()
    assert refused() <= before
