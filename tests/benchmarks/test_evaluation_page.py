"""The tables of docs/evaluation.md are those that their commands write."""

from pathlib import Path

from benchmarks import cases, repeatability, results
from models.recipes.scorecard.render import BEGIN
from vfx_edge.scoring.perturb import PERTURBATIONS, SHIFT_VOXELS

PAGE = (Path(__file__).parents[2] / "docs" / "evaluation.md").read_text("utf-8")


def test_the_cases_needed_are_those_of_the_formulas() -> None:
    assert cases.page(PAGE) == PAGE, "run python -m benchmarks cases"


def test_repeatability_is_what_was_measured() -> None:
    found = results.read(repeatability.NAME)
    assert BEGIN.format(repeatability.NAME) in PAGE
    if found is not None:
        page = repeatability.page(PAGE, results.flat(found))
        assert page == PAGE, "run python -m benchmarks repeatability"


def test_every_perturbation_is_explained() -> None:
    rows = [line for line in PAGE.splitlines() if line.startswith("| `")]
    for one in PERTURBATIONS:
        assert any(row.startswith(f"| `{one.name}` |") for row in rows), one.name
    (shift,) = (row for row in rows if row.startswith("| `shift` |"))
    assert all(f"{part:g}" in shift for part in SHIFT_VOXELS)
