"""The analysing process's own side: `python -m vfx_edge.service.analyse.child`.

It takes lines of JSON on standard input, first how to open the networks, then a job a line, and
answers in lines of JSON. Whatever else is written goes to standard error, of which the parent shows
nothing: native code may print what stands in a file.
"""

import faulthandler
import json
import logging
import os
import signal
import sys
import traceback
import warnings
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from vfx_edge.bench.protocol import Parent
from vfx_edge.errors import BackendError, VfxError
from vfx_edge.fracture_task import Options
from vfx_edge.job import Job
from vfx_edge.manifest import Demand
from vfx_edge.parallel import keep_to, share_of_cores
from vfx_edge.room import MemoryRanOut, ScanTooLargeForMemory, TooLittleMemory
from vfx_edge.service.analyse.chain import BEGIN_ANEW, Chain, OpenChain, refused_kinds
from vfx_edge.service.reasons import code_location, reason
from vfx_edge.service.settings import Settings
from vfx_edge.study import BackendRequest

LACKS_MEMORY = (TooLittleMemory, ScanTooLargeForMemory, MemoryRanOut)
OOM_SCORE = "500"
"""Where memory runs out, the kernel is to end this process, not the one that receives."""
NO_MEMORY = "The memory was not enough to analyse this study: let the service have more."
_DIE_WITH_PARENT = 1
"""Linux's PR_SET_PDEATHSIG."""


def analyse(open_chain: Callable[[dict[str, Any]], Chain]) -> None:
    """Answer jobs until standard input is closed. `open_chain`: from the first line's values."""
    _prepare()
    parent = Parent()
    keep_to(parent.order.get("cores"))
    _die_with_parent()
    log = logging.getLogger("vfx_edge")
    log.setLevel(logging.INFO)
    log.addHandler(_Notes(parent))
    try:
        chain = open_chain(parent.order)
    except Exception as error:  # noqa: BLE001  told to the parent, whatever it is
        parent.report("failed", **_facts(error))
        os._exit(1)
    parent.report("ready")
    while True:
        _answer(parent, chain, parent.wait())


def _answer(parent: Parent, chain: Chain, line: str) -> None:
    try:
        end = chain(job_of(line))
    except Exception as error:  # noqa: BLE001  one study must not stop the others
        parent.report("failed", **_facts(error))
    else:
        parent.report("done", begin_anew=end == BEGIN_ANEW)


def line_of(job: Job) -> str:
    """The job as a line of JSON; its task is always the default, its options are
    those of the process's order."""
    facts = {"path": str(job.path), "out": str(job.out), "language": job.language}
    before = job.previous_report
    return json.dumps({**facts, "kinds": job.kinds, "before": str(before) if before else None})


def job_of(line: str) -> Job:
    """The job of a line of `line_of`."""
    facts = json.loads(line)
    kinds, before = facts["kinds"], facts["before"]
    return Job(
        Path(facts["path"]),
        Path(facts["out"]),
        kinds=None if kinds is None else tuple(kinds),
        language=facts["language"],
        previous_report=Path(before) if before else None,
    )


def _facts(error: Exception) -> dict[str, Any]:
    """The error as plain values, from which the parent makes one of the same kind."""
    if isinstance(error, VfxError):
        facts = {"kinds": refused_kinds(error), "memory": isinstance(error, LACKS_MEMORY)}
        return {"exit_code": error.exit_code, "message": reason(error), **facts}
    if isinstance(error, MemoryError):
        facts = {"kinds": (), "memory": True}
        return {"exit_code": BackendError.exit_code, "message": NO_MEMORY, **facts}
    if isinstance(error, OSError) and error.errno:
        return {"errno": error.errno}
    lines = "".join(traceback.format_tb(error.__traceback__))
    return {"bug": code_location(error), "lines": lines}


class _Notes(logging.Handler):
    """Our own log lines, such as an engine being built, go to the parent's log."""

    def __init__(self, parent: Parent) -> None:
        super().__init__(logging.INFO)
        self._parent = parent

    def emit(self, record: logging.LogRecord) -> None:
        self._parent.report("note", level=record.levelno, text=record.getMessage())


def _prepare() -> None:
    for number in (signal.SIGINT, signal.SIGTERM):  # the parent's: it ends this process itself
        signal.signal(number, signal.SIG_IGN)
    faulthandler.enable()
    warnings.simplefilter("ignore")
    with suppress(OSError):  # Linux only
        Path("/proc/self/oom_score_adj").write_text(OOM_SCORE)


def _die_with_parent() -> None:
    """Even in the middle of native code, which would not notice the closed input."""
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGKILL)


def order_of(settings: Settings, number: int = 0, of: int = 1) -> dict[str, Any]:
    """What the process, one of several, is to open: its first line."""
    key = settings.model_key
    model = {"model": settings.model, "digest": settings.demand.digest}
    cores = share_of_cores(number, of)
    asked = {"request": asdict(settings.request), "cores": cores}
    options = {"signs": settings.signs, "explain": settings.explain}
    return {**asked, **model, "key": str(key) if key else None, "options": options}


def _open_chain(order: dict[str, Any]) -> Chain:
    key = order["key"]
    demand = Demand(order["digest"], Path(key) if key else None)
    request, options = BackendRequest(**order["request"]), Options(**order["options"])
    return OpenChain(request, order["model"], demand, options)


if __name__ == "__main__":
    analyse(_open_chain)
