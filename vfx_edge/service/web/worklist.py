"""The rows of the worklist, from the queues and the results, most urgent first.

Pseudonymous: a short hash of the study's UID, the series description without personal words; the
accession number only where the settings ask for it.
"""

import json
import logging
import os
import shutil
import time
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vfx_edge.outputs.verdict import Verdict, verdict_in
from vfx_edge.service.receive.instance_head import Unreadable, read_head
from vfx_edge.service.store.identifiers import pseudonym
from vfx_edge.service.store.incoming_studies import IncomingStudy
from vfx_edge.service.store.queue import OPEN, Entry, Queue, State
from vfx_edge.service.store.spool import Spool
from vfx_edge.study import Tier

log = logging.getLogger(__name__)
CHECK_S = 60.0
"""After how long results that were removed by hand are noticed."""

# A study that failed has no verdict: it stands above those that need nothing.
_ORDER = (
    *(Tier.MALIGNANT.value, Tier.UNCERTAIN.value, "failed", Tier.OSTEOPOROTIC.value),
    *(Tier.NOT_ASSESSABLE.value, "incomplete", "running", "retry", "waiting", "receiving"),
    Tier.NONE_SUSPECTED.value,
)


@dataclass(frozen=True)
class Transmission:
    """A study's results for one destination; `reason`: why it does not have them."""

    destination: str
    state: str
    reason: str


@dataclass(frozen=True)
class Row:
    """A study. `state`: the verdict's tier; incomplete, where nothing is suspected but something
    in view could not be read; or failed, running, retry, waiting, receiving.

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
    verdict: Verdict | None = None
    description: str = ""
    intended_use: str = ""
    report: bool = False
    reason: str = ""
    sent: tuple[Transmission, ...] = ()
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def tier(self) -> str:
        """The verdict's tier; empty where there is no verdict."""
        return self.verdict.tier if self.verdict else ""

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


@dataclass(frozen=True)
class _Result:
    """What a result.json says; `stamp` changes with the file."""

    stamp: tuple[int, int] | None = None
    facts: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class _Study:
    """A row and what it was made from; while that is the same, so is the row."""

    entry: Entry
    sends: list[Entry]
    row: Row
    result: _Result
    accession: str
    supersedes: str


_State = tuple[dict[str, list[Entry]], list[IncomingStudy]]


class Worklist:
    """Reads, and changes nothing. For one thread.

    There may be ten thousand studies: only those whose entries in the queues have changed are read
    again.
    """

    def __init__(
        self, spool: Spool, jobs: Queue, sends: Queue, show_accession: bool = False
    ) -> None:
        self.show_accession = show_accession
        self._spool = spool
        self._queues = {"jobs": jobs, "sends": sends}
        self._state: _State | None = None
        self._studies: dict[str, _Study] = {}
        self._rows: list[Row] = []
        self._checked_s = 0.0
        self._running: dict[tuple[str, float], float] = {}

    def entries(self) -> dict[str, list[Entry]]:
        """What is queued, by the queue's name."""
        return {name: queue.entries() for name, queue in self._queues.items()}

    def incoming(self) -> int:
        """Studies of which images are still coming."""
        return len(self._spool.incoming())

    def free_bytes(self) -> int:
        """Room on the disk of the spool."""
        return shutil.disk_usage(self._spool.root).free

    def rows(self) -> list[Row]:
        """Every study in the spool; the same list object as long as nothing has changed."""
        state = self.entries(), self._spool.incoming()
        now = time.monotonic()
        check = now - self._checked_s >= CHECK_S
        if state == self._state and not check:
            return self._rows
        entries, receiving = state
        self._running = {
            begun: self._running.get(begun, now)
            for one in (*entries["jobs"], *entries["sends"])
            if one.state is State.RUNNING
            for begun in [(one.key, one.changed_at_s)]
        }
        self._studies = self._updated(entries, check)  # without those that were deleted
        rows = _without_superseded(list(self._studies.values())) + _incoming_rows(receiving)
        self._rows = sorted(rows, key=lambda row: row.order)
        self._state = state
        self._checked_s = now if check else self._checked_s
        return self._rows

    def running_for_s(self) -> float:
        """For how long the oldest running work was seen running, by a monotonic clock."""
        return time.monotonic() - min(self._running.values(), default=time.monotonic())

    def report(self, job: str) -> Path | None:
        """A study's report; None where there is none."""
        try:
            folder = self._spool.results_of(job)
        except KeyError:
            return None
        path = folder / "report.html" if folder else None
        return path if path and path.is_file() else None

    def _updated(self, entries: dict[str, list[Entry]], check: bool) -> dict[str, _Study]:
        sends = defaultdict(list)
        for one in entries["sends"]:
            sends[one.job].append(one)
        studies = {}
        for entry in entries["jobs"]:
            old, mine = self._studies.get(entry.job), sends.get(entry.job, [])
            if old is None or check or (old.entry, old.sends) != (entry, mine):
                old = self._study(entry, mine, old)
            studies[entry.job] = old
        return studies

    def _study(self, entry: Entry, sends: list[Entry], old: _Study | None) -> _Study:
        if old is not None and old.entry.received_at_s != entry.received_at_s:
            old = None  # it was deleted, and came again
        result = self._result(entry.job, old.result if old else _Result())
        if old is not None and old.entry == entry:
            accession, supersedes = old.accession, old.supersedes
        else:
            accession = self._accession(entry.job) or (old.accession if old else "")
            received = self._spool.job(entry.job)
            supersedes = received.supersedes if received else ""
        row = _row(entry, sends, result.facts, accession)
        return _Study(entry, sends, row, result, accession, supersedes)

    def _accession(self, job: str) -> str:
        if not self.show_accession:
            return ""
        results = self._spool.results_of(job)  # its images where there are none
        made = next(results.rglob("*.dcm"), None) if results else None
        given = self._spool.input_of(job)
        images = (path for path in (given, *given.rglob("*")) if path.is_file())
        return _accession(made or next(images, None))

    def _result(self, job: str, known: _Result) -> _Result:
        folder = self._spool.results_of(job)
        if folder is None:
            return _Result()
        path, stamp = folder / "result.json", None
        try:
            status = os.stat(path)
            stamp = (status.st_mtime_ns, status.st_ino)
            if stamp == known.stamp:
                return known
            return _Result(stamp, _facts(json.loads(path.read_text("utf-8")), path))
        except FileNotFoundError:
            return _Result()
        except (OSError, ValueError, KeyError, TypeError) as error:
            log.warning("the result of job %s can't be read: %s", job, type(error).__name__)
            return _Result(None if isinstance(error, OSError) else stamp)


