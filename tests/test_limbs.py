"""Pose at its own pace beside the face: whose turn it is, what depth shows, what is told of a minute, when it rests."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import tqdm
from conftest import ROOT
from hypothesis import given
from hypothesis import strategies as st
from pose_model import cot, ship
from test_pipeline import Detector, Pulse, Seer, stamp

from edgemon import bench, check, doctor
from edgemon.config import Bed, Cadence, Config, Models, PoseSettings, Region
from edgemon.errors import ModelError
from edgemon.events.conditions import settings_for
from edgemon.frames.capture import Capture
from edgemon.frames.fake import FakeSource
from edgemon.health import FREQUENCY_CAPPED, UNDERVOLTAGE, Board, Progress
from edgemon.inference import Model
from edgemon.messages import Composer
from edgemon.messages import payloads as p
from edgemon.movement import MovementWindow
from edgemon.observations.pose import PoseObserver, Scene
from edgemon.observations.pose_network import PoseNetwork
from edgemon.pipeline import SAMPLE_FACE_UP_TO_S, Limbs, Mind, Seen, Sight, build_sights
from edgemon.records import Frame, Health, Observation, Pose, Posture, Reason
from edgemon.states import POSE, StateEstimator, StateSettings
from edgemon.states.vote import Vote
from edgemon.vision import LATE_S, LONG_S, REST_S, Load, Vision

needs_models = pytest.mark.skipif(not (ROOT / "models/face.toml").is_file(), reason="no released models in this tree")
BED = Bed(id="cot-1")
PICTURE = cot((128, 96))
FPS = 10.0


class Counter(PoseObserver):
    """The real observer, that also notes how many pictures each of its runs was shown."""

    shown: list[int]

    def observe(self, scenes: Sequence[Scene]) -> tuple[Observation, ...]:
        self.shown = [*getattr(self, "shown", []), len(scenes)]
        return super().observe(scenes)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("models")
    ship(made)
    ship(made, "pose-depth", colour="depth")
    return made


def counter(folder: Path, name: str = "pose") -> Counter:
    return Counter(PoseNetwork(Model.open(folder, name)))


def frame(at_s: float, bed: str = "cot-1", picture: object = PICTURE) -> Frame:
    return Frame(bed, round(at_s * FPS), at_s, picture, "test")  # type: ignore[arg-type]


def test_pose_takes_its_turn_once_a_second(folder: Path) -> None:
    observer = counter(folder)
    limbs = Limbs([(BED,)], 1.0, observer, together=False)
    told = [limbs.look("cot-1", frame(n / FPS)) for n in range(50)]
    assert observer.shown == [1] * 5
    assert [one.captured_s for look in told for one in look] == [0.0, 1.0, 2.0, 3.0, 4.0]


def test_each_camera_is_shown_at_its_own_turn_and_no_other_with_it(folder: Path) -> None:
    beds = [Bed(id=f"cot-{n}", source=f"{n}") for n in range(3)]
    observer = counter(folder)
    limbs = Limbs([(bed,) for bed in beds], 1.0, observer, together=False)
    for n in range(40):
        for late, bed in enumerate(beds):
            told = limbs.look(bed.id, frame(n / FPS + late / 30, bed.id))
            assert limbs.ran is bool(told)
    assert observer.shown == [1] * 12


def test_cameras_together_are_shown_in_one_run_and_each_bed_hears_at_its_next_frame(folder: Path) -> None:
    beds = [Bed(id=f"cot-{n}", source=f"{n}") for n in range(3)]
    observer = counter(folder)
    limbs = Limbs([(bed,) for bed in beds], 1.0, observer, together=True)
    told: dict[str, list[float]] = {bed.id: [] for bed in beds}
    for n in range(40):
        for late, bed in enumerate(beds):
            told[bed.id] += [one.captured_s for one in limbs.look(bed.id, frame(n / FPS + late / 100, bed.id))]
    assert observer.shown[1:] == [3] * (len(observer.shown) - 1)
    assert [len(times) for times in told.values()] == [4, 3, 3]
    assert all(b > a for times in told.values() for a, b in itertools.pairwise(times))


def test_a_camera_that_stands_still_is_not_shown_again(folder: Path) -> None:
    beds = [Bed(id=f"cot-{n}", source=f"{n}") for n in range(2)]
    observer = counter(folder)
    limbs = Limbs([(bed,) for bed in beds], 1.0, observer, together=True)
    limbs.look("cot-1", frame(0.05, "cot-1"))
    for n in range(30):
        limbs.look("cot-0", frame(n / FPS + 0.1, "cot-0"))
    assert observer.shown == [1] * 3


def test_beds_of_one_camera_share_its_run(folder: Path) -> None:
    pair = (Bed(id="left", cot_region=Region(x1=0.5)), Bed(id="right", cot_region=Region(x0=0.5)))
    observer = counter(folder)
    limbs = Limbs([pair], 1.0, observer, together=False)
    both = frame(0.0, "left", cot((70, 96), (190, 96)))
    told = [limbs.look(bed.id, both) for bed in pair]
    assert observer.shown == [1]
    assert [(one.bed, isinstance(one.value, Pose)) for (one,) in told] == [("left", True), ("right", True)]


def test_while_the_board_is_too_busy_pose_rests_and_says_so(folder: Path) -> None:
    observer = counter(folder)
    limbs = Limbs([(BED,)], 1.0, observer, together=False)
    limbs.resting = True
    (told,) = limbs.look("cot-1", frame(0.0))
    assert told.reason is Reason.OVERLOADED
    assert not hasattr(observer, "shown")
    limbs.resting = False
    (told,) = limbs.look("cot-1", frame(1.0))
    assert isinstance(told.value, Pose)


def sight(folder: Path, name: str = "pose", observers: tuple[object, ...] = ()) -> Sight:
    cadence = Cadence(face_hz=5, expression_hz=2, heart_rate_hz=1)
    return Sight(
        BED, cadence, detector=Detector(), observers=observers or (Seer(),), heart_rate=Pulse(),  # type: ignore[arg-type]
        limbs=Limbs([(BED,)], 1.0, counter(folder, name), together=False), movement=MovementWindow(BED.id),
    )  # fmt: skip


def play(one: Sight, seconds: float, picture: object = PICTURE) -> list[Seen]:
    seen = []
    for n in range(round(seconds * FPS)):
        shown = frame(n / FPS, picture=picture)
        one.sample(shown)
        seen.append(one.look(shown))
    return seen


def test_pose_comes_beside_the_face_and_drops_no_region_mean(folder: Path) -> None:
    one = sight(folder)
    seen = play(one, 5.0)
    assert sum(o.observer == POSE for look in seen for o in look.observations) == 5
    found = next(n for n, look in enumerate(seen) if look.face is not None)
    assert found < FPS
    assert all(look.face is not None for look in seen[found:])
    assert [s.seq for s in one.ring.snapshot()] == list(range(found + 1, 50))
    assert one.ring.gaps == 0


def test_depth_shows_a_body_and_no_face(folder: Path) -> None:
    """The face's readings are switched off, the pose is read, nothing fails and no alarm is made of it."""
    rows, columns = np.mgrid[:192, :256]
    near_mm = 200 * np.exp(-((columns - 128) ** 2 + (rows - 96) ** 2) / (2 * 16**2))
    one = sight(folder, "pose-depth")
    detector = one._detector
    seen = play(one, 3.0, (900 - near_mm).astype(np.uint16))
    assert detector.calls == 0  # type: ignore[attr-defined]
    assert {(look.face, look.reason, look.failed_models) for look in seen} == {(None, Reason.DISABLED, ())}
    told = {(o.observer, o.reason) for look in seen for o in look.observations if o.observer != "heart_rate"}
    assert told == {("expression", Reason.DISABLED), (POSE, None)}
    mind = watcher()
    for look in seen:
        mind.take(look)
    said = mind.tick(Health(at_s=40.0, frame_age_s=0.0), stamp(40.0))
    assert not [m.payload for m in said if isinstance(m.payload, p.Alarm)]


