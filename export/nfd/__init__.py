"""The seed's network: RetinaFace with Hierarchical Contextual Classification and DIoU-aware NMS (MICCAI 2024).

Source: Zhao et al., "Towards a Deeper insight into Face Detection in Neonatal wards". Where the paper contradicts
itself or is silent, we read it as follows.

- Equation 4 prints the DIoU loss, 0 for a perfect box; the target of the score must be what it is one less: IoU -
  rho^2 / c^2, clamped to 0..1.
- Alpha of equation 2 is not given; it is chosen on validation frames, never on test frames, and is the decoder's.
- Labels of the second step: the text makes the dropped anchors its positives and negatives and ignores "the remaining",
  which leaves nothing to classify. We read it as RefineDet (arXiv 1711.06897) and SRN (arXiv 1809.02693) do: background
  that the first step drops is ignored, background that it keeps is negative, and every face anchor is positive, also
  one that the first step dropped (the "false negatives" of the text).
- N1 and N2 of equation 1 are "anchors processed"; a mean over 102,300 anchors would leave the class term a thousandth
  of the box term, so both are the number of face anchors, as in RetinaNet and SRN.
- The "dot product" with the attention map is an element-wise mask, a map of ones and zeros times the features.
- The attention map has one cell for the three anchors of a place: one where any of them is kept, then dilated to M x M.
- "Backbone feature maps" C2-C4 are wider than the pyramid's, so a 1x1 convolution for each M brings them to its width
  before they are masked and added; it starts at zero, so that the second step starts from the bare pyramid.
- The second step's classifier is a 1x1 convolution of its own on the sum of the pyramid's features (after their context
  module) and both contexts; the first step's, and the heads of P5 and P6, stand on the features alone.
- At inference p is the second step's on P2-P4 and 0 where the first step's negative confidence is above theta; on P5
  and P6 it is the first step's. The graph's shape is fixed: nothing is gathered, dropped anchors are multiplied away.
- The DIoU branch stands on the same features as the regression; the score of equation 2 ranks the boxes, while the
  overlap that suppresses a box is plain IoU in every row of the tables, so that rows differ by ranking alone.
"""

from __future__ import annotations

from export.nfd.anchors import OFFICIAL, PYRAMID, Layout, priors
from export.nfd.decode import Found, decode, decode_official
from export.nfd.network import HCC_LEVELS, MODULES, THETA, Network, NetworkConfig, Outputs, Scored
from export.nfd.official import OfficialRetinaFace, load_official

__all__ = [
    "HCC_LEVELS",
    "MODULES",
    "OFFICIAL",
    "PYRAMID",
    "THETA",
    "Found",
    "Layout",
    "Network",
    "NetworkConfig",
    "OfficialRetinaFace",
    "Outputs",
    "Scored",
    "decode",
    "decode_official",
    "load_official",
    "priors",
]
