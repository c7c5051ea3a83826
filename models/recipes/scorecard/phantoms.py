"""Held-out synthetic spines: places, levels, outlines, heights and suspicions against the truth."""

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from models.recipes.scorecard import composites
from models.recipes.scorecard.chain import analysed, opened
from models.recipes.scorecard.real import Row, Say
from models.recipes.scorecard.specs import CONDITIONS, specs
from models.recipes.scorecard.synthetic import Synthetic, from_phantom
from vfx_edge.backends import OpenModels
from vfx_edge.evaluation.matching import Counts, Place, compare, findings_of, total
from vfx_edge.evaluation.overlap import label_dice
from vfx_edge.outputs.labels import label_map
from vfx_edge.phantom import LevelTruth, make_phantom
from vfx_edge.spine.height_loss import GENANT_FROM
from vfx_edge.study import Analysis, Level

GRADE_2_LOSS = GENANT_FROM[1]
COMPOSITES = 2  # for each phantom of a condition
COMPOSITE_TITLE = "real vertebra shapes, synthetic bodies"


@dataclass(frozen=True)
class Tally:
    """Sums over the vertebrae of some synthetic scans, T1 to L6 and wholly in view.

    dice: summed, over `dice_of`. height_mm: absolute errors summed, over `heights`. broken: those
    that lost a quarter of their height or more; broken_suspected: of these. intact_judged,
    intact_suspected: findings of vertebrae that have nothing, and of nothing at all.
    """

    counts: Counts = field(default_factory=Counts)
    dice: float = 0.0
    dice_of: int = 0
    height_mm: float = 0.0
    heights: int = 0
    broken: int = 0
    broken_suspected: int = 0
    intact_judged: int = 0
    intact_suspected: int = 0
    seconds: float = 0.0


def score_phantoms(
    model: Path, shapes: Path, phantoms: int, backend: str, say: Say
) -> dict[str, Any]:
    """{"rows": one for each condition}; each scan is made, scored and let go.

    shapes: folder of masks for composites, which are left out where it is not there.
    """
    rows = []
    with opened(model, backend) as models:
        for condition in CONDITIONS:
            made = (from_phantom(make_phantom(spec)) for spec in specs(condition, phantoms))
            rows.append({"key": condition.key, "title": condition.title,
                         "judged": condition.judged, **_row(made, models)})  # fmt: skip
            say(f"phantoms: {condition.title}: {_line(rows[-1])}")
        if shapes.is_dir():
            row = _row(composites.drawn(shapes, phantoms * COMPOSITES), models)
            rows.append({"key": "composites", "title": COMPOSITE_TITLE, "judged": False, **row})
            say(f"phantoms: {COMPOSITE_TITLE}: {_line(rows[-1])}")
    return {"rows": rows}


def _row(made: Iterable[Synthetic], models: OpenModels) -> Row:
    tallies, errors = [], []
    for scan in made:
        analysis, seconds = analysed(scan.scan, models)
        tally, wrong = tallied(scan, analysis, seconds)
        tallies.append(tally)
        errors.append(list(wrong))
    return {"scans": len(tallies), **asdict(summed(tallies)), "errors": errors}


def summed(tallies: Iterable[Tally]) -> Tally:
    """Field by field."""
    every = list(tallies)
    sums = {
        f.name: sum(getattr(t, f.name) for t in every) for f in fields(Tally) if f.name != "counts"
    }
    return Tally(total(t.counts for t in every), **sums)


def tallied(
    scan: Synthetic, analysis: Analysis | None, seconds: float
) -> tuple[Tally, tuple[str, ...]]:
    """One scan's sums, and what went wrong in it."""
    findings = findings_of(analysis) if analysis else []
    compared = compare(findings, scan.places)
    pairs = {n: i for n, i in compared.finding_of.items() if _counts(n, scan.places[n])}
    overlaps = _overlaps(scan, analysis, pairs) if analysis else []
    errors = list(_height_errors(scan, analysis, pairs)) if analysis else []
    broken = [n for n, t in scan.truths.items() if _broken(t) and _counts(n, scan.places[n])]
    ill = {n for n, t in scan.truths.items() if t.fracture or t.lesions}
    of_ill = {i for n, i in compared.finding_of.items() if n in ill}
    intact = [f for i, f in enumerate(findings) if scan.truths and i not in of_ill]
    tally = Tally(
        compared.counts,
        sum(overlaps), len(overlaps),
        sum(errors), len(errors),
        len(broken), sum(bool(findings[pairs[n]].suspected) for n in broken if n in pairs),
        sum(f.suspected is not None for f in intact), sum(bool(f.suspected) for f in intact),
        seconds,
    )  # fmt: skip
    return tally, compared.errors


def _counts(name: str, place: Place) -> bool:
    return name[0] in "TL" and place.whole


def _broken(truth: LevelTruth) -> bool:
    return truth.fracture is not None and max(truth.loss) >= GRADE_2_LOSS


def _overlaps(scan: Synthetic, analysis: Analysis, pairs: dict[str, int]) -> list[float]:
    """Dice of each vertebra that has a finding in its place, whatever that is called."""
    called = [(analysis.masks[i].vertebra.level.verse, Level(n).verse) for n, i in pairs.items()]
    return label_dice(label_map(scan.scan.image, analysis.masks), scan.labels, called)


def _height_errors(scan: Synthetic, analysis: Analysis, pairs: dict[str, int]) -> Iterator[float]:
    """|measured - true| of anterior, middle and posterior height, mm, where there are both."""
    for name in (n for n in pairs if n in scan.truths):
        heights = analysis.result.findings[pairs[name]].measurement.heights
        if heights is None:
            continue
        read = (heights.anterior_mm, heights.middle_mm, heights.posterior_mm)
        for mine, true in zip(read, scan.truths[name].heights_mm, strict=True):
            yield abs(mine - true)


def _line(row: Row) -> str:
    c = Counts(**row["counts"])
    return f"{c.near} of {c.whole} found, {c.right} right, {row['seconds']:.0f} s"
