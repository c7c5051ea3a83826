"""Temperature, thresholds and conformal sets from an evaluation, written as a new model set."""
