"""A classifier from a department's labelled fractures, trained as Foreman et al. 2024 did.

    python -m models.recipes classifier --labelled DATASET -o SET_DIR --work DIR

`command.py` goes through it from the labels to the model set.
"""
