"""What no setting can allow: bounds of the contract that settings may lower. The published schema says the same."""

from __future__ import annotations

from typing import Final

MAX_STEPS: Final = 500  # of one job
MAX_ASSETS: Final = 500  # of one job
MAX_LENGTH_S: Final = 600  # from the title card's beginning to the last step's end, s
