"""The scorecard of a model set: real CT left out of the training, masks, phantoms, classifier."""
