"""`report.html`: one self-contained page, verdict first, that also prints on white A4."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from vfx_edge.files import write_text
from vfx_edge.outputs.kinds import Request
from vfx_edge.outputs.report import heat
from vfx_edge.outputs.report.drawing import template
from vfx_edge.outputs.report.facts import limits, run_facts, series_facts, timings
from vfx_edge.outputs.report.parts import parts_words
from vfx_edge.outputs.report.pictures import Picture, pictures_of
from vfx_edge.outputs.report.signs import SignRow, sign_rows
from vfx_edge.outputs.verdict import (
    banner,
    label_doubt,
    missing,
    name_of,
    no_suspicion,
    place,
    recommendation,
    remarks,
    rest,
    unassessed,
    verdict_of,
)
from vfx_edge.outputs.vertebra_status import (
    Status,
    is_card,
    only_on_request,
    status_of,
    status_reason,
    suspected_by,
    to_look_at,
    verdict_sign,
)
from vfx_edge.outputs.wording import Wording
from vfx_edge.study import (
    Analysis,
    Calibration,
    Classified,
    Finding,
    Heights,
    Level,
    NotClassified,
    StudyResult,
    Tier,
)
from vfx_edge.vocabulary import Reason

# Both views side by side: as large as the screen's height and a column of cards allow.
_TALLEST_PX, _NARROWEST_PX, _WIDEST_PX = 1000, 440, 620
_AROUND_VIEWS_PX = 110
_BELOW_VERDICT_MM, _WHOLE_PAGE_MM, _LONG_SPINE_MM = 165, 235, 700
_DASH = "–"
_TEMPLATE = "report.html.j2"
_USUAL = [level for level in Level if Level.T1 <= level <= Level.L5 and level is not Level.T13]


@dataclass(frozen=True)
class Cell:
    """One level of the strip."""

    level: str
    status: Status
    words: str
    marked: bool
    doubtful: bool
    overruled: bool
    """Height or detector spoke for a fracture, and the classifier sees none."""
    href: str | None


@dataclass(frozen=True)
class HeightRow:
    """Heights of one level in words: anterior, middle, posterior."""

    level: str
    cells: tuple[str, str, str]
    own: bool


@dataclass(frozen=True)
class Bar:
    """A probability against its threshold, 0..1."""

    name: str
    value: float
    threshold: float | None
    status: Status


@dataclass(frozen=True)
class Card:
    """A suspected vertebra. name: the level, with those that it could be as well."""

    level: str
    name: str
    status: Status
    words: str
    measure: str
    label_doubt: str | None
    pictures: tuple[Picture, ...]
    alts: dict[str, str]
    heights: tuple[HeightRow, ...]
    bars: tuple[Bar, ...]
    possible: str | None
    parts: str | None
    map: heat.Shown | None
    signs: tuple[SignRow, ...] = ()


@dataclass(frozen=True)
class Row:
    """A line of the table. name: the level, with those that it could be as well."""

    level: str
    name: str
    status: Status
    marked: bool
    cells: tuple[str, str, str]
    loss: str
    genant: str
    words: str
    label: str


def prepare() -> None:
    """Compiles the templates, which takes longer than filling them in."""
    template(_TEMPLATE)


def write(request: Request) -> tuple[Path, ...]:
    """The kind `html`."""
    path = request.folder / "report.html"
    return (write_report(request.analysis, path, request.language),)


def write_report(analysis: Analysis, path: Path, language: str = "en") -> Path:
    """Writes the page; OutputError when the place can't be written or the language is unknown."""
    return write_text(path, render_report(analysis, language))