def watcher() -> Mind:
    composer = Composer("site", "unit", "pi-1", "boot", 1)
    return Mind("cot-1", Cadence(), settings_for({}), composer, "pi-1/boot", states=StateSettings(pose_window_s=15.0))


def test_a_minute_of_movement_is_told_once_and_posture_and_index_are_believed(folder: Path) -> None:
    one, mind = sight(folder), watcher()
    movements, states = [], []
    for look in play(one, 64.0):
        mind.take(look)
        for message in mind.tick(Health(at_s=look.at_s, frame_age_s=0.0, luma=100.0), stamp(look.at_s)):
            movements += [message] if isinstance(message.payload, p.Movement) else []
            states += [message.payload] if isinstance(message.payload, p.State) else []
    (message,) = movements
    told = message.payload
    assert isinstance(told, p.Movement)
    assert (message.qos, message.retain, message.topic.rsplit("/", 1)[1]) == (1, False, "movement")
    assert (told.pose_hz, told.frames_hz, told.index, told.still) == (1.0, FPS, 0.0, 1.0)
    assert told.coverage > 0.95
    assert told.onsets is told.synchrony is None
    assert (states[-1].posture.value, states[-1].movement.value) == (Posture.SUPINE, 0.0)
    assert states[0].movement.reason is Reason.WARMING_UP


