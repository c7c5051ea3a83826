"""What was chosen, in words and tables: the card of the new set, and what the terminal shows."""

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

from vfx_edge.evaluation.intervals import Estimate
from vfx_edge.manifest import CalibrationSpec, ModelManifest
from vfx_edge.tuning.choice import Choice, Expected, Step
from vfx_edge.tuning.reading import Evaluation

HEADINGS = (
    "uncertain up to",
    "malignant from",
    "osteoporotic from",
    "sensitivity",
    "specificity",
    "uncertain",
)
HELD_OUT = (
    "Sensitivity, specificity and share uncertain are what new patients may be expected to get: "
    "each was left out while the cuts were chosen that it is counted by. Sensitivity and "
    "specificity are of those told apart; positive is malignant."
)


def curve_rows(choice: Choice, *, intervals: bool = True) -> list[tuple[str, ...]]:
    """The curve to choose from, a row a share uncertain that changes the cuts, in the order of
    HEADINGS; the row of what was chosen is the last, and its first cell says so."""
    of_share = [(f"{step.share:.0%}", _row(step, intervals)) for step in choice.curve]
    steps = [next(same) for _, same in groupby(of_share, key=lambda named: named[1])]
    chosen = _row(Step(0.0, choice.point, choice.expected), intervals)
    return [(name, *row) for name, row in (*steps, ("chosen", chosen))]


def _row(step: Step, intervals: bool) -> tuple[str, ...]:
    found = step.expected
    low, high = step.point.low, step.point.high
    shares = (found.sensitivity, found.specificity, found.uncertain) if found else (None,) * 3
    words = (with_counts(share, interval=intervals) for share in shares)
    return (f"{high:.3f}", f"{1 - low:.3f}", *words)


def with_counts(share: Estimate | None, *, interval: bool = True) -> str:
    """ "95 % (57/60; 86–98)": its 95 % interval behind the counts."""
    if share is None:
        return "–"
    known = interval and share.low is not None and share.high is not None
    ends = f"; {100 * (share.low or 0):.0f}–{100 * (share.high or 0):.0f}" if known else ""
    return f"{100 * share.value:.0f} % ({share.count}/{share.of}{ends})"


def chosen_lines(choice: Choice) -> list[str]:
    """What was chosen: sentences."""
    malignant, osteoporotic = choice.thresholds
    lines = [f"Wanted: {choice.wanted}."]
    if choice.temperature != 1:
        way = "less" if choice.temperature > 1 else "more"
        lines.append(
            f"Temperature {choice.temperature:.3g}: the stated probabilities become {way} sure."
        )
    lines.append(
        f"Malignant from p(malignant) {malignant:.4g}, else osteoporotic; nobody stays uncertain."
        if choice.point.low == choice.point.high
        else f"Malignant from p(malignant) {malignant:.4g}, osteoporotic from p(osteoporotic) "
        f"{osteoporotic:.4g}, else uncertain."
    )
    if choice.expected:
        lines.append(_expectation(choice.expected))
    else:
        lines.append(
            "What new patients may be expected to get can't be said: one of the classes has one "
            "patient only."
        )
    return [*lines, *_sets(choice), *choice.remarks]


def _expectation(expected: Expected) -> str:
    return (
        f"Expected of new patients: sensitivity {with_counts(expected.sensitivity)}, specificity "
        f"{with_counts(expected.specificity)} of those told apart; uncertain "
        f"{with_counts(expected.uncertain)}."
    )


def _sets(choice: Choice) -> list[str]:
    coverage, (osteoporotic, malignant) = choice.asked.coverage, choice.limits
    if coverage is None:
        return []
    limits = [
        f"{name} from {limit:.4g}"
        for name, limit in (("osteoporotic", osteoporotic), ("malignant", malignant))
        if limit is not None
    ]
    return [
        f"Conformal sets of coverage {coverage:g}: a cause is possible from its limit on "
        f"({', '.join(limits) or 'no limit could be set'}); of new fractures of each class at "
        f"least this share has its true cause in the set, averaged over calibrations."
    ]


def card_text(
    source: ModelManifest,
    evaluation: Evaluation,
    choice: Choice,
    calibration: CalibrationSpec,
    head: Mapping[str, Any],
) -> str:
    """card.md of the new set; the source's own card follows."""
    parts = [
        f"# {head['name']} {head['version']}",
        f"The networks of {source.name} {source.version}, unchanged, with the thresholds of one "
        f"place's own labelled fractures. Calibration {calibration.name}, made {calibration.made} "
        "by `vfx-edge calibrate`.",
        "## Chosen on",
        based_on(source, evaluation),
        "## Chosen",
        "\n".join(f"- {line}" for line in chosen_lines(choice)),
        "## The curve it was chosen from",
        _table(HEADINGS, curve_rows(choice)),
        HELD_OUT + " It holds for fractures like these, of scanners and readers like these.",
    ]
    text = "\n\n".join(parts) + "\n"
    if source.card.is_file():
        text += f"\n---\n\n{source.card.read_text(encoding='utf-8', errors='replace').strip()}\n"
    return text


def based_on(source: ModelManifest, evaluation: Evaluation) -> str:
    """On which fractures the calibration rests, and whose answers they were: sentences."""
    cases = evaluation.cases
    splits = ", ".join(split or "no split" for split in cases.splits)
    head = (
        f"{len(cases)} fractures of {cases.patient_count} patients, "
        f"{int(cases.malignant.sum())} of them malignant; {splits}."
    )
    if evaluation.model.digest:
        return f"{head} Answers of the set with the digest {source.digest}."
    return (
        f"{head} Answers that were read from results or a table: that they are of the set with the "
        f"digest {source.digest} is the word of the one who called the command."
    )


def _table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [headings, ["---"] * len(headings), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
