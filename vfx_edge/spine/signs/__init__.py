"""Signs that readers look for in a broken vertebra, measured: docs/signs.md."""

from vfx_edge.spine.signs.measure import measure_signs

__all__ = ["measure_signs"]
