"""A spool full of studies in every state, without a single CT."""

import http.client
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.service.stores import Store
from tests.waiting import HANG_S
from vfx_edge.service.store.queue import Entry
from vfx_edge.service.store.spool import Received
from vfx_edge.service.web.metrics import Metrics
from vfx_edge.service.web.server import HttpServer
from vfx_edge.service.web.worklist import Worklist


def result(
    tier: str, levels: list[str], description: str = "Thorax 1.0 Br38", unread: tuple[str, ...] = ()
) -> dict[str, Any]:
    """What the page reads of a result.json."""
    coverage = {
        "assessed": ["T2", "T3", "T4"],
        "cut": ["T1"],
        "unread": [{"level": level, "reason": "metal"} for level in unread],
        "complete": not unread,
    }
    return {
        "triage": {
            "tier": tier,
            "levels": levels,
            "recommendation": f"Advice for {tier}.",
            "coverage": coverage,
        },
        "findings": [
            {"level": level, "alternatives": [{"level": "T11", "probability": 0.4}]}
            for level in levels
            if level == "T10"
        ],
        "series": {"description": description, "slices": 312},
        "run": {
            "model_set": {"name": "default", "intended_use": "demonstration"},
            "seconds": {"read": 1.2, "segment": 7.5, "total": 11.0},
        },
    }


class Desk(Store):
    """Puts studies into a spool as the service would."""

    def __init__(self, folder: Path, show_accession: bool = False) -> None:
        super().__init__(folder)
        self.worklist = Worklist(self.spool, self.jobs, self.sends, show_accession)

    def add(self, number: int, minutes_ago: float = 5, urgent: bool = False) -> str:
        """A study that waits; its job."""
        job = f"{number:024x}"
        folder = self.spool.root / "studies" / job
        folder.mkdir()
        came = time.time() - 60 * minutes_ago
        received = Received(job, f"{number:010x}", f"1.2.{number}", "dicom", urgent, came)
        (folder / "job.json").write_text(json.dumps(vars(received)))
        self.jobs.put(Entry(job, job, received.study, urgent=urgent, received_at_s=came))
        return job

    def take(self) -> str:
        """The next one runs; its job."""
        entry = self.jobs.take()
        assert entry is not None
        return entry.job

    def judge(
        self,
        job: str,
        tier: str,
        levels: list[str],
        report: str = "<h1>report</h1>",
        unread: tuple[str, ...] = (),
    ) -> None:
        """It is analysed."""
        with self.spool.new_results(job) as folder:
            (folder / "report.html").write_text(report)
            (folder / "result.json").write_text(json.dumps(result(tier, levels, unread=unread)))
        self.jobs.done(job)

    def sending(self, job: str, destination: str) -> str:
        """A transmission that waits; its key."""
        key = f"{job}@{destination}"
        self.sends.put(Entry(key, job, destination=destination))
        return key


def one_of_each(desk: Desk) -> None:
    """Every verdict and every state."""
    verdicts: dict[str, list[str]] = {
        "none_suspected": [],
        "malignant": ["T10", "L2"],
        "osteoporotic": ["L1"],
        "uncertain": ["T7"],
        "not_assessable": ["T4", "T5"],
    }
    for number, (tier, levels) in enumerate(verdicts.items(), 1):
        desk.add(number, minutes_ago=4 * number)
        desk.judge(desk.take(), tier, levels)
    for key in ("PACS", "ARCHIVE"):
        desk.sending(f"{2:024x}", key)
    desk.sends.take()
    desk.sends.done(f"{2:024x}@PACS")
    desk.sends.take()
    desk.sends.give_up(f"{2:024x}@ARCHIVE", "ARCHIVE can't be reached: is it running?")
    desk.add(6, 7)
    desk.jobs.give_up(desk.take(), "No CT series can be read: send the study again.")
    desk.add(7, 3)
    desk.jobs.retry_later(desk.take(), "The disk is full.", 60)
    desk.add(8, 2, urgent=True)
    desk.take()
    desk.add(9, 1)
    desk.receive("1.2.3.4.5", "1.2.3.4.5.6")


@contextmanager
def serving(
    desk: Desk, language: str = "en", at: str = "127.0.0.1", per_address: int = 32
) -> Iterator[int]:
    """The page on a free port, which is given."""
    server = HttpServer(f"{at}:0", language, desk.worklist, Metrics(), per_address)
    server.start()
    try:
        yield server.port
    finally:
        server.stop()


def get(
    port: int, path: str, host: str = "localhost", at: str = "127.0.0.1"
) -> tuple[int, dict[str, str], str]:
    """Status, headers and body."""
    connection = http.client.HTTPConnection(at, port, timeout=HANG_S)
    connection.request("GET", path, headers={"Host": host})
    answer = connection.getresponse()
    headers = {name.lower(): value for name, value in answer.getheaders()}
    body = answer.read().decode()
    connection.close()
    return answer.status, headers, body
