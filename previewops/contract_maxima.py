"""Hard maxima of the contract, which settings may lower but not raise. The published schema has the same values."""

from __future__ import annotations

from typing import Final

MAX_STEPS: Final = 500  # of one job
MAX_ASSETS: Final = 500  # of one job
MAX_LENGTH_S: Final = 600  # from the start of the title card to the end of the last step, s
