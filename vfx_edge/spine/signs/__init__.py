"""Signs that readers look for in a broken vertebra, measured: docs/signs.md."""

from vfx_edge.spine.signs.measure import measure_signs
from vfx_edge.spine.signs.unread import said_of_unread, unread

__all__ = ["measure_signs", "said_of_unread", "unread"]
