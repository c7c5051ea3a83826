"""Readers beside the classifier: a tabular network of features, and its fusion with the network.

Both are logistic regressions: few cases carry no more, and their file runs on every backend.
"""
