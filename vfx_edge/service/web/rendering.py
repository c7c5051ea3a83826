"""The worklist in HTML: words, colours and marks as in the report."""

import hashlib
import time
from dataclasses import dataclass, field
from functools import cached_property
from importlib.resources import files
from typing import Any

from jinja2 import DictLoader, Environment, StrictUndefined

from vfx_edge import __version__
from vfx_edge.level_words import one_by_one
from vfx_edge.outputs.verdict import Verdict, advice, gap, place
from vfx_edge.outputs.wording import Wording
from vfx_edge.service.store.queue import State
from vfx_edge.service.web.worklist import Row, Transmission, recent
from vfx_edge.study import Tier

# The report's icon for each state without a verdict.
_ICONS = {"failed": "failed", "running": "running", "retry": "waiting", "waiting": "waiting",
          "receiving": "receiving", "incomplete": "incomplete"}  # fmt: skip


@dataclass(frozen=True)
class Line:
    """A row in words. `gap`: what could not be read. `why`: for each destination without the
    results. `note_lang`, `why_lang`: empty where they are in the page's language."""

    row: Row
    icon: str
    verdict: str
    levels: str
    note: str
    gap: str
    note_lang: str
    came: str
    took: str
    delivery: str
    delivered: bool
    why: tuple[str, ...]
    why_lang: str

    @property
    def key(self) -> str:
        """Tells rows apart; another one where the study has come to another state."""
        return f"{self.row.job or self.row.study}-{self.row.state}"


@dataclass(frozen=True)
class Shown:
    """The list in HTML: what stands above it, and a row for each study, by its key, in order.
    program: tells apart pages that can't show each other's rows."""

    head: str = ""
    rows: dict[str, str] = field(default_factory=dict)
    program: str = ""

    @property
    def html(self) -> str:
        """All rows."""
        return "".join(self.rows.values())

    @cached_property
    def version(self) -> str:
        """Changes with anything that is shown."""
        return f"{self.program}-{_digest(self.head + self.html)}"

    def fits(self, version: str) -> bool:
        """Whether a page that has this version of the list can take changes of this one."""
        return version.partition("-")[0] == self.program

    def change(self, old: "Shown | None") -> dict[str, Any]:
        """What makes this list of the old one: the keys of rows that go, and rows that come, from
        the last to the first, each with the key of the one below it. All of it where there is no
        old one, or where rows that stay have changed places."""
        before = old.rows if old else {}
        stay = {key for key, html in self.rows.items() if before.get(key) == html}
        if [key for key in before if key in stay] != [key for key in self.rows if key in stay]:
            before, stay = {}, set()
        put: list[tuple[str, str | None]] = []
        below = None
        for key, html in reversed(self.rows.items()):
            if key not in stay:
                put.append((html, below))
            below = key
        facts = {"head": self.head, "count": len(self.rows)}
        if not stay:
            return {**facts, "all": self.html}
        return {**facts, "gone": [key for key in before if key not in stay], "put": put}


