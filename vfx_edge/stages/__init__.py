"""What is computed, in the order of the chain: arrays in, study types out."""
