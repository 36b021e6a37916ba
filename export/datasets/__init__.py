"""Pictures with known faces, from every source that training and benchmarks read.

Every source gives the same typed sample. Splits are by infant and by person, never by picture.
"""

from __future__ import annotations

from export.datasets.london import LondonPerson, london
from export.datasets.marks import FaceMark, Image, Picture
from export.datasets.renders import Renders

__all__ = ["FaceMark", "Image", "LondonPerson", "Picture", "Renders", "london"]
