"""What model sets say of labelled studies: run, matched with the truth, counted, shown.

run.py       each study through the chain, in processes; what is there is kept
rows.py      one row a vertebra, one a study
tables.py    rows as CSV and back
figures.py   rows -> evaluation.json; figures_*.py: its parts
page.py      evaluation.json -> evaluation.html
perturb.py   a scan made anew: noise, place, kernel
repeat.py    each study again -> repeat.json; repeat*.py: its parts
"""
