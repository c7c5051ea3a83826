"""Images and their grids: orientation, block means, resampling. Knows nothing of what they show."""

from vfx_edge.image.image import Image, Point

__all__ = ["Image", "Point"]
