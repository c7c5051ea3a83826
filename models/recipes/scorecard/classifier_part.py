"""The classifier on phantoms that were kept back, and on what is no vertebra at all."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from models.recipes.scorecard.table import table

CHECKS = ("plain", "flips", "flips_distance")
CHECK_TITLES = ("probability alone", "and both mirrored views", "and the distance from training")


def score_classifier(model: Path, work: Path, backend: str) -> dict[str, Any]:
    """The report of models/recipes/classifier; attacks only where the checkpoint is at hand."""
    from models.recipes.classifier import classifier_report  # PyTorch: rendering needs none

    checkpoint = work / "classifier.pt"
    return classifier_report(
        model.resolve(),
        work / "crops",
        checkpoint if checkpoint.exists() else None,
        backend=backend,
    )


def render(part: Any) -> str:
    """Markdown of it all."""
    paragraphs = [
        "**Trained on synthetic fractures only, and scored on such: no estimate for patients.** "
        f"{part['crops']} crops of {part['phantoms']} phantoms that neither training nor "
        "calibration has seen. Malignant is positive; sensitivity and specificity are of those "
        "that got a tier.",
        table(("figure", "reached"), _figures(part)),
        "Calibration, "
        f"expected error {part['calibration_error']:.3f}: what was said, and what was so.",
        table(
            ("p(malignant)", "malignant", "crops"),
            [
                (f"{r['p']:.2f}", f"{r['malignant']:.2f}", f"{r['crops']:.0f}")
                for r in part["calibration_curve"]
            ],
        ),
        "Share of crops that show no vertebra, a spoilt one or an intact one, and get a confident "
        "tier all the same; each check is added to the one before.",
        _checked("shown", [(_kind(r), r) for r in part["outliers"]]),
    ]
    if part.get("attacks"):
        paragraphs += [
            "Share told confidently and wrongly after changes of at most 5 HU; and, with all "
            "checks, told rightly.",
            _checked(
                "change", [(r["attack"], r) for r in part["attacks"]], ("told_rightly",), ("right",)
            ),
        ]
    return "\n\n".join(paragraphs)


def _figures(part: Any) -> list[tuple[str, str]]:
    chosen = part["chosen"]
    return [
        ("AUC (95 % interval)", _area(part)),
        ("sensitivity", _percent(part["sensitivity"])),
        ("specificity", _percent(part["specificity"])),
        (
            "malignant ones not called osteoporotic",
            _percent(part["malignant_not_called_osteoporotic"]),
        ),
        ("uncertain", _percent(part["uncertain"])),
        ("turned away as unlike anything taught", _percent(part["not_assessable"])),
        (
            "thresholds: malignant, osteoporotic",
            f"{chosen['threshold_malignant']:.3f}, {chosen['threshold_osteoporotic']:.3f}",
        ),
    ]


def _area(part: Any) -> str:
    if part["auc_low"] is None:
        return "–" if part["auc"] is None else f"{part['auc']:.3f}"
    return f"{part['auc']:.3f} ({part['auc_low']:.3f}–{part['auc_high']:.3f})"


def _kind(row: Any) -> str:
    return f"{row['kind']}{'' if row['trained'] else ' (not in training)'}"


def _checked(
    what: str,
    rows: Sequence[tuple[str, Any]],
    more: Sequence[str] = (),
    titles: Sequence[str] = (),
) -> str:
    keys = (*CHECKS, *more)
    return table(
        (what, *CHECK_TITLES, *titles),
        [(name, *(_percent(row[key]) for key in keys)) for name, row in rows],
    )


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.1f} %"
