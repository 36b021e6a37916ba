"""Records and stamps for the tests of messages."""

from __future__ import annotations

from edgemon.messages import Composer, Stamp
from edgemon.records import (
    AlarmEvent,
    BehaviourEvent,
    BehaviourSummary,
    Eyes,
    HeartRate,
    Kind,
    LimbMovement,
    Message,
    MotionSummary,
    MovementSummary,
    PatientState,
    Phase,
    Posture,
    Presence,
    Priority,
    Reading,
    Reason,
    Sleep,
)

BED = "cot-1"
START = "2026-01-05T03:12:09.120Z"


def stamp(at_s: float = 100.0) -> Stamp:
    """A synced moment; wall time runs with `at_s`."""
    return Stamp(at_s, Stamp(100.0, START, "ntp").wall(at_s), "ntp")


def composer(session: int = 1, device: str = "cot-pi-1") -> Composer:
    """A composer of one device."""
    return Composer("site", "nicu", device, "b00t", session)


def alarm_event(
    condition: str = "hr_high",
    *,
    revision: int = 1,
    presence: Presence = Presence.ON,
    at_s: float = 100.0,
    bed: str = BED,
) -> AlarmEvent:
    """One move of an alarm."""
    phase = Phase.END if presence is Presence.OFF else Phase.START if revision == 1 else Phase.CONTINUE
    return AlarmEvent(
        bed=bed, condition=condition, kind=Kind.PHYSIOLOGICAL, priority=Priority.MEDIUM, phase=phase, presence=presence,
        latching=False, alarm_id=f"{bed}/{condition}/1", revision=revision, onset_s=min(90.0, at_s), at_s=at_s,
        value=214.0, limit=200.0, unit="/min", signal_delay_ms=10_000,
    )  # fmt: skip


def bout(event_id: str = "e1", phase: Phase = Phase.START, bed: str = BED, kind: str = "cry") -> BehaviourEvent:
    """One word on a bout of crying."""
    end_s = 99.0 if phase is Phase.END else None
    return BehaviourEvent(bed, kind, phase, event_id, 95.0, 100.0, end_s, 0.9)


def minute(compose: Composer, bed: str = BED) -> Message:
    """One minute's summary."""
    return compose.heart_rate_minute(bed, stamp(), start_s=40.0, bpms=(140.0, 150.0), estimates=3, method="rPPG-POS")


def hour(bed: str = BED) -> BehaviourSummary:
    """An hour of which a quarter was not seen."""
    return BehaviourSummary(bed, "hour", -3500.0, 100.0, 2000.0, 700.0, 90.0, 2610.0, 2, 3, 1500.0, 1, 90.0)


def moved(bed: str = BED) -> MovementSummary:
    """A minute in which the arms moved and the legs were covered, with a pose a second."""
    arm, leg = LimbMovement(0.9, 0.41237, 0.25), LimbMovement(0.1, None, None)
    motion = MotionSummary(0.012, 0.02, 0.7, 0.5, 0.45, 0.1, 0.3, 4.2, 1.5, 0.8)
    return MovementSummary(
        bed=bed, start_s=40.0, end_s=100.0, coverage=0.5, pose_hz=1.0, frames_hz=30.0,
        left_arm=arm, right_arm=arm, left_leg=leg, right_leg=leg, index=0.25, still=0.5, position_entropy_bits=2.5,
        dominant_hz=None, spectral_entropy=None, arms_correlation=None, legs_correlation=None, onsets=None,
        synchrony=None, motion=motion,
    )  # fmt: skip


def patient(bed: str = BED) -> PatientState:
    """A sleeping infant in the dark, whose heart rate is seen."""
    dark = Reason.DARK
    return PatientState(
        bed=bed,
        at_s=100.0,
        face=Reading(True, None, 0.9, 40.0, 99.9),
        eyes=Reading(Eyes.CLOSED, None, 0.8, 90.0, 99.8),
        sleep=Reading(Sleep.ASLEEP, None, 0.8, 60.0, 99.0),
        cry=Reading(None, dark, 0.0, 95.0, 99.0),
        heart_rate=Reading(HeartRate(142.34, 10.0, "rPPG-POS"), None, 0.83, 80.0, 99.5),
        pain_cue=Reading(None, Reason.DISABLED, 0.0, 0.0, 0.0),
        movement=Reading(0.04, None, 1.0, 99.0, 99.0),
        coverage=0.91,
        posture=Reading(Posture.SUPINE, None, 0.9, 50.0, 99.0),
        head_side=Reading(None, Reason.LOW_SNR, 0.0, 98.0, 99.0),
    )
