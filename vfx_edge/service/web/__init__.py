"""What is shown: the worklist page, its data, metrics."""
