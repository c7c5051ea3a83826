"""Coverage-guided fuzzing (atheris) of everything that comes from outside.

    python -m tests.fuzz NAME --seconds 60      one harness
    python -m tests.fuzz all --minutes 60 --state build/fuzz.json

A harness may end in a result, or in a VfxError of the right branch with a sentence of one line that
says what to do. Whatever else happens is a finding: its input is kept in `found/NAME/`, and the
default suite replays what is kept there.
"""
