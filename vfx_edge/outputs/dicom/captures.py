"""Pages of pictures for an archive: the whole spine with the verdict, then each suspected vertebra.

Whoever opens the series sees one image with all that matters, on a viewer that knows only pixels.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from vfx_edge.outputs.dicom.raster import font, paint, sign, wrapped, writable
from vfx_edge.outputs.report.colours import AMBER, INK, MARK, OF_STATUS, PAPER, SOFT
from vfx_edge.outputs.report.page import Card, cards
from vfx_edge.outputs.report.pictures import Picture, pictures_of
from vfx_edge.outputs.verdict import (
    missing,
    no_suspicion,
    recommendation,
    rest,
    unassessed,
    verdict_of,
    where,
)
from vfx_edge.outputs.vertebra_status import Status, verdict_sign
from vfx_edge.outputs.wording import Wording
from vfx_edge.study import Analysis, RunInfo, StudyResult, Tier

_GAP, _PANEL, _CROP = 20, 440, 420
_SPINE_TALL, _LEAST_SCALE, _LARGEST_SCALE = 1000, 1.2, 3.0
"""Pixels; pixels per mm: names stay readable on a whole spine, and a short one does not swell."""
_HUGE, _LARGE, _PLAIN, _SMALL = 34, 25, 20, 16


@dataclass(frozen=True, eq=False)
class Capture:
    """name: a short word for the file. pixels: (rows, columns, 3) RGB."""

    name: str
    pixels: NDArray[np.uint8]


def captures(analysis: Analysis, language: str) -> list[Capture]:
    """The overview first, then the vertebrae to look at, the most urgent first."""
    t = Wording(language)
    shown = cards(analysis, t)
    pages = [("overview", _overview(analysis, shown, t))]
    pages += [(card.level, _vertebra(card, analysis.result.run, t)) for card in shown]
    return [Capture(name, np.asarray(page, dtype=np.uint8)) for name, page in pages]


def notice(intended_use: str, t: Wording) -> str:
    """What must be read before anything else on every picture."""
    return t.known("notice", intended_use) or t("notice.other", use=intended_use)


class _Page:
    """A black page that is written from top to bottom and cut to what was written."""

    def __init__(self, width: int, words: str) -> None:
        self._image = Image.new("RGB", (width, 6000))
        self._draw = ImageDraw.Draw(self._image)
        self._words = words
        self.width = width
        self.y = self._banner(0) + _GAP

    def text(
        self,
        words: str,
        size: int,
        colour: str = INK,
        left: int = _GAP,
        right: int | None = None,
    ) -> None:
        """Words in as many lines as they need between `left` and `right`."""
        letters = font(size)
        for line in wrapped(words, letters, (right or self.width - _GAP) - left):
            self._draw.text((left, self.y), line, colour, letters)
            self.y += round(size * 1.35)

    def sign(self, status: str, size: int, left: int) -> None:
        """A status' sign beside the line that comes next."""
        drawn = sign(status, size, OF_STATUS[status], PAPER)
        self._image.paste(drawn, (left, self.y), drawn)

    def paste(self, image: Image.Image, left: int, top: int) -> None:
        """An image; the page goes on where it was."""
        self._image.paste(image, (left, top))

    def finished(self, run: RunInfo, t: Wording) -> Image.Image:
        """Who made it, and the words from the top again: a picture may be cut or scrolled."""
        when = datetime.fromisoformat(run.started_at).astimezone().strftime("%Y-%m-%d %H:%M")
        self.y += _GAP
        made = t("capture.made", version=run.version, model_set=run.model_set, when=when)
        self.text(made, _SMALL, SOFT)
        return self._image.crop((0, 0, self.width, self._banner(self.y + _GAP // 2)))

    def _banner(self, top: int) -> int:
        bottom = top + round(_LARGE * 1.8)
        self._draw.rectangle((0, top, self.width, bottom), fill=AMBER)
        middle = (self.width / 2, (top + bottom) / 2)
        size = next(n for n in range(_LARGE, 0, -1) if self._fits(n))
        self._draw.text(middle, writable(self._words), PAPER, font(size), "mm")
        return bottom

    def _fits(self, size: int) -> bool:
        return size == 1 or font(size).getlength(writable(self._words)) <= self.width - 2 * _GAP


def _overview(analysis: Analysis, shown: Sequence[Card], t: Wording) -> Image.Image:
    """Verdict, both views along the spine, and the list of what was found."""
    result = analysis.result
    views = pictures_of(analysis).spine
    tallest = max(view.height_mm for view in views)
    scale = min(max(_SPINE_TALL / tallest, _LEAST_SCALE), _LARGEST_SCALE)
    images = [paint(view, scale) for view in views]
    width = sum(image.width + _GAP for image in images) + 2 * _GAP + _PANEL
    page = _Page(width, notice(result.run.intended_use, t))
    _verdict(page, result, t)
    page.y += _GAP
    top, left = page.y, _GAP
    for image, caption in zip(images, _captions(views, t), strict=True):
        page.y = top
        page.text(caption, _SMALL, SOFT, left, left + image.width)
        page.paste(image, left, top + round(_SMALL * 1.35))
        left += image.width + _GAP
    bottom = top + round(_SMALL * 1.35) + max(image.height for image in images)
    page.y = top
    _findings(page, result, shown, left, t)
    page.y = max(page.y, bottom + _GAP // 2)
    page.text(f"{t('capture.curved')}. {_series(result, t)}", _SMALL, SOFT)
    return page.finished(result.run, t)


def _captions(views: Sequence[Picture], t: Wording) -> Iterator[str]:
    return (t(f"view.{view.name}") for view in views)


def _verdict(page: _Page, result: StudyResult, t: Wording) -> None:
    tier = result.triage.tier
    status = verdict_sign(result)
    page.sign(status, _HUGE, _GAP)
    title = t(f"verdict.{tier}") + where(verdict_of(result), t)
    page.text(title, _HUGE, OF_STATUS[status], _GAP + round(_HUGE * 1.4))
    if words := missing(result, t):
        page.text(words, _LARGE)
    more = "" if tier is Tier.NOT_ASSESSABLE else rest(result, t)
    for words in (recommendation(result, t), more):
        if words:
            page.text(words, _PLAIN)


def _findings(
    page: _Page, result: StudyResult, shown: Sequence[Card], left: int, t: Wording
) -> None:
    """Beside the views: the vertebrae to look at, and those that can't be assessed."""
    for card in shown:
        page.sign(card.status, _LARGE, left)
        page.text(card.name, _LARGE, OF_STATUS[card.status], left + round(_LARGE * 1.5))
        for line in (card.words, card.measure, card.label_doubt):
            if line:
                page.text(line, _PLAIN, INK, left)
        page.y += _GAP
    if not shown and (words := no_suspicion(result, t)):
        page.text(words, _PLAIN, INK, left)
        page.y += _GAP
    groups = unassessed(result, t)
    if groups:
        page.text(t("page.unassessed"), _PLAIN, OF_STATUS[Status.NOT_ASSESSABLE], left)
    for group in groups:
        page.text(f"{group.levels}: {group.reason}", _SMALL, SOFT, left)


def _series(result: StudyResult, t: Wording) -> str:
    series = result.series
    name = series.description or t("page.untitled")
    apart = t.number(series.spacing_mm[2], 2)
    return f"{name}, {t('page.slices', count=series.slices, apart=apart)}"


def _vertebra(card: Card, run: RunInfo, t: Wording) -> Image.Image:
    """One vertebra in three planes, its heights and the model's probabilities."""
    page = _Page(len(card.pictures) * (_CROP + _GAP) + _GAP, notice(run.intended_use, t))
    page.sign(card.status, _HUGE, _GAP)
    title = f"{card.name}: {card.words}"
    page.text(title, _HUGE, OF_STATUS[card.status], _GAP + round(_HUGE * 1.4))
    page.text(card.measure, _PLAIN)
    if heights := _heights(card, t):
        page.text(heights, _PLAIN)
    if card.label_doubt:
        page.text(card.label_doubt, _PLAIN, MARK)
    if card.bars:
        words = "; ".join(_probability(bar.name, bar.value, bar.threshold, t) for bar in card.bars)
        page.text(f"{t('card.probabilities')}: {words}", _PLAIN)
    if card.possible:
        page.text(card.possible, _PLAIN)
    page.y += _GAP // 2
    top, left = page.y, _GAP
    for picture, caption in zip(card.pictures, _captions(card.pictures, t), strict=True):
        page.y = top
        page.text(caption, _SMALL, SOFT, left, left + _CROP)
        image = paint(picture, _CROP / picture.width_mm)
        page.paste(image, left, page.y)
        left += _CROP + _GAP
    page.y += _CROP + _GAP // 2
    page.text(f"{t('card.lines')} {t('card.against')}", _SMALL, SOFT)
    return page.finished(run, t)


def _heights(card: Card, t: Wording) -> str | None:
    """The vertebra's own; None where they were not measured."""
    own = next(row.cells for row in card.heights if row.own)
    if not any(mark.isdigit() for mark in own[0]):
        return None
    return t("capture.heights", anterior=own[0], middle=own[1], posterior=own[2])


def _probability(name: str, value: float, threshold: float | None, t: Wording) -> str:
    words = f"{name} {t.number(value, 2)}"
    if threshold is None:
        return words
    return f"{words} ({t('page.threshold', value=t.number(threshold, 2))})"
