"""The report: one self-contained page, and the pictures on it."""
