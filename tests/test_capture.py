"""Capture keeps frames coming through hangs, failures and ends, counts what it drops, and loses nothing silently."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import pytest
from conftest import eventually
from hypothesis import given
from hypothesis import strategies as st

from edgemon.errors import SourceLost, SourceUnavailable, WorkerStuck
from edgemon.frames.capture import Capture
from edgemon.frames.fake import FakeSource, Step
from edgemon.frames.meter import Meter
from edgemon.frames.trace import TraceRing
from edgemon.records import Frame, SkinSample

FAST = {"stall_after_s": 0.1, "backoff_s": (0.01, 0.02), "first_frame_after_s": 5.0}


def picture(value: int) -> np.ndarray:
    return np.full((120, 160, 3), value % 256, np.uint8)


def pictures(count: int, start: int = 0) -> list[np.ndarray]:
    return [picture(i) for i in range(start, start + count)]


class Seen:
    """Collects what `on_frame` is given."""

    def __init__(self) -> None:
        self.frames: list[Frame] = []
        self._more = threading.Condition()

    def __call__(self, frame: Frame) -> None:
        with self._more:
            self.frames.append(frame)
            self._more.notify_all()

    def wait_for(self, count: int) -> None:
        with self._more:
            assert self._more.wait_for(lambda: len(self.frames) >= count, 10.0), f"only {len(self.frames)} frames came"


@contextmanager
def running(*sources: FakeSource, seen: Seen, **settings: object) -> Iterator[Capture]:
    """A capture that opens one source after the other, and the last one again and again."""
    left = itertools.chain(sources, itertools.repeat(sources[-1]))
    capture = Capture(lambda: next(left), on_frame=seen, **(FAST | settings))
    capture.start()
    yield capture
    capture.stop()


@pytest.fixture
def seen() -> Seen:
    return Seen()


@pytest.fixture
def hang() -> Iterator[threading.Event]:
    """A step that blocks for ever, as a driver does; it returns when the test is over."""
    event = threading.Event()
    yield event
    event.set()


def ends(capture: Capture) -> None:
    eventually(lambda: capture.ended, what="the end of the source")


def test_slow_consumer_drops_are_counted_exactly_while_on_frame_sees_all(seen: Seen) -> None:
    gates = [threading.Event() for _ in range(2)]
    script: list[Step] = [*pictures(5), gates[0], *pictures(3), gates[1]]
    with running(FakeSource(script, live=False), seen=seen) as capture:
        eventually(lambda: capture.stats().drops == 4)
        first = capture.take(1.0)
        gates[0].set()
        eventually(lambda: capture.stats().drops == 6)
        second = capture.take(1.0)
        assert (first.seq, second.seq) == (4, 7)
        assert capture.take(0.01) is None
        assert [f.seq for f in seen.frames] == list(range(8))
        assert (capture.stats().frames, capture.stats().drops) == (8, 6)
        gates[1].set()
        ends(capture)


def test_file_that_ends_ends_the_capture(seen: Seen) -> None:
    source = FakeSource(pictures(3), live=False)
    with running(source, seen=seen) as capture:
        ends(capture)
        assert capture.take(0.01).seq == 2
        assert capture.take(0.01) is None
        stats = capture.stats()
        assert (stats.ended, stats.error, stats.restarts) == (True, None, 0)
    assert (source.opened, source.closed) == (1, 1)


def test_damaged_file_ends_the_capture_and_says_why(seen: Seen) -> None:
    with running(FakeSource([*pictures(3), SourceLost("a.mp4: damaged")], live=False), seen=seen) as capture:
        ends(capture)
        assert (capture.stats().error, capture.stats().restarts) == ("a.mp4: damaged", 0)
    assert len(seen.frames) == 3


@pytest.mark.parametrize("end", [[SourceLost("fake: cable pulled")], []], ids=["fails", "ends"])
def test_live_source_is_opened_again_and_seq_shows_the_gap(end: list[Step], seen: Seen, hang: threading.Event) -> None:
    first, second = FakeSource([*pictures(3), *end]), FakeSource([*pictures(2), hang])
    with running(first, second, seen=seen, stall_after_s=60.0) as capture:
        seen.wait_for(5)
        assert [f.seq for f in seen.frames] == [0, 1, 2, 4, 5]
        assert first.closed == 1
        stats = capture.stats()
        assert (stats.restarts, stats.ended, stats.abandoned) == (1, False, 0)
        assert stats.error == ("fake: cable pulled" if end else "fake: ended")
        hang.set()


def test_source_that_cannot_be_opened_is_tried_again(seen: Seen, hang: threading.Event) -> None:
    absent = FakeSource([], fails_to_open=SourceUnavailable("fake: not plugged in"))
    with running(absent, absent, absent, FakeSource([*pictures(1), hang]), seen=seen, stall_after_s=60.0) as capture:
        seen.wait_for(1)
        assert (capture.stats().restarts, capture.stats().error) == (3, "fake: not plugged in")
        assert (absent.opened, absent.closed, seen.frames[0].seq) == (3, 3, 0)
        hang.set()


def test_source_that_hangs_is_abandoned_counted_and_replaced(seen: Seen, hang: threading.Event) -> None:
    hung, gate = FakeSource([*pictures(2), hang, *pictures(2)]), threading.Event()
    with running(hung, FakeSource([gate, *pictures(3)]), seen=seen, first_frame_after_s=60.0) as capture:
        eventually(lambda: capture.stats().abandoned == 1)
        assert capture.stats().error == "no frame for 0.1 s; the thread that reads is abandoned"
        hang.set()  # it comes back after all, and what it brings is not wanted
        eventually(lambda: hung.closed == 1 and capture.stats().abandoned == 0)
        gate.set()
        seen.wait_for(5)
        assert [f.seq for f in seen.frames[:5]] == [0, 1, 3, 4, 5]
        assert capture.stats().restarts >= 1


def test_stop_leaves_an_abandoned_thread_behind(seen: Seen, hang: threading.Event) -> None:
    held = threading.Event()
    with running(
        FakeSource([hang]), FakeSource([picture(1), held]), seen=seen, first_frame_after_s=0.05, abandoned_max=99
    ) as capture:
        seen.wait_for(1)
        held.set()
    left = [t for t in threading.enumerate() if t.name == "capture read"]
    assert len(left) >= 1
    assert all(t.daemon for t in left)
    assert capture.stats().abandoned >= 1


def test_stop_says_which_thread_is_stuck(seen: Seen, hang: threading.Event) -> None:
    capture = Capture(lambda: FakeSource([picture(0), hang]), on_frame=seen, name="cot-1")
    capture.start()
    seen.wait_for(1)
    with pytest.raises(WorkerStuck, match=r"cot-1: thread 'cot-1 read' did not end within 0\.05 s"):
        capture.stop(0.05)
    hang.set()
    capture.stop()


@pytest.mark.parametrize("limit", [{"abandoned_max": 1}, {"give_up_after_s": 0.01}], ids=["threads", "time"])
def test_source_that_always_hangs_asks_for_a_new_process(
    limit: dict[str, float], seen: Seen, hang: threading.Event
) -> None:
    with running(FakeSource([hang]), seen=seen, first_frame_after_s=0.05, **limit) as capture:
        with pytest.raises(WorkerStuck, match=r"no frame for 0\.05 s.*must be started anew"):
            capture.take(10.0)
        assert capture.stats().abandoned <= 2


def test_slow_on_frame_is_no_stall(hang: threading.Event) -> None:
    entered, busy = threading.Event(), threading.Event()

    def slow(_: Frame) -> None:
        entered.set()
        busy.wait()

    capture = Capture(lambda: FakeSource([*pictures(1), hang]), on_frame=slow, **(FAST | {"stall_after_s": 0.01}))
    capture.start()
    assert entered.wait(10.0)
    assert capture.take(0.1) is None
    assert capture.stats().abandoned == 0
    hang.set()
    busy.set()
    capture.stop()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_failing_on_frame_is_loud_and_capture_goes_on(hang: threading.Event) -> None:
    seen: list[int] = []

    def breaks_once(frame: Frame) -> None:
        seen.append(frame.seq)
        if len(seen) == 1:
            raise ZeroDivisionError

    sources = iter([FakeSource(pictures(2)), FakeSource([*pictures(2), hang])])
    capture = Capture(lambda: next(sources), on_frame=breaks_once, **(FAST | {"stall_after_s": 60.0}))
    capture.start()
    eventually(lambda: len(seen) == 3)
    assert "its traceback" in (capture.stats().error or "")
    hang.set()
    capture.stop()


# --- what the frames tell of the camera


class Clock:
    now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def measured(images: list[np.ndarray], interval_s: float = 0.1) -> tuple[Meter, Clock]:
    clock = Clock()
    meter = Meter(clock)
    for seq, image in enumerate(images):
        clock.now_s += interval_s
        meter.add(Frame("cot-1", seq, clock.now_s, image, "fake"))
    return meter, clock


def test_meter_rate_is_that_of_the_last_seconds() -> None:
    meter, clock = measured(pictures(100), 0.05)
    assert meter.fps() == pytest.approx(20)
    assert meter.frames == 100
    clock.now_s += 3
    assert meter.age_s() == pytest.approx(3)
    clock.now_s += 3
    assert meter.fps() == 0


def test_meter_picture_is_frozen_only_when_no_bit_changes() -> None:
    still = [picture(7)] * 20
    assert measured(still)[0].frozen_s() == pytest.approx(1.9)
    nearly = [p.copy() for p in still]
    nearly[-1][1, 1, 0] += 1  # a pixel that the quick look does not see
    assert measured(nearly)[0].frozen_s() == 0


def test_meter_luma_weighs_the_colours() -> None:
    green = np.zeros((120, 160, 3), np.uint8)
    green[..., 1] = 200
    assert measured([green])[0].luma() == pytest.approx(0.587 * 200)
    assert measured([np.zeros((120, 160), np.uint16)])[0].luma() is None


def test_stats_of_a_capture_that_has_seen_nothing(seen: Seen) -> None:
    stats = Capture(lambda: FakeSource([]), on_frame=seen).stats()
    assert (stats.frames, stats.fps, stats.captured_s, stats.age_s, stats.luma) == (0, 0.0, None, None, None)


# --- the lossless ring


def sample(seq: int, captured_s: float) -> SkinSample:
    return SkinSample(captured_s, seq, 1, np.full((3, 3), float(seq), np.float32))


def ring_of(samples: list[tuple[int, float]], capacity: int = 100) -> TraceRing:
    ring = TraceRing(capacity)
    for seq, captured_s in samples:
        ring.append(sample(seq, captured_s))
    return ring


GAPS: dict[str, tuple[Callable[[], list[tuple[int, float]]], int]] = {
    "even": (lambda: [(i, i / 30) for i in range(60)], 0),
    "jitter within half an interval": (lambda: [(i, i / 30 + (i % 2) * 0.007) for i in range(60)], 0),
    "one frame lost": (lambda: [(i, i / 30) for i in range(60) if i != 30], 1),
    "late, though seq goes on": (lambda: [(i, i / 30 + (i >= 30) * 0.05) for i in range(60)], 1),
    "slower from now on": (lambda: [(i, i / 30 if i < 30 else 1 + (i - 30) / 15) for i in range(90)], 1),
    "time set back": (lambda: [(0, 5.0), (1, 5.1), (2, 5.05), (3, 5.2)], 2),
}


@pytest.mark.parametrize("what", GAPS)
def test_ring_counts_gaps(what: str) -> None:
    make, gaps = GAPS[what]
    assert ring_of(make()).gaps == gaps


@given(st.lists(st.tuples(st.integers(0, 50), st.floats(0, 1e3)), max_size=60), st.integers(2, 20))
def test_ring_is_bounded_and_its_times_rise(samples: list[tuple[int, float]], capacity: int) -> None:
    held = ring_of(samples, capacity).snapshot()
    assert len(held) <= capacity
    assert all(a.captured_s < b.captured_s for a, b in itertools.pairwise(held))


def test_ring_snapshot_is_a_copy_and_clear_keeps_the_count() -> None:
    ring = ring_of([(0, 0.0), (2, 0.1)])
    held = ring.snapshot()
    ring.clear()
    assert [s.seq for s in held] == [0, 2]
    assert (ring.snapshot(), ring.gaps) == ((), 1)