def render_report(analysis: Analysis, language: str = "en") -> str:
    """The page's HTML."""
    t = Wording(language)
    result = analysis.result
    spine = pictures_of(analysis).spine
    shown = cards(analysis, t)
    strip = _strip(result, t)
    views_px, views_tall_px = _views_px(spine)
    words = {
        "sign": verdict_sign(result),
        "verdict": t(f"verdict.{result.triage.tier}"),
        "driving": place(verdict_of(result), t),
        "recommendation": recommendation(result, t),
        "gap": missing(result, t),
        "rest": rest(result, t),
        "no_suspicion": no_suspicion(result, t),
        "banner": banner(result.run.intended_use, t),
        "limits": limits(result, t),
        "series_facts": series_facts(result.series, t),
        "run_facts": run_facts(result.run, t),
        "timings": timings(result.run, t),
        "spine_alt": {p.name: _spine_alt(p, result, t) for p in spine},
    }
    return template(_TEMPLATE).render(
        t=t,
        n=t.number,
        r=result,
        strip=strip,
        legend=_legend(strip),
        spine=spine,
        views_px=views_px,
        views_tall_px=views_tall_px,
        views_print_mm=_views_print_mm(spine),
        has_masks=bool(analysis.masks),
        cards=shown,
        of_maps=heat.limits(analysis.explanations, t),
        strongest=heat.STRONGEST,
        rulers_shown=any(p.rulers for c in shown for p in c.pictures),
        unassessed=unassessed(result, t),
        rows=[_row(finding, result, t) for finding in result.findings],
        remarks=remarks(result),
        **words,
    )


def _views_px(spine: Sequence[Picture]) -> tuple[int, int]:
    """Width and height of the column: level names readable, the spine on one screen if it can."""
    wide = sum(p.width_mm for p in spine)
    tall = max(p.height_mm for p in spine)
    width = round(min(max(wide * _TALLEST_PX / tall, _NARROWEST_PX), _WIDEST_PX))
    return width, round(tall * width / wide) + _AROUND_VIEWS_PX


def _views_print_mm(spine: Sequence[Picture]) -> int:
    """On paper below the verdict; a spine too long for that gets a page of its own."""
    wide = sum(p.width_mm for p in spine)
    tall = max(p.height_mm for p in spine)
    room = _BELOW_VERDICT_MM if tall <= _LONG_SPINE_MM else _WHOLE_PAGE_MM
    return round(wide * room / tall)


def _words(finding: Finding, t: Wording) -> str:
    reason = status_reason(finding)
    words = t(f"status.{status_of(finding)}")
    return words if reason is None else f"{words}: {t.reason(reason)}"


def _strip(result: StudyResult, t: Wording) -> list[Cell]:
    found = {f.vertebra.level: f for f in result.findings}
    return [_cell(level, found.get(level), result, t) for level in sorted({*_USUAL, *found})]


def _cell(level: Level, finding: Finding | None, result: StudyResult, t: Wording) -> Cell:
    if finding is None:
        words = f"{level}: {t('status.not_found')}"
        return Cell(level.value, Status.NOT_FOUND, words, False, False, False, href=None)
    marked = is_card(finding, result.triage)
    doubt = label_doubt(finding, t)
    words = f"{name_of(finding.vertebra, t)}: {_words(finding, t)}"
    return Cell(
        level=level.value,
        status=status_of(finding),
        words=words + (f". {doubt}" if doubt else ""),
        marked=marked,
        doubtful=doubt is not None,
        overruled=finding.overruled,
        href=f"{'card' if marked else 'row'}-{level}",
    )


def _legend(strip: Sequence[Cell]) -> list[Status]:
    return sorted({cell.status for cell in strip}, key=lambda status: status.urgency)


def cards(analysis: Analysis, t: Wording) -> list[Card]:
    """The vertebrae to look at, the most urgent first."""
    return [_card(analysis, finding, t) for finding in to_look_at(analysis.result)]


def _card(analysis: Analysis, finding: Finding, t: Wording) -> Card:
    level = finding.vertebra.level
    pictures = pictures_of(analysis).crops[level]
    return Card(
        level=level.value,
        name=name_of(finding.vertebra, t),
        status=status_of(finding),
        words=_words(finding, t),
        measure=_measure(finding, analysis.result.run.thresholds, t),
        possible=_possible(finding, analysis.result.run.calibration, t),
        parts=parts_words(finding, t),
        label_doubt=label_doubt(finding, t),
        pictures=pictures,
        alts={p.name: t("view.crop_alt", view=t(f"view.{p.name}"), level=level) for p in pictures},
        heights=_height_rows(analysis.result.findings, finding, t),
        bars=_bars(finding, analysis.result.run.thresholds, t),
        signs=sign_rows(finding, t),
        map=heat.shown(analysis, finding, t),
    )


