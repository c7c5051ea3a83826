"""Studies over worker processes, and what was answered so far kept as files: what an evaluation and
a batch share. Neither knows what a study's answer holds."""
