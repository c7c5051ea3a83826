"""How good the answers are, and how sure that is. Nothing is timed here.

The one home of such figures: `evaluate`, the recipes, `bench` and the tests call it.

matching, overlap, level_names    vertebrae found, outlined, named
intervals                         a figure with its interval: shares, the bootstrap over patients
rates, classification             two classes: sensitivity and the like; answers that may be missing
roc, calibration, decision        probabilities: do they rank, are they true, do they help
agreement                         readers: kappa, ICC
sample_size                       how many cases an interval takes

What is not defined is None, never NaN; docs/statistics.md says which interval is made how.
"""