def pose(posture: Posture | None, at_s: float) -> Observation:
    keypoints = np.full((14, 3), 0.9, np.float32)
    return Observation("cot-1", POSE, at_s, Pose(keypoints, 0.9, posture, None), None, 0.9, "pose@1.0.0")


def test_one_misread_posture_changes_nothing_and_a_turn_is_believed_after_a_while() -> None:
    estimator = StateEstimator("cot-1", StateSettings(pose_window_s=15.0))
    looks = [Posture.SUPINE] * 20 + [Posture.PRONE] + [Posture.SUPINE] * 10 + [Posture.SIDE] * 20
    told = []
    for at_s, look in enumerate(looks):
        estimator.observe(pose(look, float(at_s)))
        told.append(estimator.state(float(at_s)).posture)
    assert told[0].reason is Reason.WARMING_UP
    assert {reading.value for reading in told[2:31]} == {Posture.SUPINE}
    turned = next(n for n, reading in enumerate(told) if reading.value is Posture.SIDE)
    assert 31 + 3 <= turned <= 31 + 12
    assert told[turned].since_s == 31.0


def test_a_posture_that_is_no_longer_seen_becomes_unknown_with_the_reason() -> None:
    estimator = StateEstimator("cot-1", StateSettings(pose_window_s=15.0))
    for at_s in range(5):
        estimator.observe(pose(Posture.PRONE, float(at_s)))
    for at_s in range(5, 60):
        estimator.observe(Observation("cot-1", POSE, float(at_s), None, Reason.OCCLUDED, 0.0, "pose@1.0.0"))
    reading = estimator.state(59.0).posture
    assert (reading.value, reading.reason) == (None, Reason.OCCLUDED)
    assert estimator.state(200.0).posture.reason is Reason.STALE


def test_without_a_pose_network_all_of_it_is_disabled() -> None:
    state = StateEstimator("cot-1").state(5.0)
    assert {r.reason for r in (state.posture, state.head_side, state.movement)} == {Reason.DISABLED}


@given(st.lists(st.tuples(st.floats(0.1, 5.0), st.sampled_from(["a", "b", "c", None])), max_size=80))
def test_a_vote_tells_only_what_most_of_the_last_looks_said(looks: list[tuple[float, str | None]]) -> None:
    """Whatever is told was seen within the hold time, and no change of mind is without its majority."""
    vote: Vote[str] = Vote(10.0, 20.0, share=0.6, looks=3)
    at_s, seen, before = 0.0, [], None
    for step_s, value in looks:
        at_s += step_s
        vote.see(value, 0.9, at_s)
        seen += [(at_s, value)] if value else []
        told = vote.held.reading(at_s)
        recent = [v for s, v in seen if s >= at_s - 10.0]
        if told.value is not None and told.value != before:
            assert recent.count(told.value) >= max(3, 0.6 * len(recent) - 1e-9)
        assert told.value is None or max(s for s, v in seen if v == told.value) >= at_s - 20.0
        before = told.value


def test_stages_that_matter_least_rest_while_looks_come_late_and_for_a_while_after() -> None:
    load, now_s = Load(), 0.0
    rested = []
    for late_s, seconds in ((0.03, 20.0), (0.9, 10.0), (0.03, 60.0)):
        for _ in range(round(seconds * 10)):
            now_s += 0.1
            rested.append((now_s, load.heavy(late_s, None, now_s, hot=False)))
    begins = next(s for s, rests in rested if rests)
    ends = next(s for s, rests in rested if s > begins and not rests)
    assert 20.0 < begins < 24.0
    assert 30.0 + REST_S < ends < 30.0 + REST_S + 15.0
    assert 0.03 < LATE_S < 0.9


def test_a_hot_board_rests_at_once() -> None:
    load = Load()
    assert load.heavy(0.01, None, 0.0, hot=True)
    assert load.heavy(0.01, None, REST_S - 1.0, hot=False)
    assert not load.heavy(0.01, None, REST_S + 1.0, hot=False)


def test_poses_that_keep_the_face_waiting_rest_at_the_second() -> None:
    """A face that was last seen a second ago is not read for its colour; one long look may be chance."""
    load, long_s = Load(), LONG_S + 0.01
    took: list[float | None] = [long_s, None, 0.1, long_s, None]
    assert not any(load.heavy(0.03, posed_s, n / 4, hot=False) for n, posed_s in enumerate(took))
    assert load.heavy(0.03, long_s, 2.0, hot=False)
    assert not load.heavy(0.03, None, 2.5 + REST_S, hot=False)
    assert LONG_S + 1 / Cadence().face_hz < SAMPLE_FACE_UP_TO_S


