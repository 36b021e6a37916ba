"""What the plain subscriber makes of what it hears: repeats, gaps, stale wills, ages, and words a nurse can read."""

from __future__ import annotations

import dataclasses
import io

import pytest
from conftest import free_port
from wire import BED, alarm_event, composer, patient, stamp

from edgemon.config import Mqtt
from edgemon.errors import DeliveryError
from edgemon.messages import Composer, address
from edgemon.messages import payloads as p
from edgemon.records import Message, Posture, Presence, Reading, Reason
from edgemon.watch import STALE_S, Ward, _Printer, table


def hear(ward: Ward, message: Message, now_s: float = 0.0) -> bool:
    payload = message.payload
    assert payload is None or isinstance(payload, p.Payload)
    return ward.hear(address(message.topic), payload, now_s)


def states(compose: Composer, count: int) -> list[Message]:
    return [compose.state(patient(), [], stamp()) for _ in range(count)]


def test_repeats_are_dropped_and_gaps_counted_until_they_are_filled() -> None:
    ward = Ward()
    first, lost, late, last = states(composer(), 4)
    assert [hear(ward, message) for message in (first, late, late, last)] == [True, True, False, True]
    assert (ward.beds["cot-pi-1", BED].repeats, ward.devices["cot-pi-1"].missing) == (1, 1)
    hear(ward, lost)
    assert ward.devices["cot-pi-1"].missing == 0


def test_the_number_kept_for_a_last_will_is_no_gap() -> None:
    ward, compose = Ward(), composer()
    hear(ward, compose.avail("online", stamp(), connection=1, will_seq=2))
    compose.avail("offline", stamp(), connection=2)
    hear(ward, states(compose, 1)[0])
    assert ward.devices["cot-pi-1"].missing == 0


def test_a_new_session_starts_a_new_count() -> None:
    ward = Ward()
    hear(ward, states(composer(1), 1)[0])
    later = Composer("site", "nicu", "cot-pi-1", "b00t", 2, numbers=iter(range(1001, 1100)))
    hear(ward, states(later, 1)[0])
    assert ward.devices["cot-pi-1"].missing == 0


def test_the_last_will_of_a_connection_that_was_replaced_is_ignored() -> None:
    ward, compose = Ward(), composer()
    will = compose.avail("offline", stamp(), connection=1)
    hear(ward, compose.avail("online", stamp(), connection=2))
    hear(ward, will)
    assert ward.avail["cot-pi-1"].status == "online"
    hear(ward, compose.avail("offline", stamp(), connection=2))
    assert ward.avail["cot-pi-1"].status == "offline"


def test_the_table_shows_the_posture_of_beds_that_have_a_pose_network() -> None:
    ward, compose, off = Ward(), composer(), Reading(None, Reason.DISABLED, 0.0, 0.0, 0.0)
    hear(ward, compose.state(dataclasses.replace(patient(), posture=off), [], stamp()))
    assert "posture" not in "\n".join(table(ward, 1.0))
    hear(
        ward,
        compose.state(
            dataclasses.replace(patient("cot-2"), posture=Reading(Posture.PRONE, None, 0.9, 50.0, 99.0)), [], stamp()
        ),
    )
    heads, first, _, _, second, *_ = table(ward, 1.0, width=200)[2:]
    assert heads.split()[-2:] == ["posture", "delivery"]
    assert ("prone" in first, "prone" in second) == (False, True)


def test_the_table_shows_ages_quality_reasons_and_what_it_is_not() -> None:
    ward, compose = Ward(), composer()
    hear(ward, compose.state(patient(), [alarm_event()], stamp()), now_s=10.0)
    lines = table(ward, 12.0, width=100)
    assert max(len(line) for line in lines) <= 100
    text = "\n".join(lines)
    for words in (
        "Not a medical device",
        "asleep",
        "3 s ago",
        "unknown",
        "dark",
        "142/min quality 83%",
        "hr high (medium)",
    ):
        assert words in text


def test_an_old_number_is_not_shown() -> None:
    ward, compose = Ward(), composer()
    hear(ward, compose.heart_rate(BED, patient().heart_rate, stamp()))
    text = "\n".join(table(ward, STALE_S))
    assert "142" not in text
    assert "no data" in text
    assert "for 46 s" in text


def test_an_alarm_that_ended_leaves_the_table_and_its_history_does_not_bring_it_back() -> None:
    ward, compose = Ward(), composer()
    ons = (Presence.ON, Presence.ON, Presence.OFF)
    lost, start, end = (compose.alarm(alarm_event(presence=how), stamp()) for how in ons)
    hear(ward, start)
    assert "hr high" in "\n".join(table(ward, 1.0))
    hear(ward, end)
    hear(ward, lost)
    hear(ward, compose.alarm_cleared(BED, "hr_high"))
    assert isinstance(lost.payload, p.Alarm)
    hear(ward, dataclasses.replace(lost, payload=lost.payload.model_copy(update={"id": "x/y/1", "replay": True})))
    assert "hr high" not in "\n".join(table(ward, 1.0))


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_on_a_terminal_the_table_is_drawn_again_in_place() -> None:
    ward, out = Ward(), Terminal()
    printer = _Printer(ward, out, as_json=False)
    printer.redraw(0.0)
    height = out.getvalue().count("\n")
    hear(ward, states(composer(), 1)[0])
    printer.redraw(1.0)
    assert f"\x1b[{height}A" in out.getvalue()
    assert "asleep" in out.getvalue()


def test_off_a_terminal_a_line_is_written_only_for_a_change() -> None:
    ward, out = Ward(), io.StringIO()
    printer = _Printer(ward, out, as_json=False)
    for message in states(composer(), 3):
        hear(ward, message)
        printer.heard(address(message.topic), message.topic, b"", 0.0)
    assert out.getvalue().count("asleep") == 1


def test_a_missing_certificate_is_told_before_anything_is_opened(tmp_path: object) -> None:
    import threading

    from edgemon.watch import watch

    settings = Mqtt.model_validate({"port": free_port(), "tls": {"ca_file": f"{tmp_path}/absent.crt"}})
    with pytest.raises(DeliveryError, match="cannot be read"):
        watch(
            settings, site="s", unit="u", device=None, as_json=False, receipts=False, duration_s=1.0,
            out=io.StringIO(), stop_event=threading.Event(),
        )  # fmt: skip