def _row(entry: Entry, sends: list[Entry], result: dict[str, Any], accession: str) -> Row:
    facts: dict[str, Any] = {
        "accession": accession,
        "urgent": entry.urgent,
        "received_at_s": entry.received_at_s,
        "reason": entry.reason,
        "sent": tuple(Transmission(one.destination, one.state, one.reason) for one in sends),
    }
    if entry.state in (State.DONE, *OPEN):
        facts |= result  # a job that is sent again has them, too
    states = {State.GIVEN_UP: "failed", State.RUNNING: "running", State.RETRY: "retry"}
    state, verdict = states.get(entry.state, "waiting"), facts.get("verdict")
    if verdict:
        state = "incomplete" if verdict.is_gap else verdict.tier
    elif entry.state is State.DONE:
        state, facts["reason"] = "failed", facts["reason"] or "The result can't be read."
    return Row(entry.job, entry.study, state, **facts)


def _incoming_rows(receiving: list[IncomingStudy]) -> list[Row]:
    return [
        Row("", pseudonym(one.key), "receiving", received_at_s=one.last_at_s, images=one.instances)
        for one in receiving
    ]


def _accession(instance: Path | None) -> str:
    """The accession number that a DICOM file states; empty where it states none."""
    if instance is None:
        return ""
    try:
        return read_head(instance).accession
    except (Unreadable, OSError):
        return ""


def _facts(result: dict[str, Any], path: Path) -> dict[str, Any]:
    series, run = result["series"], result["run"]
    return {
        "verdict": verdict_in(result),
        "description": series["description"],
        "images": series["slices"],
        "intended_use": run["model_set"]["intended_use"],
        "seconds": {stage: float(s) for stage, s in run["seconds"].items()},
        "verdict_at_s": path.stat().st_mtime,
        "report": (path.parent / "report.html").is_file(),
    }


def _without_superseded(studies: list[_Study]) -> list[Row]:
    """Without those that a later job with a verdict supersedes."""
    old = {one.supersedes for one in studies if one.row.tier}
    return [one.row for one in studies if one.row.job not in old]


def recent(rows: list[Row], hours: float = 24.0) -> list[Row]:
    """The rows of the last `hours`, and all that are open, however old."""
    since = time.time() - hours * 3600
    return [row for row in rows if row.received_at_s >= since or row.is_open]
