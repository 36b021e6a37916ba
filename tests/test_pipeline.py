"""The order of the stages: cadence, what runs on which frame, what is told when."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgemon.cadence import Every, Pace
from edgemon.config import Bed, Cadence
from edgemon.errors import ModelError
from edgemon.events.conditions import settings_for
from edgemon.faces.detect import Detection
from edgemon.messages import Composer, Stamp
from edgemon.messages import payloads as p
from edgemon.pipeline import Mind, OncePerPicture, Seen, Sight
from edgemon.records import (
    Expression,
    Face,
    Frame,
    Health,
    HeartRate,
    Observation,
    Reason,
    SkinSample,
)

POINTS = np.array([[140, 110], [180, 110], [160, 130], [145, 150], [175, 150]], np.float32)
BOX = (110.0, 70.0, 210.0, 185.0)
CHECKS = np.kron(np.indices((12, 16)).sum(axis=0) % 2, np.ones((20, 20)))[..., None].repeat(3, 2).astype(np.uint8) * 200
SKIN = np.full((240, 320, 3), (150, 110, 90), np.uint8)


class Detector:
    """Sees one face, or fails."""

    def __init__(self) -> None:
        self.calls = 0
        self.fails = False

    def detect(self, _image: object) -> tuple[Detection, ...]:
        self.calls += 1
        if self.fails:
            raise ModelError("broken")
        return (Detection(BOX, POINTS, 0.9),)


class Seer:
    name = "expression"

    def __init__(self) -> None:
        self.calls = 0

    def observe(self, frame: Frame, face: Face | None) -> Observation:
        self.calls += 1
        value = Expression(0.02, 0.01, 0.01) if face else None
        reason = None if face else Reason.NO_FACE
        return Observation(frame.bed, "expression", frame.captured_s, value, reason, 0.9, "fake@1.0.0")


class Pulse:
    name = "heart_rate"
    reads_patches = False

    def observe(self, trace: Sequence[SkinSample], now_s: float) -> Observation:
        value = HeartRate(140.0, 10.0, "rPPG-POS") if len(trace) > 30 else None
        reason = None if value else Reason.WARMING_UP
        return Observation("cot-1", "heart_rate", now_s, value, reason, 0.9 if value else 0.0, "rPPG")


def sight() -> tuple[Sight, Detector, Seer]:
    detector, seer = Detector(), Seer()
    cadence = Cadence(face_hz=5, expression_hz=2, heart_rate_hz=1)
    return (
        Sight(Bed(id="cot-1"), cadence, detector=detector, observers=(seer,), heart_rate=Pulse()),  # type: ignore[arg-type]
        detector,
        seer,
    )


def frames(seconds: float, fps: float = 30.0) -> list[Frame]:
    return [Frame("cot-1", n, n / fps, SKIN, "test") for n in range(round(seconds * fps))]


def lost(find: Callable[[object], tuple[Detection, ...]]) -> Callable[[object], tuple[Detection, ...]]:
    """The same detector with something before the lens: it runs, and finds nothing."""
    return lambda image: find(image)[:0]


def play(one: Sight, pictures: list[Frame]) -> list[Seen]:
    seen = []
    for frame in pictures:
        one.sample(frame)
        seen.append(one.look(frame))
    return seen


def stamp(at_s: float) -> Stamp:
    return Stamp(at_s, Stamp(0.0, "2026-01-05T03:12:09.120Z", "ntp").wall(at_s), "ntp")


@given(st.floats(0.02, 5.0), st.lists(st.floats(0.001, 3.0), min_size=1, max_size=200))
def test_a_cadence_is_due_at_most_once_a_period(period_s: float, steps_s: list[float]) -> None:
    """However irregular the frames: never more turns than periods, plus the first."""
    every, now_s, turns = Every(period_s), 0.0, 0
    for step_s in steps_s:
        now_s += step_s
        turns += every.due(now_s)
    assert 1 <= turns <= 1 + (now_s - steps_s[0]) / period_s + 1e-6


def test_every_stage_runs_at_its_own_cadence() -> None:
    """Two seconds at 30 fps: detector 5 Hz, and once at 10 Hz until it has found a face; expression 2, heart rate 1."""
    one, detector, seer = sight()
    seen = play(one, frames(2.0))
    rates = [o for look in seen for o in look.observations if o.observer == "heart_rate"]
    assert (detector.calls, seer.calls, len(rates)) == (11, 4, 2)


def test_the_detector_rests_while_all_is_calm_and_hurries_after_a_face_that_is_lost() -> None:
    """At 5 Hz: 2.5 Hz once a face has lain still for 10 s; 10 Hz for 10 s after it was lost; then 5 Hz again."""
    one, detector, _ = sight()
    play(one, frames(12.0))
    calls = [detector.calls]
    find = detector.detect
    spans = [(12.0, 20.0), (20.0, 21.0), (21.0, 29.0), (34.0, 44.0)]
    for from_s, to_s in spans:
        detector.detect = find if from_s == 12.0 else lost(find)  # type: ignore[method-assign]
        play(one, [Frame("cot-1", n, n / 30.0, SKIN, "test") for n in range(round(from_s * 30), round(to_s * 30))])
        calls.append(detector.calls)
    rates = [(b - a) / (to_s - from_s) for (from_s, to_s), (a, b) in zip(spans, itertools.pairwise(calls), strict=True)]
    assert [rates[0], *rates[2:]] == pytest.approx([2.5, 10.0, 5.0], abs=0.3)


@settings(deadline=None)
@given(st.floats(1.0, 30.0), st.lists(st.tuples(st.floats(0.01, 0.5), st.booleans(), st.floats(0, 20)), max_size=100))
def test_the_detector_keeps_within_bounds(face_hz: float, steps: list[tuple[float, bool, float]]) -> None:
    """Whatever comes: never faster than 2.5 times its rate, never slower than half of it and one frame."""
    pace, now_s, ran_s = Pace(face_hz), 0.0, [0.0]
    face = Face(1, BOX, POINTS, 0.9, 0.0, 0.0)
    assert pace.due(0.0, None, 0.0)
    for step_s, found, still_s in steps:
        now_s += step_s
        shown = replace(face, captured_s=now_s, detected_s=ran_s[-1] if found else 0.0)
        if pace.due(now_s, shown, still_s):
            assert now_s - ran_s[-1] >= 0.4 / face_hz - 1e-9
            ran_s.append(now_s)
        assert now_s - ran_s[-1] < 2 / face_hz


def test_a_picture_that_shows_several_beds_is_looked_at_once() -> None:
    detector = Detector()
    shared = OncePerPicture(detector)
    for picture in (SKIN, SKIN.copy()):
        assert [len(shared.detect(picture)) for _ in range(3)] == [1, 1, 1]
    assert detector.calls == 2


def test_a_frame_of_a_shared_camera_is_told_of_as_this_bed_s() -> None:
    one, _, _ = sight()
    seen = one.look(Frame("cot-2", 0, 0.0, SKIN, "test"))
    assert {o.bed for o in seen.observations} == {"cot-1"}


def test_the_skin_is_read_in_every_frame_once_a_face_is_known() -> None:
    """No frame is missing from the trace between the first face and the last."""
    one, _, _ = sight()
    play(one, frames(3.0))
    samples = one.ring.snapshot()
    assert [s.seq for s in samples] == list(range(samples[0].seq, 90))
    assert one.ring.gaps == 0


def test_a_detector_that_fails_is_named_and_no_face_is_claimed() -> None:
    """A broken model gives no face, says why, and names itself."""
    one, detector, _ = sight()
    play(one, frames(1.0))
    detector.fails = True
    last = one.look(Frame("cot-1", 31, 2.0, SKIN, "test"))
    assert (last.face, last.reason, last.failed_models) == (None, Reason.MODEL_FAILED, ("face",))


@pytest.fixture
def mind() -> Mind:
    composer = Composer("site", "unit", "pi-1", "boot", 1)
    return Mind("cot-1", Cadence(state_s=30), settings_for({}), composer, "pi-1/boot")


def told(mind: Mind, one: Sight, seconds: float) -> list[tuple[float, object]]:
    """Everything that is said while a still face is looked at."""
    out: list[tuple[float, object]] = []
    next_s = 0.25
    for frame in frames(seconds):
        one.sample(frame)
        mind.take(one.look(frame))
        if frame.captured_s >= next_s:
            next_s += 0.25
            health = Health(at_s=frame.captured_s, frame_age_s=0.0, luma=100.0)
            out += [(frame.captured_s, m.payload) for m in mind.tick(health, stamp(frame.captured_s))]
    return out


def test_a_state_is_told_on_change_and_repeated(mind: Mind) -> None:
    """The same state again only after 30 s; a minute of heart rate in one summary."""
    said = told(mind, sight()[0], 66.0)
    minutes = [payload for _, payload in said if isinstance(payload, p.HeartRateMinute)]
    states = [at_s for at_s, payload in said if isinstance(payload, p.State)]
    assert len(minutes) == 1
    assert minutes[0].median == 140.0
    assert 3 <= len(states) <= 12
    assert max(b - a for a, b in itertools.pairwise(states)) <= 30.5


def test_every_heart_rate_is_told_once(mind: Mind) -> None:
    """One vital a second, each later than the one before."""
    rates = [payload.mono_ms for _, payload in told(mind, sight()[0], 10.0) if isinstance(payload, p.HeartRateVital)]
    assert len(rates) == 10
    assert rates == sorted(set(rates))


def test_when_watching_ends_every_bout_ends(mind: Mind) -> None:
    """What has started is ended, so that nothing goes on for ever at a station."""
    bouts = [payload for _, payload in told(mind, sight()[0], 40.0) if isinstance(payload, p.Behaviour)]
    ends = [m.payload for m in mind.finish(stamp(40.0)) if isinstance(m.payload, p.Behaviour)]
    assert {b.event_id for b in bouts} == {b.event_id for b in ends} != set()
    assert {b.phase for b in ends} == {"end"}


def test_alarms_come_before_everything_else_of_their_turn(mind: Mind) -> None:
    """A camera that goes away: the alarm is the first message of the turn that tells it."""
    told(mind, sight()[0], 3.0)
    said = mind.tick(Health(at_s=8.0, frame_age_s=5.0), stamp(8.0))
    assert isinstance(said[0].payload, p.Alarm)
    assert said[0].payload.condition == "camera_lost"


def test_in_the_dark_a_missing_face_is_unknown() -> None:
    """A black picture says nothing about the infant being there."""
    one, detector, _ = sight()
    detector.detect = lambda _image: ()  # type: ignore[method-assign]
    black = Frame("cot-1", 0, 0.0, np.zeros((240, 320, 3), np.uint8), "test")
    light = Frame("cot-1", 1, 1.0, CHECKS, "test")
    looks = [one.look(frame) for frame in (black, light)]
    assert [look.reason for look in looks] == [Reason.DARK, Reason.NO_FACE]
    assert [look.observations[0].reason for look in looks] == [Reason.DARK, Reason.NO_FACE]


def test_a_bare_picture_without_a_face_is_obstructed() -> None:
    """After a second of it; whoever needs the face says the same."""
    one, detector, _ = sight()
    detector.detect = lambda _image: ()  # type: ignore[method-assign]
    looks = play(one, frames(2.0))
    assert looks[0].reason is Reason.NO_FACE
    assert looks[-1].reason is Reason.OBSTRUCTED
    said = [o.reason for look in looks[-20:] for o in look.observations if o.observer == "expression"]
    assert said == [Reason.OBSTRUCTED]
