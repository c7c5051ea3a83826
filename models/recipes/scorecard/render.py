"""The scorecard as Markdown: all of it for the model card, the goals alone for the README."""

from collections.abc import Callable
from typing import Any

from models.recipes.scorecard import classifier_part
from models.recipes.scorecard.goals import MISSED, Card, Row, goals, percent, share
from models.recipes.scorecard.table import table

COMMAND = "python -m models.recipes.scorecard"
BEGIN, END = "<!-- {}:begin -->", "<!-- {}:end -->"


def full(card: Card) -> str:
    """Every table; ends in a line feed."""
    sections = [
        f"### {title}\n\n{_age(card, part)}{write(card[part]) if part in card else 'Not measured.'}"
        for part, (title, write) in _SECTIONS.items()
    ]
    return "\n\n".join([_head(card), _goals(card), *sections, _machine(card)]) + "\n"


def short(card: Card) -> str:
    """The goals and where the rest stands."""
    missed = sum(goal.state == MISSED for goal in goals(card))
    head = (
        f"Scores of the shipped weights, as `{COMMAND}` wrote them on {card['machine']['date']}; "
        f"{_said(missed)}. All tables: [the model card](models/default/card.md#scores)."
    )
    return f"{head}\n\n{_goals(card)}\n"


def replaced(text: str, name: str, new: str) -> str:
    """`text` with `new` between the markers of `name`; ValueError where they are not."""
    begin, end = BEGIN.format(name), END.format(name)
    before, marked, rest = text.partition(begin)
    _, closed, after = rest.partition(end)
    if not (marked and closed):
        raise ValueError(f"no {begin} … {end} to write between")
    return f"{before}{begin}\n{new}{end}{after}"


def _said(missed: int) -> str:
    return {0: "no goal was missed", 1: "one goal was missed"}.get(
        missed, f"{missed} goals were missed"
    )


def _head(card: Card) -> str:
    made = card["set"]
    weights = ", ".join(f"{role} `{sha[:8]}`" for role, sha in made["sha256"].items())
    return (
        f"`{COMMAND} --write` wrote this on {card['machine']['date']} about the set "
        f"`{made['name']}` {made['version']} ({weights}).{_older(card)}"
    )


def _older(card: Card) -> str:
    titles = [title for part, (title, _) in _SECTIONS.items() if _age(card, part)]
    return f" Older, as it says there: {', '.join(titles)}." * bool(titles)


def _age(card: Card, part: str) -> str:
    """What has to be known of figures that were not scored anew with the rest; else nothing."""
    if (of := card.get("older", {}).get(part)) is None:
        return ""
    now = card["set"]["sha256"]
    since = [f"{role} (then `{sha[:8]}`)" for role, sha in of["sha256"].items() if sha != now[role]]
    changed = f" Changed since: {', '.join(since)}." if since else ""
    return f"*Scored on {of['date']}, not anew with the rest.{changed}*\n\n"


def _goals(card: Card) -> str:
    rows = [(g.figure, g.wanted, g.reached, g.state) for g in goals(card)]
    return table(("figure", "wanted", "reached", ""), rows)


_REAL_TEXT = """\
Centres were set by eye or taken from masks. "Left out of labeller": named by a labeller that was
trained anew without this CT and without any other of its patient; "segmenter" likewise. Locator
and finder are the shipped ones: they have seen the eight CTs of the first version, but no VerSe CT,
and not those with slices of 8 and 5 mm, the chest at 1.5 mm or the slab. Counted are vertebrae
wholly in view: found within 10 mm; of these, with the right level; identified as VerSe counts it
(the finding of that level lies within 20 mm and next to it). Invented: farther than 20 mm from
every vertebra, partly visible ones included. Suspected: of the vertebrae taken as intact, all but
those that experts graded. Not judged: found, but no word on a fracture.""".replace("\n", " ")


def _real(part: Any) -> str:
    head = (
        "CT", "scored by", "T1–L5 found", "C2–C7 found", "level right", "VerSe id.", "mean mm",
        "doubled", "invented", "suspected", "not judged", "s",
    )  # fmt: skip
    rows = [(f"`{r['name']}`", r["note"], *_real_cells(r)) for r in part["rows"]]
    rows.append(("**all**", "", *_real_cells(part["total"])))
    wrong = [f"- `{r['name']}`: {', '.join(r['errors'])}" for r in part["rows"] if r["errors"]]
    broken = [
        f"- `{r['name']}`: {', '.join(r['suspected_levels'])} suspected"
        for r in part["rows"]
        if r["suspected_levels"]
    ]
    return "\n\n".join(
        filter(
            None,
            (
                _REAL_TEXT,
                table(head, rows),
                "\n".join([*wrong, *broken, *_abstentions(part)]),
            ),
        )
    )


def _abstentions(part: Any) -> list[str]:
    """Of which CT which reasons kept vertebrae wholly in view from being judged."""
    return [
        f"- `{r['name']}`: not judged: "
        + ", ".join(f"{count} {reason}" for reason, count in r["not_judged"].items())
        for r in part["rows"]
        if r["not_judged"]
    ]


