"""What a model set's card says of a training on labelled CT: data, split, scores, deviations."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from models.recipes.labelled.deviations import deviations
from models.recipes.labelled.plan import SLICES, Plan
from models.recipes.labelled.report import Report
from vfx_edge.labelled.dataset import Split

Row = Sequence[object]
SHOWN = {
    "auc": "AUC (rank)",
    "balanced_accuracy": "balanced accuracy",
    "accuracy": "accuracy",
    "sensitivity": "sensitivity",
    "specificity": "specificity",
    "ppv": "PPV",
    "npv": "NPV",
}
PARTS = {
    "validation": "validation (it chose the epoch: no test)",
    "test": "test",
    "external": "external test",
    "cross_validation": "cross-validation, each patient by a network that did not see it",
}

CLOCK = "The clock ended it before the validation loss had stopped falling"


def figures(report: Report) -> dict[str, Any]:
    """The training as JSON: what the card's tables are made of. No patient is named."""
    progress = report.trained.progress
    return {
        "role": report.plan.role,
        "recipe": report.plan.recipe,
        "approach": report.plan.approach,
        "masked": report.plan.masked,
        "window": report.plan.window,
        "network": report.plan.network,
        "thresholds": list(report.thresholds),
        "crops": crops_by_part(report),
        "epochs": progress.epoch,
        "best_epoch": progress.best_epoch,
        "minutes": round(progress.seconds / 60, 1),
        "log": progress.log,
        "scores": dict(report.scores),
        "left_out": len(report.left_out),
    }


def crops_by_part(report: Report) -> dict[str, dict[str, int]]:
    """Part -> label -> crops, and patients of the part, and outlines that the chain drew."""
    found: dict[str, dict[str, int]] = {}
    for part in Split:
        own = [report.taught.crops[n].facts for n in report.taught.of(part)]
        counts = Counter(facts.label.value for facts in own)
        if own:
            by_chain = sum(facts.mask_by == "chain" for facts in own)
            patients = len({facts.patient for facts in own})
            found[part.value] = {**counts, "patients": patients, "outlined_by_chain": by_chain}
    return found


def section(report: Report) -> str:
    """The part of card.md about one network."""
    parts = [
        f"## The {report.plan.role}",
        _facts(report),
        "### Crops",
        _crops(report),
        *(["### Left out", _left_out(report.left_out)] if report.left_out else []),
        "### Scores",
        _scores(report),
        "### What differs from the study",
        table(("", "study", "here"), deviations(report.wanted)),
    ]
    return "\n\n".join(parts)


def _facts(report: Report) -> str:
    plan, schedule, progress = report.plan, report.wanted.schedule, report.trained.progress
    ended = f" {CLOCK}, and a second run need not give the same weights." if report.hurried else ""
    took = _count(round(progress.seconds / 60), "minute")
    return (
        f"{_network(plan)}, answers "
        f"{' or '.join(plan.answers)}; Adam {schedule.rate:g}, batches of {schedule.batch}, "
        f"cross-entropy, seed {schedule.seed}. Trained for {_count(progress.epoch, 'epoch')} in "
        f"{took} on {schedule.device}; the weights of epoch "
        f"{progress.best_epoch}, whose validation loss was lowest ({progress.best_loss:.3f}), are "
        f"kept.{ended} {_thresholds(report)}"
    )


def _network(plan: Plan) -> str:
    if plan.network == "volume":
        return "`Net3D` of `models/recipes/nets.py`, the network of Foreman et al. 2024"
    started = "from given weights" if plan.start else "untaught"
    taken = (
        f"three neighbouring sagittal slices at a time, as Li et al. have it ({SLICES['triplets']} "
        f"triplets, {SLICES['step_mm']:g} mm apart, of slices {SLICES['distance_mm']:g} mm apart; "
        f"the {SLICES['average']} of their answers holds)"
    )
    return (
        f"`ResNet50` of `models/recipes/nets.py`, {plan.width} channels wide and started "
        f"{started}, which sees {taken}"
    )


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _thresholds(report: Report) -> str:
    first, *others = report.thresholds
    if not others:
        return f"A vertebra is suspected from p(fractured) {first:g} on."
    told = f"Malignant from p(malignant) {first:g}, osteoporotic from p(osteoporotic) {others[0]:g}"
    if report.familiar is not None:
        return f"{told}, else uncertain: chosen on the validation part."
    source = {1: "", 2: "", 3: ", else uncertain: the thresholds of the authors' published code"}
    return f"{told}{source[report.plan.approach]}."


def _crops(report: Report) -> str:
    parts = crops_by_part(report)
    columns = list(dict.fromkeys(key for counts in parts.values() for key in counts))
    rows = [(part, *(counts.get(key, 0) for key in columns)) for part, counts in parts.items()]
    names = [column.replace("_", " ") for column in columns]
    return table(("part", *names), rows) + "\n\nNo patient is in two parts."


def _left_out(sentences: Sequence[str], most: int = 20) -> str:
    shown = [f"- {sentence}" for sentence in sentences[:most]]
    rest = len(sentences) - most
    return "\n".join([*shown, *([f"- and {rest} more"] if rest > 0 else [])])


def _scores(report: Report) -> str:
    if not report.scores:
        return "None: no part was kept for it."
    positive = report.plan.classes[1]
    rows = [(PARTS[part], *score_cells(found)) for part, found in report.scores.items()]
    text = [
        f"Positive is {positive}. 95 % intervals over patients. Shares are of the vertebrae that "
        "were told apart; the AUC is of all, by ranks. The study prints the balanced accuracy as "
        "AUC.",
        table(("part", "vertebrae", "told apart", *SHOWN.values()), rows),
    ]
    if folds := report.scores.get("cross_validation", {}).get("folds"):
        own = [(n, fold["best_epoch"], *score_cells(fold)) for n, fold in enumerate(folds, 1)]
        head = ("fold", "best epoch", "vertebrae", "told apart", *SHOWN.values())
        text.append(table(head, own))
    return "\n\n".join(text)


def score_cells(found: Mapping[str, Any]) -> list[str]:
    """Counts and figures of one part, as cells."""
    return [
        str(found["crops"]),
        str(found["told"]),
        *(estimate_cell(found[name]) for name in SHOWN),
    ]


def estimate_cell(found: Mapping[str, Any] | None) -> str:
    """0.91 (0.83-0.97), or the figure alone where no interval can be had."""
    if found is None:
        return "–"
    if found["low"] is None:
        return f"{found['value']:.2f}"
    return f"{found['value']:.2f} ({found['low']:.2f}–{found['high']:.2f})"


def table(head: Row, rows: Sequence[Row]) -> str:
    """A table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)
