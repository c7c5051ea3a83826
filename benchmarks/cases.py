"""How many cases a confidence interval of a wanted width takes: for docs/evaluation.md."""

from benchmarks import results
from models.recipes.scorecard.render import replaced
from models.recipes.scorecard.table import table
from vfx_edge.evaluation.sample_size import cases_for, cases_for_auc

PAGE = results.ROOT / "docs" / "evaluation.md"
HALF_WIDTHS = (0.15, 0.10, 0.075, 0.05, 0.03)
SHARES = (0.70, 0.80, 0.85, 0.90, 0.95, 0.98)
AREAS = (0.70, 0.75, 0.80, 0.85, 0.90, 0.95)


def command() -> None:
    """How many cases a 95 % interval of a wanted width takes. Writes the tables of
    docs/evaluation.md."""
    PAGE.write_text(page(PAGE.read_text("utf-8")), encoding="utf-8")


def page(text: str) -> str:
    """`text` with both tables made anew."""
    return replaced(text, "cases", f"{_shares()}\n\n{_areas()}\n")


def _shares() -> str:
    head = ("sensitivity or specificity", *(f"± {100 * half:g} %" for half in HALF_WIDTHS))
    rows = [
        (f"{share:.2f}", *(str(cases_for(share, half)) for half in HALF_WIDTHS)) for share in SHARES
    ]
    return f"Wilson's interval of a share:\n\n{table(head, rows)}"


def _areas() -> str:
    head = ("rank AUC", *(f"± {half:g}" for half in HALF_WIDTHS))
    rows = [
        (f"{area:.2f}", *(_both(*cases_for_auc(area, half)) for half in HALF_WIDTHS))
        for area in AREAS
    ]
    words = "Rank AUC, malignant + osteoporotic cases in equal numbers (Hanley and McNeil 1982):"
    return f"{words}\n\n{table(head, rows)}"


def _both(positive: int, negative: int) -> str:
    return f"{positive} + {negative}"
