"""The rows of the worklist: what the queues and the results say of each study, most urgent first.

Pseudonymous: a short hash of the study's UID, the series description less personal words. Only
where the settings ask for it, the accession number, by which a reader finds the study.
"""

import json
import logging
import shutil
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vfx_edge.service.queue import Entry, Queue, State
from vfx_edge.service.spool import Received, Spool, pseudonym
from vfx_edge.study import Tier

log = logging.getLogger(__name__)

# A study that failed has no verdict: it must stand above those that need nothing.
_ORDER = (
    *(Tier.MALIGNANT.value, Tier.UNCERTAIN.value, "failed", Tier.OSTEOPOROTIC.value),
    *(Tier.NOT_ASSESSABLE.value, "running", "retry", "waiting", "receiving"),
    Tier.NONE_SUSPECTED.value,
)


@dataclass(frozen=True)
class Sent:
    """A study's results and one destination; `reason` says why it has not got them."""

    destination: str
    state: str
    reason: str


@dataclass(frozen=True)
class Row:
    """A study. `state`: the verdict's tier, or failed, running, retry, waiting, receiving.

    Times are seconds since 1970, `seconds` those of each stage.
    """

    job: str
    study: str
    state: str
    accession: str = ""
    urgent: bool = False
    received_at_s: float = 0.0
    images: int = 0
    verdict_at_s: float | None = None
    tier: str = ""
    levels: tuple[str, ...] = ()
    recommendation: str = ""
    description: str = ""
    intended_use: str = ""
    report: bool = False
    reason: str = ""
    sent: tuple[Sent, ...] = ()
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def to_verdict_s(self) -> float | None:
        """From the last image to the verdict."""
        if self.verdict_at_s is None:
            return None
        return max(0.0, self.verdict_at_s - self.received_at_s)

    @property
    def is_open(self) -> bool:
        """Whether something is still to be done for it, or was given up."""
        given_up = any(one.state != State.DONE for one in self.sent)
        return not self.tier or given_up

    @property
    def order(self) -> tuple[int, float]:
        """Most urgent first, of these the latest first."""
        return _ORDER.index(self.state), -self.received_at_s


class Worklist:
    """Reads; changes nothing. Results are read once, when they are there."""

    def __init__(
        self, spool: Spool, jobs: Queue, sends: Queue, show_accession: bool = False
    ) -> None:
        self.show_accession = show_accession
        self._spool = spool
        self._queues = {"jobs": jobs, "sends": sends}
        self._results: dict[str, dict[str, Any]] = {}
        self._accessions: dict[str, str] = {}

    def entries(self) -> dict[str, list[Entry]]:
        """What is queued, by the queue's name."""
        return {name: queue.entries() for name, queue in self._queues.items()}

    def receiving(self) -> int:
        """Studies of which images are still coming."""
        return len(self._spool.receiving())

    def free_bytes(self) -> int:
        """Room on the disk of the spool."""
        return shutil.disk_usage(self._spool.root).free

    def rows(self) -> list[Row]:
        """Every study in the spool."""
        entries = self.entries()
        known = {one.job: one for one in self._spool.jobs()}
        sent = [(one.job, Sent(one.destination, one.state, one.reason)) for one in entries["sends"]]
        rows = [
            self._row(entry, tuple(one for job, one in sent if job == entry.job))
            for entry in entries["jobs"]
        ]
        rows = _without_superseded(rows, known) + self._coming()
        return sorted(rows, key=lambda row: row.order)

    def report(self, job: str) -> Path | None:
        """A study's report; None where there is none."""
        try:
            folder = self._spool.results_of(job)
        except KeyError:
            return None
        path = folder / "report.html" if folder else None
        return path if path and path.is_file() else None

    def _coming(self) -> list[Row]:
        return [
            Row("", pseudonym(one.key), "receiving", received_at_s=one.last_at_s,
                images=one.instances)
            for one in self._spool.receiving()
        ]  # fmt: skip

    def _row(self, entry: Entry, sent: tuple[Sent, ...]) -> Row:
        facts: dict[str, Any] = {
            "accession": self._accession(entry.job),
            "urgent": entry.urgent,
            "received_at_s": entry.received_at_s,
            "reason": entry.reason,
            "sent": sent,
        }
        if entry.state in (State.DONE, State.WAITING, State.RETRY):
            facts |= self._result(entry.job)  # a job that is sent anew has them, too
        states = {State.DEAD: "failed", State.RUNNING: "running", State.RETRY: "retry"}
        state = facts.get("tier") or states.get(entry.state, "waiting")
        if entry.state is State.DONE and "tier" not in facts:
            state, facts["reason"] = "failed", facts["reason"] or "The result can't be read."
        return Row(entry.job, entry.study, state, **facts)

    def _accession(self, job: str) -> str:
        if not self.show_accession:
            return ""
        if job not in self._accessions:
            self._accessions[job] = _accession(self._an_instance(job))
        return self._accessions[job]

    def _an_instance(self, job: str) -> Path | None:
        """One of its results, or of its images where there are none."""
        results = self._spool.results_of(job)
        made = next(results.rglob("*.dcm"), None) if results else None
        given = self._spool.input_of(job)
        return made or next((path for path in (given, *given.rglob("*")) if path.is_file()), None)

    def _result(self, job: str) -> dict[str, Any]:
        if job not in self._results:
            folder = self._spool.results_of(job)
            path = folder / "result.json" if folder else None
            if path is None or not path.is_file():
                return {}
            try:
                self._results[job] = _facts(json.loads(path.read_text("utf-8")), path)
            except (OSError, ValueError, KeyError, TypeError) as error:
                log.warning("the result of job %s can't be read: %s", job, type(error).__name__)
                return {}
        return self._results[job]


def _accession(instance: Path | None) -> str:
    """The accession number that a DICOM file states; empty where it states none."""
    if instance is None:
        return ""
    from pydicom import dcmread

    try:
        header = dcmread(instance, stop_before_pixels=True, specific_tags=["AccessionNumber"])
        return str(header.get("AccessionNumber") or "").strip()
    except Exception:  # noqa: BLE001  a broken element makes pydicom raise nearly anything
        return ""


def _facts(result: dict[str, Any], path: Path) -> dict[str, Any]:
    triage, series, run = result["triage"], result["series"], result["run"]
    return {
        "tier": Tier(triage["tier"]).value,
        "levels": tuple(triage["levels"]),
        "recommendation": triage["recommendation"],
        "description": series["description"],
        "images": series["slices"],
        "intended_use": run["model_set"]["intended_use"],
        "seconds": {stage: float(s) for stage, s in run["seconds"].items()},
        "verdict_at_s": path.stat().st_mtime,
        "report": (path.parent / "report.html").is_file(),
    }


def _without_superseded(rows: list[Row], known: dict[str, Received]) -> list[Row]:
    """Less those of which a later job with more images has a verdict."""
    judged = {row.job for row in rows if row.tier}
    old = {one.supersedes for one in known.values() if one.job in judged}
    return [row for row in rows if row.job not in old]


def recent(rows: list[Row], hours: float = 24.0) -> list[Row]:
    """What belongs on today's list: the last day, not the calendar's, which is empty after
    midnight; and whatever is not settled, however old."""
    since = time.time() - hours * 3600
    return [row for row in rows if row.received_at_s >= since or row.is_open]
