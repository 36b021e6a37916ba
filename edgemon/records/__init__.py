"""The nouns that cross every border: Frame -> Face -> Observation -> PatientState -> AlarmEvent -> Message.

All are frozen and checked when built, so an invalid one cannot exist. Every time in them is monotonic seconds
(`_s`); wall time is stamped only where a message leaves the device.
"""

from edgemon.records.beliefs import Health, PainActions, PatientState, Reading
from edgemon.records.movement import LimbMovement, Motion, MotionSummary, MovementSummary
from edgemon.records.sight import (
    KEYPOINTS,
    Box,
    Expression,
    Face,
    Frame,
    HeartRate,
    Observation,
    PainLook,
    Pose,
    SkinSample,
)
from edgemon.records.told import AlarmEvent, BehaviourEvent, BehaviourSummary, Message
from edgemon.records.words import (
    DEVICE_BED,
    Activation,
    ClockSource,
    Cry,
    Durability,
    Eyes,
    HeadSide,
    Kind,
    Phase,
    Posture,
    Presence,
    Priority,
    Reason,
    Sleep,
)

__all__ = [
    "DEVICE_BED",
    "KEYPOINTS",
    "Activation",
    "AlarmEvent",
    "BehaviourEvent",
    "BehaviourSummary",
    "Box",
    "ClockSource",
    "Cry",
    "Durability",
    "Expression",
    "Eyes",
    "Face",
    "Frame",
    "HeadSide",
    "Health",
    "HeartRate",
    "Kind",
    "LimbMovement",
    "Message",
    "Motion",
    "MotionSummary",
    "MovementSummary",
    "Observation",
    "PainActions",
    "PainLook",
    "PatientState",
    "Phase",
    "Pose",
    "Posture",
    "Presence",
    "Priority",
    "Reading",
    "Reason",
    "SkinSample",
    "Sleep",
]
