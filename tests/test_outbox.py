"""The durable outbox: nothing is lost, order is kept, bounds hold, whatever happens to process and disk."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import ROOT
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from wire import BED, alarm_event, bout, composer, minute, stamp

from edgemon.errors import DeliveryError
from edgemon.messages import Rank
from edgemon.messages import payloads as p
from edgemon.messages.outbox import LIVE_S, Outbox
from edgemon.messages.rows import ROW_COST
from edgemon.records import Message, Presence

RESEND_S = 5.0
DAY_S = 86_400.0


def open_outbox(folder: Path, *, max_bytes: int = 2**20, max_age_s: float = 3 * DAY_S, now_s: float = 0.0) -> Outbox:
    return Outbox(folder / "outbox.db", max_bytes=max_bytes, max_age_s=max_age_s, now_s=now_s)


@pytest.fixture
def outbox(tmp_path: Path) -> Iterator[Outbox]:
    box = open_outbox(tmp_path)
    yield box
    box.close()


def event(compose: object = None, bed: str = BED) -> Message:
    return (compose or composer()).behaviour(bout(bed=bed), stamp())  # type: ignore[attr-defined, no-any-return]


def id_of(message: Message) -> str:
    assert isinstance(message.payload, p.Header)
    return message.payload.id


def due_ids(box: Outbox, now_s: float = 0.0, window: int = 100) -> list[str]:
    return [row.id for row in box.due(now_s, RESEND_S, 1000, window)]


def test_alarms_go_before_responses_events_and_minutes(outbox: Outbox) -> None:
    compose = composer()
    for message in (minute(compose), event(compose), compose.alarm(alarm_event(), stamp())):
        outbox.put(message, 0.0)
    assert [row.rank for row in outbox.due(0.0, RESEND_S, 10)] == [Rank.ALARM, Rank.EVENT, Rank.MINUTE]


def test_with_a_window_of_one_the_next_waits_for_the_delivery_of_the_first(outbox: Outbox) -> None:
    compose = composer()
    first, second = (outbox.put(event(compose), 0.0) for _ in range(2))
    assert due_ids(outbox, window=1) == [first]
    outbox.sent(first, 0.0)
    assert due_ids(outbox, 1.0, window=1) == []
    outbox.delivered([first], 1.0)
    assert due_ids(outbox, 1.0, window=1) == [second]


def test_one_bed_does_not_wait_for_another(outbox: Outbox) -> None:
    compose = composer()
    ids = [outbox.put(event(compose, bed), 0.0) for bed in ("cot-1", "cot-2")]
    assert due_ids(outbox, window=1) == ids


def test_a_message_that_was_not_delivered_is_sent_again_later_and_later(outbox: Outbox) -> None:
    row_id = outbox.put(event(), 0.0)
    outbox.sent(row_id, 0.0)
    assert due_ids(outbox, RESEND_S - 0.1) == []
    assert due_ids(outbox, RESEND_S * 1.25) == [row_id]
    outbox.sent(row_id, 10.0)
    assert due_ids(outbox, 10.0 + RESEND_S * 1.3) == []
    assert due_ids(outbox, 10.0 + RESEND_S * 2.5) == [row_id]


def test_a_lane_is_repeated_from_its_oldest_in_order(outbox: Outbox) -> None:
    compose = composer()
    ids = [outbox.put(event(compose), 0.0) for _ in range(4)]
    for row_id in ids:
        outbox.sent(row_id, 0.0)
    outbox.delivered([ids[0], ids[2]], 1.0)
    assert due_ids(outbox, 2 * RESEND_S) == [ids[1], ids[3]]


def test_a_new_connection_sends_all_again(outbox: Outbox) -> None:
    row_id = outbox.put(event(), 0.0)
    outbox.sent(row_id, 0.0)
    outbox.unsent()
    assert due_ids(outbox) == [row_id]


def test_the_same_message_twice_is_stored_once(outbox: Outbox) -> None:
    message = event()
    outbox.put(message, 0.0)
    outbox.put(message, 0.0)
    assert outbox.waiting == 1
    assert outbox.bytes == len(message.payload.model_dump_json()) + ROW_COST  # type: ignore[union-attr]


def test_old_news_is_marked_as_replay_but_not_the_newest_word_on_an_active_alarm(outbox: Outbox) -> None:
    compose = composer()
    outbox.put(compose.alarm(alarm_event(revision=1), stamp()), 0.0)
    outbox.put(compose.alarm(alarm_event(revision=2), stamp()), 0.0)
    outbox.put(event(compose), 0.0)
    later = outbox.due(LIVE_S + 1, RESEND_S, 10, window=5)
    assert [b'"replay":true' in row.payload for row in later] == [True, False, True]
    assert not any(b'"replay":true' in row.payload for row in outbox.due(LIVE_S - 1, RESEND_S, 10, window=5))


def test_what_an_earlier_session_left_is_replay(tmp_path: Path) -> None:
    box = open_outbox(tmp_path)
    box.put(composer().alarm(alarm_event(), stamp()), 0.0)
    box.close()
    again = open_outbox(tmp_path)
    assert b'"replay":true' in again.due(0.0, RESEND_S, 1)[0].payload
    again.close()


def test_an_alarm_that_ended_is_cleared_after_its_end_was_delivered(outbox: Outbox) -> None:
    compose = composer()
    start = outbox.put(compose.alarm(alarm_event(), stamp()), 0.0)
    end = outbox.put(compose.alarm(alarm_event(revision=2, presence=Presence.OFF), stamp()), 0.0)
    outbox.delivered([start, end], 1.0)
    (clear,) = outbox.due(1.0, RESEND_S, 10)
    assert (clear.payload, clear.retain, clear.topic.endswith("/alarm/hr_high")) == (b"", True, True)
    outbox.delivered([clear.id], 1.0)
    assert outbox.waiting == 0


def test_an_alarm_that_starts_again_is_not_cleared(outbox: Outbox) -> None:
    compose = composer()
    end = outbox.put(compose.alarm(alarm_event(presence=Presence.OFF), stamp()), 0.0)
    outbox.delivered([end], 1.0)
    start = outbox.put(compose.alarm(alarm_event(), stamp()), 2.0)
    assert due_ids(outbox, 2.0) == [start]


def test_active_alarms_are_known_after_delivery_and_restart(tmp_path: Path) -> None:
    box = open_outbox(tmp_path)
    compose = composer()
    message = compose.alarm(alarm_event(), stamp())
    box.delivered([box.put(message, 0.0)], 0.0)
    box.close()
    again = open_outbox(tmp_path)
    assert again.active() == {message.topic: message.payload}
    again.put(compose.alarm(alarm_event(presence=Presence.OFF), stamp()), 1.0)
    assert again.active() == {}
    again.close()


def test_when_full_minutes_go_first_then_events_and_never_an_active_alarm(tmp_path: Path) -> None:
    box = open_outbox(tmp_path, max_bytes=8_000)
    compose = composer()
    alarm = box.put(compose.alarm(alarm_event(), stamp()), 0.0)
    minutes = [box.put(minute(compose), 0.0) for _ in range(3)]
    events = [box.put(event(compose), 0.0) for _ in range(30)]
    left = due_ids(box)
    assert left[0] == alarm
    assert not set(minutes) & set(left)
    assert left[1:] == events[-(len(left) - 1) :]
    assert box.dropped == 33 + 1 - len(left)
    assert box.bytes <= 8_000
    box.close()


def test_a_minute_never_drives_out_an_event(tmp_path: Path) -> None:
    box = open_outbox(tmp_path, max_bytes=4_000)
    compose = composer()
    events = [box.put(event(compose), 0.0) for _ in range(5)]
    while box.dropped == 0:
        box.put(minute(compose), 0.0)
    for _ in range(9):
        box.put(minute(compose), 0.0)
    assert [row_id for row_id in due_ids(box) if row_id in events] == events
    box.close()


def test_what_is_too_old_is_dropped_and_counted_but_not_an_active_alarm(tmp_path: Path) -> None:
    box = open_outbox(tmp_path, max_age_s=60)
    compose = composer()
    alarm = box.put(compose.alarm(alarm_event(), stamp()), 0.0)
    box.put(event(compose), 0.0)
    young = box.put(event(compose), 50.0)
    box.prune(70.0)
    assert due_ids(box, 70.0) == [alarm, young]
    assert box.dropped == 1
    box.close()


def test_ages_go_on_over_a_reboot_that_starts_the_clock_again(tmp_path: Path) -> None:
    box = open_outbox(tmp_path, max_age_s=100, now_s=5_000.0)
    box.put(event(), 5_000.0)
    box.prune(5_060.0)
    box.close()
    again = open_outbox(tmp_path, max_age_s=100, now_s=3.0)
    assert again.oldest_s(3.0) == pytest.approx(60.0)
    again.prune(3.0 + 30)
    assert again.waiting == 1
    again.prune(3.0 + 41)
    assert (again.waiting, again.dropped) == (0, 1)
    again.close()


def test_the_end_of_an_alarm_that_was_dropped_still_clears_its_topic(tmp_path: Path) -> None:
    box = open_outbox(tmp_path, max_age_s=60)
    box.put(composer().alarm(alarm_event(presence=Presence.OFF), stamp()), 0.0)
    box.prune(100.0)
    assert [row.payload for row in box.due(100.0, RESEND_S, 10)] == [b""]
    box.close()


@pytest.mark.parametrize("damage", [b"not a database at all" * 500, b""])
def test_a_damaged_file_is_moved_aside_counted_and_told(
    tmp_path: Path, damage: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    box = open_outbox(tmp_path)
    for _ in range(50):
        box.put(event(composer(session=1)), 0.0)
        box.put(minute(composer(session=2)), 0.0)
    box.close()
    path = tmp_path / "outbox.db"
    path.write_bytes(damage or path.read_bytes()[:4096] + b"\x55" * (path.stat().st_size - 4096))
    with caplog.at_level(logging.ERROR):
        again = open_outbox(tmp_path)
    assert again.dropped == 1
    assert (tmp_path / "outbox.db.corrupt").exists()
    assert [record.message.count("\n") for record in caplog.records] == [0]
    row_id = again.put(event(), 0.0)
    assert due_ids(again) == [row_id]
    again.close()


def test_two_processes_cannot_share_an_outbox(tmp_path: Path, outbox: Outbox) -> None:
    with pytest.raises(DeliveryError, match="another edgemon uses this outbox"):
        open_outbox(tmp_path)


def test_a_folder_that_does_not_exist_is_told_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(DeliveryError, match="cannot be used") as caught:
        open_outbox(tmp_path / "absent")
    assert "\n" not in str(caught.value)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 2 MB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(("mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(disk)), capture_output=True)
    if mounted.returncode:
        pytest.skip("needs the right to mount a small tmpfs")
    yield disk
    subprocess.run(("umount", str(disk)), check=True)


def fill(path: Path) -> None:
    with path.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))


def test_on_a_full_disk_nothing_is_lost_and_order_is_kept(small_disk: Path, caplog: pytest.LogCaptureFixture) -> None:
    box = open_outbox(small_disk)
    compose = composer()
    ids = [box.put(event(compose), 0.0) for _ in range(100)]
    ballast = small_disk / "ballast"
    with pytest.raises(OSError, match="No space"):
        fill(ballast)
    with caplog.at_level(logging.ERROR):
        ids += [box.put(event(compose), 0.0) for _ in range(300)]
        alarm = box.put(compose.alarm(alarm_event(), stamp()), 0.0)
    assert box.storage_full
    assert len([record for record in caplog.records if "disk is full" in record.message]) == 1
    assert due_ids(box, window=1000) == [alarm, *ids]
    box.delivered(ids[:5], 0.0)
    assert due_ids(box, window=1000) == [alarm, *ids[5:]]
    ballast.unlink()
    box.prune(1.0)
    assert not box.storage_full
    box.close()
    again = open_outbox(small_disk)
    assert due_ids(again, window=1000) == [alarm, *ids[5:]]
    assert again.dropped == 0
    again.close()


WRITER = """
import sys
sys.path[:0] = [sys.argv[2]]
from pathlib import Path
from wire import alarm_event, bout, composer, stamp
from edgemon.messages.outbox import Outbox
box = Outbox(Path(sys.argv[1]), max_bytes=2**24, max_age_s=1e6, now_s=0.0)
compose = composer()
for number in range(10**6):
    message = compose.alarm(alarm_event(), stamp()) if number % 3 == 0 else compose.behaviour(bout(), stamp())
    print(box.put(message, 0.0), flush=True)