def test_the_first_look_after_an_outage_does_not_decide_alone() -> None:
    load = Load()
    load.heavy(0.03, None, 0.0, hot=False)
    assert not load.heavy(0.9, None, 60.0, hot=False)


@pytest.mark.parametrize(
    ("degrees", "bits", "hot"),
    [
        (None, None, False),
        (79.0, 0, False),
        (81.0, 0, True),
        (50.0, FREQUENCY_CAPPED, True),
        (50.0, UNDERVOLTAGE, False),
    ],
)
def test_a_board_is_hot_when_its_cores_are_slowed_down(degrees: float | None, bits: int | None, hot: bool) -> None:
    assert Board(degrees, bits, None, None, None, "ntp").hot is hot


def released(folder: Path, made: Path) -> Path:
    """The shipped networks with the fake pose network beside them."""
    for path in (ROOT / "models").iterdir():
        if path.suffix in (".onnx", ".toml"):
            (made / path.name).write_bytes(path.read_bytes())
    for name in ("pose.onnx", "pose.toml"):
        (made / name).write_bytes((folder / name).read_bytes())
    return made


@needs_models
def test_the_daemons_threads_read_pose_and_drop_no_region_mean(folder: Path, tmp_path: Path) -> None:
    """Every frame of the demo clip's first seconds reaches the skin trace, while pose is read from some of them."""
    from edgemon.frames import open_source

    clip = open_source(Bed(id="cot-1", source="clip"), paced=False)
    clip.open()
    pictures = [shown.rgb for _ in range(90) if (shown := clip.read()) is not None]
    clip.close()
    config = Config(models=Models(folder=released(folder, tmp_path), pose="pose"), cadence=Cadence(pose_hz=30))
    vision = Vision(build_sights(config), Progress(("vision",), 0.0))
    source = FakeSource(pictures, live=False)
    capture = Capture(lambda: source, on_frame=lambda shown: vision.on_frame(["cot-1"], shown))
    (watched,) = vision.sights
    sampled: list[int] = []
    sample = watched.sample

    def taken(shown: Frame) -> None:
        sampled.append(shown.seq)
        sample(dataclasses.replace(shown, captured_s=shown.seq / 30))  # a busy machine's own stutter is no lost frame

    watched.sample = taken  # type: ignore[method-assign]
    capture.start()
    vision.watch([capture])
    posed = 0
    while not (capture.ended and vision.seen.empty() and posed):
        _, seen = vision.seen.get(timeout=10)
        posed += any(o.observer == POSE for o in seen.observations)
    capture.stop()
    vision.stop()
    assert sampled == list(range(90))
    assert watched.ring.gaps == 0


@needs_models
def test_the_configuration_builds_it_and_check_doctor_and_bench_know_it(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bench, "MODEL_RUNS", 4)
    monkeypatch.setattr(tqdm.tqdm, "monitor_interval", 0)
    config = Config(models=Models(folder=released(folder, tmp_path), pose="pose"), pose=PoseSettings(mode="grid"))
    assert build_sights(config)[0].models[-1].label == "pose@0.1.0"
    assert [line for line in check.check(config) if line.startswith("model")][-1] == "model pose: pose@0.1.0"
    assert any("pose takes" in found.what for found in doctor.models(config))
    report = bench.measure(0.2, tmp_path)
    assert {"model: pose", "model: pose x4"} <= report.latency.keys()
    assert Config().models.pose is None
    with pytest.raises(ModelError, match="not a pose model"):
        build_sights(config.model_copy(update={"models": Models(folder=tmp_path, pose="face")}))


@pytest.mark.parametrize(
    ("mode", "run_s", "verdict"),
    [
        ("single", 0.02, "ok"),
        ("single", 0.1, "warn"),
        ("batch", 0.1, "warn"),
        ("single", 0.025, "ok"),
        ("batch", 0.025, "ok"),
        ("grid", 0.1, "ok"),
        ("grid", 0.3, "warn"),
    ],
)
def test_the_doctor_tells_when_pose_takes_too_much_of_the_time(mode: str, run_s: float, verdict: str) -> None:
    beds = tuple(Bed(id=f"cot-{n}", source=f"{n}") for n in range(4))
    config = Config(beds=beds, pose=PoseSettings(mode=mode))  # type: ignore[arg-type]
    assert doctor.pose_load(config, run_s).verdict == verdict
