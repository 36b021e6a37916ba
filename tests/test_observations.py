"""The observers: a value where there is one to see, and the right reason everywhere else."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace

import numpy as np
import pytest
from numpy.typing import NDArray
from pulses import SKIN, colours, crying, times, trace

from edgemon.errors import ModelError
from edgemon.observations import FACE_OBSERVERS, SCENE_OBSERVERS, TRACE_OBSERVERS
from edgemon.observations.expression import ExpressionObserver
from edgemon.observations.heart_rate import HeartRateObserver
from edgemon.observations.pulse_network import PulseReading
from edgemon.records import Box, Expression, Face, Frame, HeartRate, Observation, Reason, SkinSample
from edgemon.rppg import GRID_BPM


def observe_all(samples: list[SkinSample], observer: HeartRateObserver | None = None) -> list[Observation]:
    """One estimate a second over the trace, each from what came before."""
    observer = observer or HeartRateObserver("cot-1")
    end_s = samples[-1].captured_s
    return [
        observer.observe([s for s in samples if s.captured_s <= now_s], float(now_s))
        for now_s in np.arange(samples[0].captured_s + 1.0, end_s, 1.0)
    ]


def rate(seen: Observation) -> float:
    assert isinstance(seen.value, HeartRate), seen.reason
    return seen.value.bpm


@pytest.mark.parametrize("bpm", [90.0, 106.0, 131.3, 160.0, 190.7, 212.0, 220.0])
def test_a_known_pulse_is_read_and_trusted(bpm: float) -> None:
    t_s = times(16.0)
    last = observe_all(trace(t_s, colours(t_s, bpm)))[-1]
    assert rate(last) == pytest.approx(bpm, abs=1.0)
    assert last.quality > 0.8
    assert last.model == "rppg@2"


def test_a_heart_rate_that_climbs_is_followed() -> None:
    t_s = times(50.0)
    bpm = np.clip(120 + 2 * (t_s - 10), 120, 180)
    phase = 2 * np.pi * np.cumsum(bpm / 60 * np.gradient(t_s))
    rgb = SKIN * (1 + 0.004 * np.cos(phase)[:, None] * np.array([0.33, 0.77, 0.53]))
    for second, seen in enumerate(observe_all(trace(t_s, rgb)), start=1):
        if second > 10:
            inside = (t_s > second - 10) & (t_s <= second)
            assert rate(seen) == pytest.approx(float(bpm[inside].mean()), abs=5)


@pytest.mark.parametrize("bpm", [48.0, 55.0, 64.0])
def test_a_heart_below_the_band_is_unknown_and_not_doubled(bpm: float) -> None:
    t_s = times(30.0)
    assert all(o.value is None for o in observe_all(trace(t_s, colours(t_s, bpm))))


@pytest.mark.parametrize("seed", [0, 5, 14])
def test_crying_is_never_read_as_half_the_rate(seed: int) -> None:
    t_s, rgb, bpm = crying(seed)
    samples = [SkinSample(float(t), i, 1, v.astype(np.float32)) for i, (t, v) in enumerate(zip(t_s, rgb, strict=True))]
    for seen in observe_all(samples):
        if seen.value is not None:
            truth = float(bpm[(t_s > seen.captured_s - 10) & (t_s <= seen.captured_s)].mean())
            assert abs(rate(seen) - truth / 2) > 10


@pytest.mark.parametrize("seed", range(3))
def test_a_photograph_gives_almost_no_value(seed: int) -> None:
    t_s = times(60.0, seed)
    seen = observe_all(trace(t_s, np.broadcast_to(SKIN, (len(t_s), 3)), seed))[10:]
    assert sum(o.value is not None for o in seen) <= 0.05 * len(seen)
    assert all(o.reason is Reason.LOW_SNR for o in seen if o.value is None)


def test_a_still_picture_without_any_noise_gives_no_value() -> None:
    t_s = times(20.0)
    seen = observe_all(trace(t_s, np.broadcast_to(SKIN, (len(t_s), 3)), noise=0.0))
    assert seen[-1].reason is Reason.LOW_SNR


def test_a_lamp_that_pulses_gives_no_value() -> None:
    t_s = times(30.0)
    light = 1 + 0.004 * np.sin(2 * np.pi * 2.4 * t_s)
    seen = observe_all(trace(t_s, SKIN * light[:, None], noise=0.1))[10:]
    assert all(o.value is None for o in seen)


def test_the_first_six_seconds_are_warm_up() -> None:
    t_s = times(12.0)
    seen = observe_all(trace(t_s, colours(t_s, 140)))
    assert [o.reason for o in seen[:5]] == [Reason.WARMING_UP] * 5
    assert seen[-1].value is not None


def test_no_samples_or_old_ones_mean_no_face() -> None:
    t_s = times(12.0)
    observer = HeartRateObserver("cot-1")
    assert observer.observe([], 3.0).reason is Reason.NO_FACE
    assert observer.observe(trace(t_s, colours(t_s, 140)), float(t_s[-1]) + 1.5).reason is Reason.NO_FACE


def test_a_gap_costs_the_seconds_around_it_and_no_more() -> None:
    t_s = times(20.0)
    kept = (t_s < 12.0) | (t_s > 12.8)
    seen = observe_all(trace(t_s[kept], colours(t_s, 140)[kept]))
    assert seen[10].value is not None
    assert seen[12].reason is seen[13].reason is Reason.GAP
    assert rate(seen[14]) == pytest.approx(140, abs=1)
    assert rate(seen[-1]) == pytest.approx(140, abs=1)


def test_single_dropped_frames_do_no_harm() -> None:
    t_s = times(16.0)
    kept = np.random.default_rng(0).random(len(t_s)) > 0.15
    assert rate(observe_all(trace(t_s[kept], colours(t_s, 171)[kept]))[-1]) == pytest.approx(171, abs=1)


def test_another_face_starts_anew() -> None:
    t_s = times(12.0)
    old, new = trace(t_s, colours(t_s, 200)), trace(t_s, colours(t_s, 110), track_id=2)
    both = old + [replace(s, captured_s=s.captured_s + float(t_s[-1]) + 0.03) for s in new]
    seen = observe_all(both)
    assert seen[13].reason is Reason.WARMING_UP
    assert rate(seen[-1]) == pytest.approx(110, abs=1)


def test_too_few_frames_a_second_are_no_trace() -> None:
    t_s = times(12.0)[::3]
    assert observe_all(trace(t_s, colours(t_s, 140)))[-1].reason is Reason.GAP


def test_a_hidden_region_is_left_out() -> None:
    t_s = times(14.0)
    samples = trace(t_s, colours(t_s, 140))
    for sample in samples:
        sample.rgb[0] = np.nan
    assert rate(observe_all(samples)[-1]) == pytest.approx(140, abs=1)


def test_a_region_hidden_for_a_moment_is_bridged() -> None:
    t_s = times(14.0)
    samples = trace(t_s, colours(t_s, 140))
    for sample in samples[:3] + samples[-8:-4]:
        sample.rgb[1] = np.nan
    assert rate(observe_all(samples)[-1]) == pytest.approx(140, abs=1)


def test_no_region_in_view_is_occluded() -> None:
    t_s = times(12.0)
    assert observe_all(trace(t_s, np.full((len(t_s), 3), np.nan)))[-1].reason is Reason.OCCLUDED


def test_darkness_is_named() -> None:
    t_s = times(12.0)
    assert observe_all(trace(t_s, 0.05 * colours(t_s, 140)))[-1].reason is Reason.DARK


def test_a_black_frame_does_no_harm() -> None:
    t_s = times(14.0)
    rgb = colours(t_s, 140)
    rgb[200] = 0.0
    assert all(abs(rate(o) - 140) < 3 for o in observe_all(trace(t_s, rgb, noise=0.0)) if o.value is not None)


def test_grey_pictures_have_no_pulse_in_colour() -> None:
    t_s = times(14.0)
    grey = np.repeat(colours(t_s, 140)[:, 1:2], 3, axis=1)
    assert observe_all(trace(t_s, grey, noise=0.0))[-1].reason is Reason.LOW_SNR


def test_restlessness_is_named() -> None:
    t_s = times(20.0)
    shake = 1 + 0.1 * np.sin(2 * np.pi * 1.1 * t_s) * np.sin(2 * np.pi * 0.23 * t_s)
    assert observe_all(trace(t_s, colours(t_s, 140) * shake[:, None]))[-1].reason is Reason.MOTION


def test_a_light_switched_on_does_not_make_a_wrong_rate() -> None:
    t_s = times(30.0)
    seen = observe_all(trace(t_s, colours(t_s, 150) * np.where(t_s > 15, 1.4, 1.0)[:, None]))
    assert all(abs(rate(o) - 150) < 3 for o in seen if o.value is not None)
    assert rate(seen[-1]) == pytest.approx(150, abs=1)


def test_the_same_trace_gives_the_same_observations() -> None:
    t_s = times(15.0)
    samples = trace(t_s, colours(t_s, 166))
    assert observe_all(samples) == observe_all(samples)


@pytest.mark.parametrize("session", ["Session1", "Session5"])
def test_recorded_pulses_are_read_where_they_are_trusted(shared: object, session: str) -> None:
    from pathlib import Path

    folder = Path(str(shared)) / "data" / "pulse_rhesus" / session
    fs_hz, segment_s = {"Session1": (30, 8.5), "Session5": (50, 5.0)}[session]
    parts = sorted(folder.glob("*Region?.bin")) or [folder / f"{session}.bin"]
    rgb = np.stack([np.fromfile(part, "<f4").reshape(-1, 3) for part in parts], axis=1)[: 100 * fs_hz]
    truth = np.array([float(v) for v in (folder / f"{session}_REF.csv").read_text().split(",")])
    samples = [SkinSample(i / fs_hz, i, 1, v) for i, v in enumerate(rgb)]
    errors = [
        abs(rate(o) - truth[[int((o.captured_s - back_s) / segment_s) for back_s in range(10)]].mean())
        for o in observe_all(samples)[10:]
        if o.value is not None
    ]
    assert len(errors) >= 40
    assert np.mean(errors) <= 4


@dataclass(frozen=True)
class Name:
    label: str = "pulse@1"


@dataclass
class KnownPulse:
    """A pulse network whose answer is known."""

    bpm: float = 150.0
    sure: float = 0.9
    manifest: Name = field(default_factory=Name)
    asked_s: list[float] = field(default_factory=list)

    def read(self, t_s: NDArray[np.float64], patches: NDArray[np.float32]) -> PulseReading | None:
        self.asked_s.append(float(t_s[-1] - t_s[0]))
        if self.bpm < 0:
            raise ModelError("pulse: output is not finite")
        if t_s[-1] - t_s[0] < 1.9:
            return None
        peak = np.exp(-0.5 * ((GRID_BPM - self.bpm) / 2.0) ** 2)
        odds = self.sure * peak / peak.sum() + (1 - self.sure) / len(GRID_BPM)
        return PulseReading(odds, np.zeros(round(30 * (t_s[-1] - t_s[0]))))


def with_patches(samples: list[SkinSample]) -> list[SkinSample]:
    return [replace(s, patch=np.full((16, 16, 3), 100, np.float32)) for s in samples]


def test_a_network_speaks_before_a_spectrum_can() -> None:
    t_s = times(12.0)
    samples = with_patches(trace(t_s, colours(t_s, 150)))
    network = KnownPulse()
    seen = observe_all(samples, HeartRateObserver("cot-1", network=network))
    assert [o.value is not None for o in seen[:5]] == [
        False,
        False,
        False,
        True,
        True,
    ]
    assert rate(seen[3]) == pytest.approx(150, abs=1)
    assert seen[3].model == "rppg@2+pulse@1"
    assert max(network.asked_s) <= 6.3
    assert rate(seen[-1]) == pytest.approx(150, abs=1)


def test_a_network_that_is_not_sure_changes_nothing() -> None:
    t_s = times(12.0)
    samples = with_patches(trace(t_s, colours(t_s, 150)))
    seen = observe_all(samples, HeartRateObserver("cot-1", network=KnownPulse(90.0, 0.2)))
    assert [o.reason for o in seen[:5]] == [Reason.WARMING_UP] * 5
    assert rate(seen[-1]) == pytest.approx(150, abs=1)


def test_a_network_that_contradicts_the_spectrum_costs_quality() -> None:
    t_s = times(14.0)
    samples = with_patches(trace(t_s, colours(t_s, 150, amplitude=0.001)))
    agreeing, other = (
        observe_all(samples, HeartRateObserver("cot-1", network=KnownPulse(bpm)))[-1] for bpm in (150.0, 90.0)
    )
    assert agreeing.quality > other.quality


def test_a_photograph_is_not_read_however_sure_the_network() -> None:
    t_s = times(12.0)
    samples = with_patches(trace(t_s, np.broadcast_to(SKIN, (len(t_s), 3)), noise=0.01))
    seen = observe_all(samples, HeartRateObserver("cot-1", network=KnownPulse()))
    assert all(o.value is None for o in seen)


def test_a_pulse_network_that_fails_is_named() -> None:
    t_s = times(8.0)
    samples = with_patches(trace(t_s, colours(t_s, 150)))
    assert observe_all(samples, HeartRateObserver("cot-1", network=KnownPulse(-1.0)))[-1].reason is Reason.MODEL_FAILED


@dataclass
class Manifest:
    label: str = "expression@1"
    thresholds: dict[str, float] = field(default_factory=lambda: {"eyes_visible": 0.5, "mouth_visible": 0.4})

    def threshold(self, name: str) -> float:
        return self.thresholds[name]


@dataclass(frozen=True)
class Scores:
    eyes_closed: float = 0.95
    crying: float = 0.05
    yawning: float = 0.1
    eyes_visible: float = 0.9
    mouth_visible: float = 0.8
    brow_bulge: float | None = None
    eye_squeeze: float | None = None
    nasolabial_furrow: float | None = None
    brow_visible: float | None = None
    cheeks_visible: float | None = None


ACTIONS = Scores(brow_bulge=0.7, eye_squeeze=0.6, nasolabial_furrow=0.2, brow_visible=0.9, cheeks_visible=0.9)
REGIONS = {"eyes_visible": 0.5, "mouth_visible": 0.4, "brow_visible": 0.6, "cheeks_visible": 0.6}


@dataclass
class Reader:
    """A network whose answer is known."""

    scores: Scores | None = field(default_factory=Scores)
    manifest: Manifest = field(default_factory=Manifest)

    def read(self, image: NDArray[np.uint8], box: Box, landmarks: NDArray[np.float32]) -> Scores:
        if self.scores is None:
            raise ModelError("expression: output is not finite")
        return self.scores


LANDMARKS = np.array([[130, 110], [170, 110], [150, 130], [136, 150], [164, 150]], np.float32)
FACE = Face(1, (100.0, 70.0, 200.0, 180.0), LANDMARKS, 0.9, 5.0, 5.0)


def frame(level: int = 120) -> Frame:
    return Frame("cot-2", 3, 5.0, np.full((240, 320, 3), level, np.uint8), "test")


def turned(points: dict[int, tuple[float, float]]) -> Face:
    landmarks = LANDMARKS.copy()
    for index, place in points.items():
        landmarks[index] = place
    return replace(FACE, landmarks=landmarks)


def test_an_expression_is_read() -> None:
    seen = ExpressionObserver(Reader()).observe(frame(), FACE)
    assert seen.value == Expression(0.95, 0.05, 0.1)
    assert (seen.bed, seen.observer, seen.captured_s, seen.model) == ("cot-2", "expression", 5.0, "expression@1")
    assert 0.6 < seen.quality <= 0.8


@pytest.mark.parametrize(
    ("why", "face", "level"),
    [
        (Reason.NO_FACE, None, 120),
        (Reason.STALE, replace(FACE, detected_s=3.5), 120),
        (Reason.TURNED_AWAY, turned({2: (176, 130)}), 120),
        (Reason.TURNED_AWAY, turned({0: (146, 110), 1: (154, 110)}), 120),
        (Reason.TURNED_AWAY, turned({3: (136, 118), 4: (164, 118)}), 120),
        (Reason.DARK, FACE, 6),
        (Reason.DARK, replace(FACE, box=(400.0, 300.0, 500.0, 400.0), landmarks=LANDMARKS + 300), 120),
    ],
)
def test_why_there_is_no_expression(why: Reason, face: Face | None, level: int) -> None:
    seen = ExpressionObserver(Reader()).observe(frame(level), face)
    assert (seen.reason, seen.value) == (why, None)


@pytest.mark.parametrize(
    ("hidden", "unknown"),
    [
        ("eyes_visible", {"eyes_closed", "eye_squeeze"}),
        ("mouth_visible", {"crying", "yawning"}),
        ("brow_visible", {"brow_bulge"}),
        ("cheeks_visible", {"nasolabial_furrow"}),
    ],
)
def test_what_a_hidden_region_tells_is_unknown_and_nothing_else(hidden: str, unknown: set[str]) -> None:
    reader = Reader(replace(ACTIONS, **{hidden: 0.3}), Manifest(thresholds=REGIONS))
    value = ExpressionObserver(reader).observe(frame(), FACE).value
    assert isinstance(value, Expression)
    assert {f.name for f in fields(value) if getattr(value, f.name) is None} == unknown


def test_a_face_of_which_neither_eyes_nor_mouth_can_be_seen_is_occluded() -> None:
    reader = Reader(replace(Scores(), eyes_visible=0.3, mouth_visible=0.3))
    assert ExpressionObserver(reader).observe(frame(), FACE).reason is Reason.OCCLUDED


def test_actions_without_thresholds_of_their_regions_are_not_told() -> None:
    value = ExpressionObserver(Reader(ACTIONS)).observe(frame(), FACE).value
    assert isinstance(value, Expression)
    assert (value.brow_bulge, value.eye_squeeze, value.nasolabial_furrow) == (None, 0.6, None)


def test_a_network_that_fails_is_named() -> None:
    assert ExpressionObserver(Reader(None)).observe(frame(), FACE).reason is Reason.MODEL_FAILED


def test_a_doubtful_answer_has_less_quality() -> None:
    sure, unsure = (
        ExpressionObserver(Reader(replace(Scores(), eyes_closed=p))).observe(frame(), FACE).quality for p in (0.95, 0.5)
    )
    assert unsure < sure


def test_a_face_lying_on_its_side_or_upside_down_is_not_turned_away() -> None:
    for degrees in (90, 180, 270):
        a = np.radians(degrees)
        middle = np.array([150, 125])
        landmarks = (LANDMARKS - middle) @ np.array([[np.cos(a), np.sin(a)], [-np.sin(a), np.cos(a)]]) + middle
        face = replace(FACE, landmarks=landmarks.astype(np.float32))
        assert ExpressionObserver(Reader()).observe(frame(), face).value is not None


def test_the_tables_name_every_observer() -> None:
    for name, observer in {**FACE_OBSERVERS, **TRACE_OBSERVERS, **SCENE_OBSERVERS}.items():
        assert observer.name == name
