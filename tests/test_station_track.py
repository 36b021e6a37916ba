"""The numbers of a device: every one is heard, repeated, or missing, in whatever order they come."""

from __future__ import annotations

from heard import composer, online
from hypothesis import given
from hypothesis import strategies as st
from wire import patient, stamp

from edgemon.messages import payloads as p
from edgemon.station.store.track import MAX_GAPS, Track

NUMBERS = st.lists(st.integers(1, 60), min_size=1, max_size=80)


def state(number: int, session: int = 1) -> p.State:
    payload = composer(session).state(patient(), [], stamp()).payload
    assert isinstance(payload, p.State)
    return payload.model_copy(update={"seq": number, "id": f"cot-pi-1/b00t/{number}"})


@given(NUMBERS)
def test_what_came_and_what_is_missing_add_up(numbers: list[int]) -> None:
    track = Track("base")
    for number in numbers:
        track = Track.of(track.row())
        track.take(state(number), retained=False)
    counted = [number for number in numbers if number >= numbers[0]]
    assert track.fresh == len(set(counted))
    assert track.repeats == len(counted) - len(set(counted))
    assert track.missing == max(numbers) - numbers[0] + 1 - track.fresh


def test_gaps_that_are_no_longer_kept_stay_missing() -> None:
    track = Track("base")
    for number in range(1, 4 * MAX_GAPS, 2):
        track.take(state(number), retained=False)
    assert (len(track.gaps), track.missing) == (MAX_GAPS, 2 * MAX_GAPS - 1)


def test_the_number_kept_for_a_last_will_is_no_gap() -> None:
    track, device = Track("base"), composer()
    first = device.state(patient(), [], stamp())
    will = device.avail("offline", stamp(), connection=1)
    assert isinstance(will.payload, p.Avail)
    again = device.avail("online", stamp(), connection=1, will_seq=will.payload.seq)
    for message in (first, again, will):
        assert isinstance(message.payload, p.Header)
        track.take(message.payload, retained=False)
    assert (track.fresh, track.repeats, track.missing) == (2, 0, 0)


def test_a_new_session_starts_a_new_count_and_history_of_an_old_one_is_none_of_it() -> None:
    track = Track("base")
    for number, session in ((5, 1), (9, 1), (1_001, 2), (7, 1)):
        track.take(state(number, session), retained=False)
    assert (track.session, track.fresh, track.missing) == (2, 1, 0)


def test_the_clock_offset_is_the_median_of_the_newest() -> None:
    track = Track("base")
    for offset in (*range(100), 10**9):
        track.heard_at(offset, 0)
    assert track.offset_ms == 90
    said = online(composer()).payload
    assert isinstance(said, p.Header)
    track.boot = "another"
    track.take(said, retained=False)
    assert track.offset_ms is None
