"""The chain of this product, read from top to bottom in `chain.analyze`."""