class PageRenderer:
    """The page in one language."""

    def __init__(self, language: str, show_accession: bool = False) -> None:
        self._t = Wording(language)
        self._footer = self._t("list.footer_named" if show_accession else "list.footer")

    def page(self, shown: Shown, lost_after_s: float) -> str:
        """The whole page around the list, which says so after `lost_after_s` without an event."""
        return self._environment.get_template("page").render(
            t=self._t,
            head=shown.head,
            rows=shown.html,
            version=shown.version,
            lost_ms=round(lost_after_s * 1000),
            footer=self._footer,
        )

    def rows(self, rows: list[Row]) -> Shown:
        """The part that changes: the banner, the counts and the list."""
        shown = recent(rows)
        lines = [self._line(row) for row in shown]
        uses = {row.intended_use for row in shown if row.intended_use}
        head = self._environment.get_template("head").render(
            t=self._t,
            lines=lines,
            uses=[self._use(use) for use in sorted(uses)],
            urgent=sum(row.state in ("malignant", "uncertain") for row in shown),
            failed=sum(row.state == "failed" for row in shown),
            open=sum(not row.tier and row.state != "failed" for row in shown),
        )
        row = self._environment.get_template("row")
        rendered = {line.key: row.render(t=self._t, line=line) for line in lines}
        return Shown(head, rendered, self._program)

    @cached_property
    def _program(self) -> str:
        """Another one after an upgrade, or in another language."""
        parts = sorted(files("vfx_edge.service.web").joinpath("page").iterdir(), key=str)
        texts = (part.read_text("utf-8") for part in parts)
        return _digest("\0".join((__version__, self._t.language, self._footer, *texts)))

    @cached_property
    def _environment(self) -> Environment:
        folder = files("vfx_edge.service.web").joinpath("page")
        names = ("page", "head", "row")
        texts = {one: folder.joinpath(f"{one}.html.j2").read_text("utf-8") for one in names}
        return Environment(loader=DictLoader(texts), autoescape=True, undefined=StrictUndefined)

    def _line(self, row: Row) -> Line:
        verdict = self._t(f"verdict.{row.tier}") if row.tier else self._t(f"list.{row.state}")
        delivery, delivered = self._delivery(row)
        english = "en" if self._t.language != "en" else ""  # the language of every reason
        return Line(
            row=row,
            icon=_ICONS.get(row.state, row.tier),
            verdict=verdict,
            levels=self._levels(row.verdict) if row.verdict else "",
            note=self._note(row),
            gap=self._gap(row.verdict) if row.verdict else "",
            note_lang=english if row.reason and not row.tier else "",
            came=_clock(row.received_at_s, self._t.language),
            took=self._took(row),
            delivery=delivery,
            delivered=delivered,
            why=tuple(dict.fromkeys(one.reason for one in _unsent(row) if one.reason)),
            why_lang=english,
        )

    def _levels(self, verdict: Verdict) -> str:
        if verdict.tier == Tier.NONE_SUSPECTED:
            return place(verdict, self._t)
        return ", ".join(one_by_one(verdict.levels, verdict.others, self._t("level.or")))

    def _gap(self, verdict: Verdict) -> str:
        """What could not be read, where the note does not say so."""
        in_note = verdict.tier in (Tier.NONE_SUSPECTED, Tier.NOT_ASSESSABLE)
        return "" if in_note else gap(verdict, self._t)

    def _note(self, row: Row) -> str:
        if row.verdict:
            return advice(row.verdict, self._t)
        if row.state == "receiving":
            return self._t("list.images", count=row.images)
        return row.reason

    def _took(self, row: Row) -> str:
        if row.to_verdict_s is None:
            return ""
        minutes, seconds = divmod(round(row.to_verdict_s), 60)
        return f"{minutes} min {seconds:02d} s" if minutes else f"{seconds} s"

    def _delivery(self, row: Row) -> tuple[str, bool]:
        if not row.tier:
            return "", True
        if not row.sent:
            return self._t("list.kept_here"), True
        if not (unsent := _unsent(row)):
            return self._t("list.sent", names=", ".join(one.destination for one in row.sent)), True
        given_up = unsent[0].state == State.GIVEN_UP  # then all are
        key = "list.not_sent" if given_up else "list.sending"
        names = ", ".join(one.destination for one in unsent)
        return self._t(key, names=names), not given_up

    def _use(self, use: str) -> str:
        return self._t.known("intended_use", use) or self._t("intended_use.other", use=use)


def _unsent(row: Row) -> list[Transmission]:
    """The transmissions that are not done; only those that were given up, where there are any."""
    unsent = [one for one in row.sent if row.tier and one.state != State.DONE]
    return [one for one in unsent if one.state == State.GIVEN_UP] or unsent


def _clock(when_s: float, language: str) -> str:
    """The time of the day, with the date where it is not today's."""
    then, now = time.localtime(when_s), time.localtime()
    clock = time.strftime("%H:%M", then)
    if then[:3] == now[:3]:
        return clock
    return time.strftime("%d.%m. " if language == "de" else "%d %b ", then) + clock


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
