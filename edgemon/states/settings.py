"""How observations become beliefs: every time constant and limit of the states."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class StateSettings:
    """How observations become beliefs.

    A step of the network's probability reaches `eyes` after about 1.7 s and `cry` after about 2.2 s at 4 Hz; an
    eye closure of up to 0.5 s is a blink and is ignored. Epochs and the majority rule follow the AASM infant
    scoring rules (J Clin Sleep Med 2016;12(3):429, PMC4773630), with eyes and cry in place of the EEG.
    """

    tau_s: float = 1.0  # of the exponential mean of logits
    enter: float = 0.7
    leave: float = 0.4
    eyes_dwell_s: float = 0.5
    cry_dwell_s: float = 1.0
    expression_hold_s: float = 5.0
    heart_rate_hold_s: float = 5.0
    face_hold_s: float = 2.0
    face_bridge_s: float = 1.0  # a face that detection misses for less than this has not gone
    min_quality: float = 0.2  # observations below it count as abstentions
    epoch_s: float = 30.0
    epoch_coverage: float = 0.5  # an epoch known for less than this share is unknown
    awake_after_s: float = 10.0  # of open eyes or crying in one piece: awake before the epoch ends
    coverage_s: float = 60.0
    pain_window_s: float | None = None  # None: no pain cue
    pain_coverage: float = 0.5  # below this share of the window in which the actions were seen, there is none

    def __post_init__(self) -> None:
        if not 0 < self.leave < self.enter < 1:
            raise ValueError(f"leave must be below enter, both within 0..1, got {self.leave} and {self.enter}")
        if self.pain_window_s is not None and not 1 <= self.pain_window_s <= 600:
            raise ValueError(f"pain_window_s must be within 1..600, got {self.pain_window_s}")
        if not 0 < self.expression_hold_s < self.epoch_s:
            raise ValueError(f"expression_hold_s must be within 0..{self.epoch_s}, got {self.expression_hold_s}")