def _real_cells(row: Row) -> tuple[str, ...]:
    trunk, neck = row["trunk"], row["neck"]
    found, right = trunk["near"] + neck["near"], trunk["right"] + neck["right"]
    mean = share(trunk["distance_mm"], trunk["near_20"])
    return (
        _of(trunk["near"], trunk["whole"]),
        _of(neck["near"], neck["whole"]),
        _of(right, found),
        _of(trunk["identified"] + neck["identified"], trunk["whole"] + neck["whole"]),
        _number(mean, 1),
        str(trunk["doubled"]),
        str(trunk["invented"]),
        _of(row["intact_suspected"], row["intact_judged"]),
        _of(trunk["near_20"] - trunk["judged"], trunk["near_20"]),
        f"{row['seconds']:.1f}",
    )


def _names(part: Any) -> str:
    head = (
        "CT", "scored by", "whole scan", "certainty", "cuts: right", "or alternative",
        "certainty", "two cuts agree", "whole chain on cuts: right", "or alternative",
    )  # fmt: skip
    rows = [(f"`{r['name']}`", r["note"], *_name_cells(r)) for r in part["rows"]]
    bins = [
        (f"{b['said']:.2f}", f"{b['right']:.2f}", str(b["count"])) for b in part["total"]["bins"]
    ]
    return "\n\n".join(
        (
            "The same CTs, cut at random along z and, every other time, sideways down to the "
            "spine; each cut with two known vertebrae or more. Bodies are found once in the whole "
            "scan and named from what a cut shows; in the last columns the whole chain, as far as "
            "the names, runs on each cut as if it were a scan. Counted are known vertebrae, not "
            "cut by the end. Right: of that level; or alternative: right, or reported as one.",
            table(head, rows),
            "The stated certainty (`label_probability`) on the cuts, and what share was right. No "
            "labeller had seen the CT, but the three numbers that say what a look counts for were "
            "fitted on other cuts of these same CTs: `python -m models.recipes naming` prints the "
            "error where each study is named by the numbers of the others.",
            table(("said", "right", "vertebrae"), bins),
            "![What was said against what was so](../../docs/names.svg)",
        )
    )


def _name_cells(row: Row) -> tuple[str, ...]:
    scan, cuts, chain = row["scan"], row["cuts"], row["chain"]
    shared = row["agreement"]
    return (
        _of(scan["right"], scan["vertebrae"]),
        _number(scan["mean_probability"], 2),
        percent(cuts["right"], cuts["vertebrae"]),
        percent(cuts["named"], cuts["vertebrae"]),
        _number(cuts["mean_probability"], 2),
        percent(shared["same"], shared["shared"]),
        percent(chain["right"], chain["vertebrae"]),
        percent(chain["named"], chain["vertebrae"]),
    )


def _masks(part: Any) -> str:
    head = (
        "CT",
        "scored by",
        "vertebra",
        "called",
        "Dice",
        "mean distance mm",
        "95 % Hausdorff mm",
    )
    rows = [
        (
            f"`{of['name']}`", of["note"], r["level"], r["called"] or "missed",
            f"{r['dice']:.3f}", _number(r["mean_mm"], 2), _number(r["hausdorff95_mm"], 1),
        )
        for of in part.values()
        for r in of["rows"]
    ]  # fmt: skip
    return "\n\n".join(
        (
            "On the reference's own grid. The crop by the segmenter alone, told where the bodies' "
            "centres are; the others by the whole chain, vertebrae wholly in view.",
            table(head, rows),
        )
    )


def _phantoms(part: Any) -> str:
    head = (
        "phantoms", "scans", "found", "level right", "doubled", "invented", "Dice",
        "height error mm", "grade 2–3 suspected", "intact suspected", "s each",
    )  # fmt: skip
    rows = [(r["title"], str(r["scans"]), *_phantom_cells(r)) for r in part["rows"]]
    return "\n\n".join(
        (
            "Synthetic, as everything that the networks know of fractures. T1 to L5, wholly in "
            "view; places, outlines, heights and losses are known. Grade 2–3: a quarter of a "
            "height or more is lost; one that was missed or not judged counts as not suspected.",
            table(head, rows),
        )
    )


def _phantom_cells(row: Row) -> tuple[str, ...]:
    counts = row["counts"]
    return (
        percent(counts["near"], counts["whole"]),
        _of(counts["right"], counts["near"]),
        str(counts["doubled"]),
        str(counts["invented"]),
        _number(share(row["dice"], row["dice_of"]), 3),
        _number(share(row["height_mm"], row["heights"]), 2),
        _of(row["broken_suspected"], row["broken"]) if row["broken"] else "–",
        _of(row["intact_suspected"], row["intact_judged"]),
        _number(share(row["seconds"], row["scans"]), 1),
    )


def _machine(card: Card) -> str:
    m = card["machine"]
    versions = ", ".join(f"{name} {number}" for name, number in m["versions"].items())
    return (
        f"Seconds are those of {m['cores']} cores of {m['cpu']}: {m['backend']} in "
        f"{m['precision']}, Python {m['python']}, {versions}. Real CT: reading included. "
        f"The set's files are {card['set']['megabytes']:.1f} MB."
    )


def _of(part: int, whole: int) -> str:
    return f"{part} of {whole}" if whole else "–"


def _number(value: float | None, digits: int) -> str:
    return "–" if value is None else f"{value:.{digits}f}"


_SECTIONS: dict[str, tuple[str, Callable[[Any], str]]] = {
    "real": ("Real CT", _real),
    "names": ("Names under random cuts", _names),
    "masks": ("Outlines on real CT", _masks),
    "phantoms": ("Phantoms that no training has seen", _phantoms),
    "classifier": ("The classifier", classifier_part.render),
}
