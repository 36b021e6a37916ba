"""The clip of an infant under care: what comes over the face, and what its truth and its benchmark make of it."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_replay import benchmark
from tqdm import tqdm

from export.infant import visits
from export.infant.clip import Clip, draw_known, set_stage, write_clip
from export.infant.script import SCRIPTS, Turn
from export.infant.script import visits as script_of
from export.infant.sensor import Sensor

tracking = benchmark("tracking")


@settings(deadline=None)
@given(st.integers(0, 4000))
def test_every_identity_has_its_own_five_minutes(identity: int) -> None:
    """Hands for half a second to four, all in the clip, and evening before its end."""
    script = script_of(identity)
    assert script.seconds == 300
    assert script != script_of(identity + 1)
    hands = [visit for visit in script.visits if visit.what != "blanket"]
    assert all(0.5 <= visit.seconds <= 4.0 for visit in hands)
    assert all(0 <= visit.start_s <= script.seconds - visit.seconds for visit in script.visits)
    assert {visit.what for visit in script.visits} == {"pass", "touch", "hide", "blanket"}
    assert np.linalg.norm(script.view) == pytest.approx(1.0)
    half = script.scaled(150.0)
    assert [visit.seconds for visit in half.visits] == [visit.seconds for visit in script.visits]
    assert half.visits[3].start_s == pytest.approx(script.visits[3].start_s / 2)


def test_a_turn_is_reached_and_kept() -> None:
    turns = (Turn(10.0, 40.0, 5.0), Turn(20.0, -30.0, 0.0))
    angles = [visits.turned(turns, t_s) for t_s in (0.0, 9.9, 12.0, 19.9, 22.0, 100.0)]
    assert angles == [(0, 0), (0, 0), (40, 5), (40, 5), (-30, 0), (-30, 0)]
    path = [visits.turned(turns, t_s)[0] for t_s in np.arange(0, 30, 0.1)]
    assert np.abs(np.diff(path)).max() < 8


def test_evening_is_dimmer_warmer_and_noisier() -> None:
    script = SCRIPTS["visits"]
    assert [visits.dusk(script, t_s) for t_s in (0.0, 195.0, 300.0)] == [0.0, 0.5, 1.0]
    assert visits.dusk(SCRIPTS["demo"], 80.0) == 0.0
    day = dict.fromkeys(("light_colour", "sky", "bounce"), (1.0, 0.9, 0.8))
    assert visits.lamps(day, 0.0) == day
    red, _, blue = visits.lamps(day, 1.0)["sky"]
    assert red / blue > 1.5
    sensor = Sensor(0.3, 0.5, 0.0, 0.7, 0.1, (1.0, 1.0, 1.0), 1.0, False)
    later, gain = visits.exposed(sensor, 2.0, 1.0)
    assert later.noise / sensor.noise == gain / 2.0 > 1.5
    assert gain / 2.0 * red < 0.6, "exposure does not make up for all of it"


def test_hands_hide_the_face_and_go(shared: Path, egl: None) -> None:
    """By the renderer's own labels: in view before, hidden by two hands, in view again."""
    script = script_of(48)
    hide = next(visit for visit in script.visits if visit.what == "hide")
    clip = Clip(script, (160, 120), 5, face_px=script.face_share * 120)
    stage = set_stage(clip)
    times = hide.start_s - 0.2, hide.start_s + hide.seconds / 2, hide.start_s + hide.seconds + 0.1
    seen = [draw_known(clip, stage, t_s)[1] for t_s in times]
    before, hidden, after = (truth.face_visible for truth in seen)
    assert hidden < 0.45
    assert min(before, after) > 0.9
    assert all(truth.face_box is not None and len(truth.landmarks) == 5 for truth in seen)


def test_a_clip_comes_with_the_face_of_every_frame(
    shared: Path, egl: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tqdm, "monitor_interval", 0)  # its thread outlives the bar
    out = tmp_path / "visits.mp4"
    write_clip(out, script="visits", seconds=2.0, fps=4, size=(160, 120), identity=58, megabytes=1.0)
    truth = json.loads(out.with_suffix(".truth.json").read_text())
    known, pictures = tracking.truths(out), list(tracking.frames(out))
    assert truth["identity"] == 58
    assert len(truth["frame_face"]) == len(known) == len(pictures) == 8
    assert {picture.rgb.shape for picture in pictures} == {(120, 160, 3)}
    assert not list(tmp_path.glob("*.raw.mkv"))


def face(visible: float) -> object:
    return tracking.TrueFace((10.0, 10.0, 60.0, 60.0), np.zeros((5, 2), np.float32), visible)


def test_the_benchmark_counts_what_it_says() -> None:
    """Recall by visible share, the longest miss in one piece, and faces shown long after the last was in view."""
    known = [face(v) for v in (1.0, 1.0, 0.6, 0.4, 0.0, 1.0, 1.0, 1.0)]
    hits = [True, False, False, True, False, False, True, True]
    times_s = [0.2 * n for n in range(8)]
    assert tracking._recall(known, hits) == {
        ">= 50 %": 0.5,
        "> 80 %": 0.6,
        "50-80 %": 0.0,
        "30-50 %": 1.0,
    }
    assert tracking._longest_miss_s(known, hits, times_s) == pytest.approx(0.4)
    gone = [face(v) for v in [1.0] * 5 + [0.0] * 45]
    times_s = [0.25 * n for n in range(50)]
    assert tracking._shown_when_gone(gone, [True] * 50, times_s) == 29
    assert tracking._shown_when_gone(gone, [n < 20 for n in range(50)], times_s) == 0


def test_a_clip_without_faces_in_its_truth_is_refused(tmp_path: Path) -> None:
    (tmp_path / "demo.truth.json").write_text('{"fps": 30}')
    with pytest.raises(SystemExit, match="--script visits"):
        tracking.truths(tmp_path / "demo.mp4")


def test_visits_do_not_outlast_one_another_for_long() -> None:
    """At no time lie more than two things over the face, and most of the time none."""
    for identity in range(0, 400, 10):
        script = script_of(identity)
        over = [sum(0 <= t_s - v.start_s < v.seconds for v in script.visits) for t_s in np.arange(0, 300, 0.2)]
        assert max(over) <= 2
        assert np.mean([count == 0 for count in over]) > 0.7
        assert sum(a != b for a, b in itertools.pairwise(over)) >= 30
