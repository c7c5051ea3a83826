"""Images and their grids: orientation, block means, resampling. Knows nothing of what they show."""

from vfx_edge.image.image import Grid, Image, Point

__all__ = ["Grid", "Image", "Point"]
