"""A department's labelled studies: `labels.csv`, the folders beside it, and checks of both.

    dataset = read_dataset(Path("/data/fractures"))      # reading.py
    dataset.problems                                     # what is wrong, by row; the rest goes on

The format stands in docs/evaluation.md.
"""