"""


def test_what_put_has_returned_for_survives_kill_9(tmp_path: Path) -> None:
    words = (sys.executable, "-c", WRITER, str(tmp_path / "outbox.db"), str(ROOT / "tests"))
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout is not None
        seen = [next(process.stdout).strip() for _ in range(200)]
        process.kill()
        seen += [line.strip() for line in process.stdout if line.endswith("\n")]
    box = open_outbox(tmp_path, max_bytes=2**24)
    kept = {row.id for row in box.due(0.0, RESEND_S, 10**6, 10**6)}
    assert set(seen) <= kept
    assert len(seen) >= 200
    box.close()


class Laws(RuleBasedStateMachine):
    """Any interleaving of putting, sending, delivering and crashing: nothing lost, order kept, bound held."""

    MAX_BYTES = 20_000

    def __init__(self) -> None:
        super().__init__()
        import tempfile

        self.folder = tempfile.TemporaryDirectory()
        self.compose = composer()
        self.now_s = 0.0
        self.box = self.open()
        self.put_ids: dict[tuple[Rank, str], list[str]] = {}
        self.gone: set[str] = set()
        self.dropped = 0
        self.newest_active: dict[str, str] = {}

    def open(self) -> Outbox:
        return open_outbox(Path(self.folder.name), max_bytes=self.MAX_BYTES, max_age_s=1e9, now_s=self.now_s)

    def put(self, message: Message, rank: Rank, bed: str) -> str:
        row_id = self.box.put(message, self.now_s)
        self.put_ids.setdefault((rank, bed), []).append(row_id)
        return row_id

    @rule(bed=st.sampled_from(["cot-1", "cot-2"]), many=st.integers(1, 12))
    def put_events(self, bed: str, many: int) -> None:
        for _ in range(many):
            self.put(event(self.compose, bed), Rank.EVENT, bed)

    @rule(bed=st.sampled_from(["cot-1", "cot-2"]))
    def put_minute(self, bed: str) -> None:
        self.put(minute(self.compose, bed), Rank.MINUTE, bed)

    @rule(condition=st.sampled_from(["hr_high", "hr_low"]), presence=st.sampled_from([Presence.ON, Presence.OFF]))
    def put_alarm(self, condition: str, presence: Presence) -> None:
        row_id = self.put(self.compose.alarm(alarm_event(condition, presence=presence), stamp()), Rank.ALARM, BED)
        self.newest_active.pop(condition, None)
        if presence is Presence.ON:
            self.newest_active[condition] = row_id

    @rule(window=st.sampled_from([1, 5]))
    def send(self, window: int) -> None:
        for row in self.box.due(self.now_s, RESEND_S, 20, window):
            self.box.sent(row.id, self.now_s)

    @rule(pick=st.integers(0, 30))
    def deliver(self, pick: int) -> None:
        waiting = self.box.due(1e9, RESEND_S, 1000, 1000)
        if waiting:
            row = waiting[pick % len(waiting)]
            self.box.delivered([row.id], self.now_s)
            self.gone.add(row.id)

    @rule(seconds=st.floats(0, 100))
    def wait(self, seconds: float) -> None:
        self.now_s += seconds

    @rule(reboot=st.booleans())
    def crash(self, reboot: bool) -> None:
        self.dropped += self.box.dropped
        self.box.close()
        self.now_s = 0.0 if reboot else self.now_s
        self.box = self.open()

    @precondition(lambda self: bool(self.put_ids))
    @invariant()
    def holds(self) -> None:
        rows = self.box.due(1e9, RESEND_S, 10**6, 10**6)
        kept = {row.id for row in rows}
        lost = {i for ids in self.put_ids.values() for i in ids} - kept - self.gone
        assert len(lost) == self.dropped + self.box.dropped
        for lane, ids in self.put_ids.items():
            got = [row.id for row in rows if row.lane == lane and row.payload]
            assert got == [i for i in ids if i in kept]
        assert not set(self.newest_active.values()) & lost
        assert self.box.bytes <= self.MAX_BYTES
        assert self.box.bytes == sum(row.cost for row in rows) + _replay_difference(rows)

    def teardown(self) -> None:
        self.box.close()
        self.folder.cleanup()


def _replay_difference(rows: list[object]) -> int:
    return sum(b'"replay":true' in row.payload for row in rows)  # type: ignore[attr-defined]


TestLaws = Laws.TestCase
TestLaws.settings = settings(max_examples=25, stateful_step_count=25, deadline=None)