def _measure(finding: Finding, thresholds: dict[str, float], t: Wording) -> str:
    """What was measured, what the network for fractures says, and by which of both one is
    suspected."""
    measured = finding.measurement
    parts = [] if measured.height_loss is None else [_loss(measured.height_loss, t)]
    if (grade := measured.grade_words) is not None:
        parts.append(t("card.genant", grade=grade))
    if measured.reason is not None or not parts:
        parts.append(_unmeasured(finding, t))
    if measured.detection is not None:
        said, limit = measured.detection.p_fractured, thresholds["detector"]
        parts.append(t("card.detector", value=t.number(said, 2), threshold=t.number(limit, 2)))
    if by := suspected_by(finding):
        parts.append(t(f"suspicion.{by}"))
    if only_on_request(finding):
        parts.append(t("suspicion.request"))
    return " · ".join(parts)


def _loss(loss: float, t: Wording) -> str:
    return t("card.loss", loss=t.percent(loss))


def _unmeasured(finding: Finding, t: Wording) -> str:
    measured = finding.measurement
    key = "card.unmeasured" if measured.height_loss is None else "card.doubted"
    return t(key, reason=t.reason(measured.reason or Reason.LOW_CONFIDENCE))


def _possible(finding: Finding, made: Calibration | None, t: Wording) -> str | None:
    """The causes that a calibration with limits does not rule out; None without such."""
    match finding.assessment:
        case Classified(possible=tuple(causes)) if made is not None and made.coverage is not None:
            named = ", ".join(t(f"card.p_{cause}") for cause in causes)
            key = "card.possible" if causes else "card.impossible"
            return t(key, coverage=t.percent(made.coverage), causes=named)
        case _:
            return None


def _height_rows(
    findings: Sequence[Finding], finding: Finding, t: Wording
) -> tuple[HeightRow, ...]:
    """The vertebra between its neighbours, as far as they were found."""
    here = findings.index(finding)
    rows = findings[max(here - 1, 0) : here + 2]
    return tuple(
        HeightRow(f.vertebra.level.value, _heights(f.measurement.heights, t), f is finding)
        for f in rows
    )


def _heights(heights: Heights | None, t: Wording) -> tuple[str, str, str]:
    if heights is None:
        return (_DASH, _DASH, _DASH)
    return (
        t.number(heights.anterior_mm),
        t.number(heights.middle_mm),
        t.number(heights.posterior_mm),
    )


def _bars(finding: Finding, thresholds: dict[str, float], t: Wording) -> tuple[Bar, ...]:
    match finding.assessment:
        case Classified(p_osteoporotic=p_osteoporotic, p_malignant=p_malignant):
            return (
                _bar(Tier.MALIGNANT, p_malignant, thresholds, t),
                _bar(Tier.OSTEOPOROTIC, p_osteoporotic, thresholds, t),
            )
        case _:
            return ()


def _bar(tier: Tier, value: float, thresholds: dict[str, float], t: Wording) -> Bar:
    return Bar(t(f"card.p_{tier}"), value, thresholds.get(tier.value), Status(tier.value))


def _row(finding: Finding, result: StudyResult, t: Wording) -> Row:
    measured, status = finding.measurement, status_of(finding)
    # Why a level can't be assessed stands right above the table, once for all that share it.
    words = t(f"status.{status}") if status is Status.NOT_ASSESSABLE else _words(finding, t)
    told = isinstance(finding.assessment, Classified)
    more = [_unmeasured(finding, t)] if told and measured.reason is not None else []
    match finding.assessment:
        case NotClassified(p_intact=float(p_intact)):
            more.append(t("card.p_intact", value=t.number(p_intact, 2)))
    if by := suspected_by(finding):
        more.append(t(f"suspicion.{by}"))
    if only_on_request(finding):
        more.append(t("suspicion.request"))
    words += f" ({'; '.join(more)})" if more else ""
    return Row(
        level=finding.vertebra.level.value,
        name=name_of(finding.vertebra, t),
        status=status,
        marked=is_card(finding, result.triage),
        cells=_heights(measured.heights, t),
        loss=_DASH if measured.height_loss is None else t.percent(measured.height_loss),
        genant=measured.grade_words or _DASH,
        words=words,
        label=t.percent(finding.vertebra.label_probability),
    )


def _spine_alt(picture: Picture, result: StudyResult, t: Wording) -> str:
    levels = [f.vertebra.level for f in result.findings]
    named = f"{levels[0]}–{levels[-1]}" if levels else t("view.no_levels")
    return t("view.spine_alt", view=t(f"view.{picture.name}"), levels=named)
