"""Why there is no face, from the picture to the wire, with the shipped networks: covered, dark, or simply none."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from conftest import ROOT
from test_view import Picture, blanket, elsewhere, empty, fogged, hand_on_the_lens, noisy, turned_away, wall

from edgemon import replay
from edgemon.config import AlarmSetting, Bed, Config
from edgemon.frames import open_source
from edgemon.frames.fake import FakeSource
from edgemon.messages import payloads as p

pytestmark = pytest.mark.skipif(not (ROOT / "models/face.toml").is_file(), reason="no released models in this tree")

FPS, SEEN_S, THEN_S = 5.0, 6.0, 12.5
TOLD_S, DELAY_S = 5.5, 5.0
ALARMS = {name: AlarmSetting(delay_s=DELAY_S) for name in ("view_obstructed", "face_not_found", "view_dark")}


@pytest.fixture(scope="module")
def asleep() -> list[Picture]:
    """The demo's first seconds, 5 pictures a second."""
    source = open_source(Bed(id="cot-1", source="clip"), paced=False)
    source.open()
    pictures = [frame.rgb for _ in range(round(SEEN_S * 30)) if (frame := source.read()) is not None]
    source.close()
    return pictures[::6]


def said(monkeypatch: pytest.MonkeyPatch, seen: list[Picture], then: Callable[[Picture], Picture]) -> list[p.Header]:
    """All that is told of a face that is seen for a while, and of what comes then."""

    def pictures() -> Iterator[Picture]:
        yield from seen
        last = then(seen[-1])
        yield from (noisy(last, n) if last.mean() > 20 else last ^ (n % 2) for n in range(round(THEN_S * FPS)))

    config = Config(alarms=ALARMS)
    source = FakeSource(pictures(), fps=FPS, live=False)
    monkeypatch.setattr(replay, "open_source", lambda _bed, **_: source)
    payloads = (message.payload for message in replay.messages(config, config.beds[0]))
    return [payload for payload in payloads if isinstance(payload, p.Header)]


def alarms(told: list[p.Header]) -> dict[str, float]:
    """When each alarm started, by its condition; none may be physiological."""
    events = [payload for payload in told if isinstance(payload, p.Alarm)]
    assert {event.kind for event in events} <= {"technical"}
    return {event.condition: event.mono_ms / 1000 for event in events if event.phase == "start"}


def last_state(told: list[p.Header]) -> p.State:
    return [payload for payload in told if isinstance(payload, p.State)][-1]


@pytest.mark.parametrize("hide", [lambda _: wall(), lambda _: hand_on_the_lens(), fogged, elsewhere, blanket])
def test_a_covered_view_is_told_as_such(
    monkeypatch: pytest.MonkeyPatch, asleep: list[Picture], hide: Callable[[Picture], Picture]
) -> None:
    """Within 5.5 s (a face is foretold for 3 and believed for 2) and the condition's delay, and as nothing else."""
    told = said(monkeypatch, asleep, hide)
    started = alarms(told)
    assert "face_not_found" not in started
    assert started["view_obstructed"] <= SEEN_S + TOLD_S + DELAY_S
    state = last_state(told)
    assert (state.face.value, state.face.reason) == (None, "obstructed")
    assert {state.eyes.reason, state.heart_rate.reason} == {"obstructed"}


@pytest.mark.parametrize("show", [turned_away, empty])
def test_a_clear_view_without_a_face_is_no_obstruction(
    monkeypatch: pytest.MonkeyPatch, asleep: list[Picture], show: Callable[[Picture], Picture]
) -> None:
    """A quiet infant that turned away, or an empty cot: no face, and nothing in the way."""
    told = said(monkeypatch, asleep, show)
    started = alarms(told)
    assert "view_obstructed" not in started
    assert started["face_not_found"] <= SEEN_S + TOLD_S + DELAY_S
    assert last_state(told).face.value is False
    assert last_state(told).eyes.reason == "no_face"


def test_light_switched_off_is_dark(monkeypatch: pytest.MonkeyPatch, asleep: list[Picture]) -> None:
    told = said(monkeypatch, asleep, lambda picture: noisy(picture * 0.0))
    started = alarms(told)
    assert not {"view_obstructed", "face_not_found"} & started.keys()
    assert started["view_dark"] <= SEEN_S + 0.5 + DELAY_S
    assert last_state(told).face.reason == last_state(told).eyes.reason == "dark"


def test_when_the_cover_is_taken_away_the_alarm_ends(monkeypatch: pytest.MonkeyPatch, asleep: list[Picture]) -> None:
    covered = [noisy(wall(), n) for n in range(round(THEN_S * FPS))]
    told = said(monkeypatch, asleep + covered, lambda _: asleep[-1])
    ends = [m for m in told if isinstance(m, p.Alarm) and m.condition == "view_obstructed" and m.phase == "end"]
    assert len(ends) == 1
    assert ends[0].mono_ms / 1000 <= SEEN_S + THEN_S + 3.5
    assert last_state(told).face.value is True
