"""Grids, orientation, block means and resampling of images; knows nothing of what they show."""
