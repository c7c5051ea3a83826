"""Patches, tiles and windows: an image and a network in, probabilities out."""
