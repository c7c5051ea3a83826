"""Temperature, thresholds and conformal sets from an evaluation, written as a new model set.

    evaluation = read_evaluation(Path("evaluation"))                    # reading.py
    source = evaluation.model.manifest()
    choice = choose(evaluation.cases, Asked(Wanted(sensitivity=0.95)))  # choice.py
    write_calibrated(source, evaluation, choice, Path("our-set"), date.today())

The last is new_set.py; card.py words what was chosen. What is chosen how stands in `evaluation/`:
temperature, operating_point, conformal.
"""
