"""How the infant lies and moves: posture and head side as most looks have it, movement as the newest minute has it."""

from __future__ import annotations

from edgemon.records import HeadSide, MovementSummary, Pose, Posture, Reading, Reason
from edgemon.states.held import Held, T
from edgemon.states.settings import StateSettings
from edgemon.states.vote import Vote


class Body:
    """Smoothed posture, head side and movement index; all disabled where there is no pose network."""

    def __init__(self, settings: StateSettings) -> None:
        s = settings
        self._off = s.pose_window_s is None
        window_s = s.pose_window_s or 0.0
        self._posture: Vote[Posture] = Vote(window_s, s.pose_hold_s, share=s.pose_share, looks=s.pose_looks)
        self._head_side: Vote[HeadSide] = Vote(window_s, s.pose_hold_s, share=s.pose_share, looks=s.pose_looks)
        self._movement: Held[float] = Held(s.movement_hold_s)
        self._why = Reason.OCCLUDED  # the newest reason for which limbs were not seen

    def see(self, pose: Pose, quality: float, at_s: float) -> None:
        """Take in one pose."""
        self._why = Reason.OCCLUDED  # if its limbs are not seen, something covers them
        self._posture.see(pose.posture, quality, at_s)
        self._head_side.see(pose.head_side, quality, at_s)

    def refuse(self, reason: Reason, at_s: float) -> None:
        """Learn why there is no pose now."""
        self._why = reason
        self._posture.held.refuse(reason, at_s)
        self._head_side.held.refuse(reason, at_s)

    def moved(self, minute: MovementSummary) -> None:
        """Take in a minute of movement; without an index, the reason is that of the poses that it lacks."""
        if minute.index is None:
            self._movement.refuse(self._why, minute.end_s)
        else:
            self._movement.confirm(minute.index, minute.coverage, minute.end_s, minute.start_s)

    def posture(self, now_s: float) -> Reading[Posture]:
        """On the back, side or belly."""
        return self._told(self._posture.held, now_s)

    def head_side(self, now_s: float) -> Reading[HeadSide]:
        """To which side the nose points."""
        return self._told(self._head_side.held, now_s)

    def movement(self, now_s: float) -> Reading[float]:
        """The newest minute's index 0..1."""
        return self._told(self._movement, now_s)

    def _told(self, held: Held[T], now_s: float) -> Reading[T]:
        return Reading(None, Reason.DISABLED, 0.0, now_s, now_s) if self._off else held.reading(now_s)
