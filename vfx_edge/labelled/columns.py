"""The columns of labels.csv, each list once."""

REQUIRED = ("study", "patient", "level", "label")
"""`path` may be left out where the folder is in VerSe's layout, `split` where nothing is split."""
COLUMNS = ("study", "patient", "path", "level", "label", "split",
           "genant", "gold_standard", "sex", "age", "contrast", "scanner")  # fmt: skip
"""As they are written."""
REPEAT_OF = "repeat_of"
"""The study that this one repeats; written where there is one."""
CLINICAL = ("known_tumour", "previous_fracture")
"""Of the patient; written where somebody knows one."""
READER = "reader_"
"""`reader_<name>`, and `reader_<name>_2` for the second reading."""
