"""Evaluations that somebody has changed, or that lack what calibration would like to know."""

import json
from dataclasses import replace
from pathlib import Path

from tests.tuning import evaluations
from tests.tuning.conftest import Command
from vfx_edge.manifest import ModelManifest


def test_an_evaluation_that_was_tampered_with_is_a_sentence(
    command: Command, source: ModelManifest, tmp_path: Path
) -> None:
    """What evaluation.json says of the set's folder, and files that are none."""
    rows = evaluations.cases(40, "ours")
    folder = evaluations.write(tmp_path / "a", rows, source)
    page = folder / "evaluation.json"
    where = json.dumps(str(source.directory))
    page.write_text(page.read_text("utf-8").replace(where, f'"{"x" * 5000}"'), encoding="utf-8")
    assert command(folder, "-o", tmp_path / "new", "--uncertain", "0.2").code == 4
    for text, says in (("[" * 200_000, "it is no JSON"), ('{"run": NaN}', "it is no JSON")):
        page.write_text(text, encoding="utf-8")
        done = command(folder, "--show")
        assert (done.code, done.err.count("\n")) == (3, 1)
        assert says in done.err
    assert command("x" * 5000, "--show").code == 3


def test_patients_that_are_not_named_are_those_of_their_studies(
    command: Command, source: ModelManifest, tmp_path: Path
) -> None:
    rows = [replace(row, patient="") for row in evaluations.cases(60, "ours")]
    rows.append(replace(rows[0], study="neither", p_osteoporotic=0.0, p_malignant=0.0))
    folder = evaluations.write(tmp_path / "evaluation", rows, source)
    done = command(folder, "--show", "--uncertain", "0.1")
    assert done.code == 0
    assert "patients have" not in done.out
    assert "unlike all it was taught): 1 of these" in done.out
