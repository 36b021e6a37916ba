"""What is believed about the infant: smoothing, hysteresis, dwell, hold and 30-s sleep epochs over observations.

Rules of this package: only observations change anything; `state` is a pure function of them and of the time asked for;
a value that is not confirmed for its hold time becomes unknown with the reason why.
"""

from edgemon.states.estimator import EXPRESSION, HEART_RATE, POSE, StateEstimator
from edgemon.states.settings import StateSettings

__all__ = ["EXPRESSION", "HEART_RATE", "POSE", "StateEstimator", "StateSettings"]
