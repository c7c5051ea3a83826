"""How good the answers are: matching, overlap, classification, calibration. Nothing is timed here.

The one home of such figures: the scorecard, the recipes, `bench` and the tests call it.
"""
