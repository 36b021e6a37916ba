"""How an infant moves: activity of the limbs from poses, and motion of the picture from every frame.

Information for people who study movement: no general-movement assessment, and no part of one.
Pure: times are arguments, and nothing here reads a clock or a file.
"""

from edgemon.movement.body import Track, track_of
from edgemon.movement.meter import MotionMeter
from edgemon.movement.summary import summarize, summarize_motion
from edgemon.movement.window import WINDOW_S, MovementWindow

__all__ = ["WINDOW_S", "MotionMeter", "MovementWindow", "Track", "summarize", "summarize_motion", "track_of"]
