"""The alarm state machine, as one table.

Rules of this file: everything that affects an alarm's state lives here; it knows no clock, no condition and no message.
Words are those of IEC 60601-1-8; `docs/alarms.md` is generated from this table.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from edgemon.errors import IllegalTransition
from edgemon.records import Phase, Presence


class AlarmState(StrEnum):
    """Where one condition stands; all but the first two are an occurrence."""

    INACTIVE = "inactive"
    PENDING = "pending"  # true, for less than the condition delay
    ON = "on"
    ESCALATED = "escalated"  # on, and unacknowledged for too long
    ACK = "ack"  # the condition goes on, its signal was ended
    LATCHED = "latched"  # the condition is gone and waits for an acknowledgement


class Input(StrEnum):
    """What may happen to an alarm."""

    CONDITION_TRUE = "condition_true"
    CONDITION_FALSE = "condition_false"  # for at least the condition's clear time
    CONDITION_UNKNOWN = "condition_unknown"
    DELAY_ELAPSED = "delay_elapsed"  # true for the condition delay
    UNKNOWN_HELD = "unknown_held"  # acknowledged, then unknown for so long that the next truth is another occurrence
    ACKNOWLEDGE = "acknowledge"
    ESCALATE_DUE = "escalate_due"
    ACTIVATION_CHANGED = "activation_changed"  # a pause of the signals began or ended
    RESEND_DUE = "resend_due"


@dataclass(frozen=True, slots=True)
class Move:
    """The state to go to, and the phase to tell, if any."""

    to: AlarmState
    phase: Phase | None = None


S, C = AlarmState, Input

PRESENCE: Mapping[AlarmState, Presence] = MappingProxyType(
    {
        S.INACTIVE: Presence.OFF,
        S.ON: Presence.ON,
        S.ESCALATED: Presence.ON,
        S.ACK: Presence.ACK,
        S.LATCHED: Presence.LATCHED,
    }
)

TRANSITIONS: Mapping[tuple[AlarmState, Input], Move] = MappingProxyType(
    {
        (S.INACTIVE, C.CONDITION_TRUE): Move(S.PENDING),
        (S.INACTIVE, C.CONDITION_FALSE): Move(S.INACTIVE),
        (S.INACTIVE, C.CONDITION_UNKNOWN): Move(S.INACTIVE),
        (S.PENDING, C.CONDITION_TRUE): Move(S.PENDING),
        (S.PENDING, C.CONDITION_FALSE): Move(S.INACTIVE),
        (S.PENDING, C.CONDITION_UNKNOWN): Move(S.INACTIVE),
        (S.PENDING, C.DELAY_ELAPSED): Move(S.ON, Phase.START),
        (S.ON, C.CONDITION_TRUE): Move(S.ON),
        (S.ON, C.CONDITION_FALSE): Move(S.INACTIVE, Phase.END),
        (S.ON, C.CONDITION_UNKNOWN): Move(S.ON),  # unknown is not normal
        (S.ON, C.ACKNOWLEDGE): Move(S.ACK, Phase.UPDATE),
        (S.ON, C.ESCALATE_DUE): Move(S.ESCALATED, Phase.ESCALATE),
        (S.ON, C.ACTIVATION_CHANGED): Move(S.ON, Phase.UPDATE),
        (S.ON, C.RESEND_DUE): Move(S.ON, Phase.CONTINUE),
        (S.ESCALATED, C.CONDITION_TRUE): Move(S.ESCALATED),
        (S.ESCALATED, C.CONDITION_FALSE): Move(S.INACTIVE, Phase.END),
        (S.ESCALATED, C.CONDITION_UNKNOWN): Move(S.ESCALATED),
        (S.ESCALATED, C.ACKNOWLEDGE): Move(S.ACK, Phase.UPDATE),
        (S.ESCALATED, C.ACTIVATION_CHANGED): Move(S.ESCALATED, Phase.UPDATE),
        (S.ESCALATED, C.RESEND_DUE): Move(S.ESCALATED, Phase.CONTINUE),
        (S.ACK, C.CONDITION_TRUE): Move(S.ACK),
        (S.ACK, C.CONDITION_FALSE): Move(S.INACTIVE, Phase.END),
        (S.ACK, C.CONDITION_UNKNOWN): Move(S.ACK),
        (S.ACK, C.UNKNOWN_HELD): Move(S.INACTIVE, Phase.END),  # else an old acknowledgement would hide the next truth
        (S.ACK, C.ACTIVATION_CHANGED): Move(S.ACK, Phase.UPDATE),
        (S.ACK, C.RESEND_DUE): Move(S.ACK, Phase.CONTINUE),
        (S.LATCHED, C.CONDITION_TRUE): Move(S.LATCHED),
        (S.LATCHED, C.CONDITION_FALSE): Move(S.LATCHED),
        (S.LATCHED, C.CONDITION_UNKNOWN): Move(S.LATCHED),
        (S.LATCHED, C.DELAY_ELAPSED): Move(S.ON, Phase.UPDATE),  # it came back
        (S.LATCHED, C.ACKNOWLEDGE): Move(S.INACTIVE, Phase.END),
        (S.LATCHED, C.ACTIVATION_CHANGED): Move(S.LATCHED, Phase.UPDATE),
        (S.LATCHED, C.RESEND_DUE): Move(S.LATCHED, Phase.CONTINUE),
    }
)

ACTIVE = frozenset(PRESENCE) - {S.INACTIVE}
"""The states of an occurrence."""

LATCHING: Mapping[tuple[AlarmState, Input], Move] = MappingProxyType(
    {
        (S.ON, C.CONDITION_FALSE): Move(S.LATCHED, Phase.UPDATE),
        (S.ESCALATED, C.CONDITION_FALSE): Move(S.LATCHED, Phase.UPDATE),
        (S.ACK, C.CONDITION_FALSE): Move(S.LATCHED, Phase.UPDATE),
        (S.ACK, C.UNKNOWN_HELD): Move(S.LATCHED, Phase.UPDATE),
    }
)
"""The cells in which a latching condition differs."""


def transition(state: AlarmState, cause: Input, latching: bool) -> Move:
    """The move that the table gives.

    Raises:
        IllegalTransition: the table has no such cell.
    """
    cell = (state, cause)
    move = (LATCHING.get(cell) if latching else None) or TRANSITIONS.get(cell)
    if move is None:
        raise IllegalTransition(f"an alarm that is {state} cannot take {cause}")
    return move
