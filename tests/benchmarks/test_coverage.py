"""Intervals hold the truth as often as they say: some of `python -m benchmarks coverage`, small."""

import pytest

from benchmarks import coverage, results
from benchmarks.coverage_settings import Setting, settings

QUICK = [one for one in settings() if "BCa" not in one.method]
SLOW = [one for one in settings() if one.figure.startswith("within-subject")]


@pytest.mark.parametrize("setting", QUICK, ids=lambda one: one.name)
def test_intervals_by_formula_cover(setting: Setting) -> None:
    found = coverage.coverage(coverage.covered(setting, 300))
    if setting.used:
        assert 0.91 <= found <= 0.985
    elif "independent" in setting.method:
        assert found < 0.94, "who takes vertebrae of one patient as independent is too sure"


@pytest.mark.parametrize("setting", SLOW, ids=lambda one: one.name)
def test_the_bootstrap_over_patients_covers(
    setting: Setting, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("benchmarks.coverage_settings.RESAMPLES", 200)
    assert 0.88 <= coverage.coverage(coverage.covered(setting, 100)) <= 1


def test_the_page_is_what_its_figures_make_of_it() -> None:
    """After a change of table or figures: python -m benchmarks coverage."""
    text, found = coverage.PAGE.read_text("utf-8"), results.read("coverage")
    assert found is not None
    assert coverage.page(text, found) == text
