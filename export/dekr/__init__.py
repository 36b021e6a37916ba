"""HRNet and DEKR: a bottom-up network of an infant's joints (the seed's), published sizes and smaller ones.

The seed's recipe: Adam, 0.001, batches of 8, 100 epochs, stopped after 10 without a better validation loss. The
official CrowdPose recipe: Adam, 0.001, a tenth of it after 200 and 260 of 300 epochs, 40 pictures a step, turned by
+-30 degrees, scaled by 0.75-1.5, shifted by up to 40 px, mirrored by half.
"""

from export.dekr.config import CONFIGS, HEAD_SIDES, OUTPUTS, POSTURES, W16T, DekrConfig, named
from export.dekr.losses import LossConfig, losses
from export.dekr.network import DEKR, parameters_millions
from export.dekr.targets import MIRRORED, Targets, crown_deg, encode, reach_px

__all__ = [
    "CONFIGS",
    "DEKR",
    "HEAD_SIDES",
    "MIRRORED",
    "OUTPUTS",
    "POSTURES",
    "W16T",
    "DekrConfig",
    "LossConfig",
    "Targets",
    "crown_deg",
    "encode",
    "losses",
    "named",
    "parameters_millions",
    "reach_px",
]
