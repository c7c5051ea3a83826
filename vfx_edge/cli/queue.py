"""`vfx-edge queue`: what the service has done, does, and has given up."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from sqlite3 import OperationalError
from typing import TYPE_CHECKING, Annotated

import typer

from vfx_edge.cli import serving
from vfx_edge.errors import InputError, OutputError

if TYPE_CHECKING:
    from vfx_edge.service.store.queue import Entry, Queue
    from vfx_edge.service.store.spool import Spool

app = typer.Typer(help="List, show, retry, send again or drop what the service has to do.")

Job = Annotated[
    str, typer.Argument(metavar="JOB", help="As `queue list` shows it, or its first characters.")
]
All = Annotated[bool, typer.Option("--all", help="Also what is done.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print it as JSON instead.")]
LEAST_PREFIX = 4


@contextmanager
def _queue_errors() -> Iterator[None]:
    """OutputError in place of SQLite's own."""
    try:
        yield
    except OperationalError as error:
        what = "free some space, or run this as the service's user"
        raise OutputError(f"The queue can't be used ({error}): {what}.") from None


@app.command("list")
@_queue_errors()
def list_(
    config: serving.Config = None,
    spool: serving.Spool = None,
    all_: All = False,
    as_json: AsJson = False,
) -> None:
    """List what waits, runs or was given up, and why."""
    entries = [one for _, one in _entries(_opened(config, spool)[1])]
    shown = [one for one in entries if all_ or one.state != "done"]
    if as_json:
        _print_json(shown)
        return
    for entry in shown:
        print(_line(entry))
    if not shown:
        print("Nothing waits, runs or was given up.")


@app.command("show")
@_queue_errors()
def show(job: Job, config: serving.Config = None, spool: serving.Spool = None) -> None:
    """Show everything that is known of a job and its transmissions."""
    place, queues = _opened(config, spool)
    found = _matching(queues, job)
    for _, entry in found:
        print(f"{entry.key}\n  state        {_state(entry)}\n  study        {entry.study}")
        print(f"  attempts     {entry.attempts}, died at it {entry.crashes}", end="")
        print(f", interrupted {entry.interruptions}")
        print(f"  last image   {_when(entry.received_at_s)}")
        print(f"  changed      {_when(entry.changed_at_s)}")
        if entry.reason:
            print(f"  reason       {entry.reason}")
    print(f"results: {place.results_of(found[0][1].job) or 'none'}")


@app.command("retry")
@_queue_errors()
def retry(job: Job, config: serving.Config = None, spool: serving.Spool = None) -> None:
    """Try again at once what was given up or waits to be tried again."""
    found = _matching(_opened(config, spool)[1], job)
    _restart(
        [it for it in found if it[1].state in ("dead", "retry")],
        "Nothing of it was given up or waits for another attempt.",
    )


@app.command("send")
@_queue_errors()
def send(job: Job, config: serving.Config = None, spool: serving.Spool = None) -> None:
    """Send results again that were sent already: an archive may have lost them. They keep their
    UIDs, so that one that has them keeps one set."""
    found = _matching(_opened(config, spool)[1], job)
    _restart(
        [it for it in found if it[1].destination and it[1].state == "done"],
        "Nothing of it has been sent.",
    )


@app.command("drop")
@_queue_errors()
def drop(job: Job, config: serving.Config = None, spool: serving.Spool = None) -> None:
    """Forget a job: its images, its results and its transmissions."""
    place, queues = _opened(config, spool)
    found = _matching(queues, job)
    if "@" in job:  # one transmission only
        found = [it for it in found if it[1].key == job]
    else:
        found = _matching(queues, found[0][1].job)
    for _, entry in found:
        if entry.state == "running" and _service_runs(place):
            raise InputError(f"{entry.key} is running: stop the service first, or wait.")
    if "@" not in job:
        place.delete(found[0][1].job)  # first: a folder without a row would be analysed anew
    for queue, entry in found:
        queue.drop(entry.key)
        print(f"{entry.key} dropped")


def _restart(found: "list[tuple[Queue, Entry]]", nothing: str) -> None:
    for queue, entry in found:
        queue.retry(entry.key)
        print(f"{entry.key} waits")
    if not found:
        print(nothing)


def _opened(config: Path | None, spool: Path | None) -> "tuple[Spool, list[Queue]]":
    """The service's folders and its two queues, without disturbing it. InputError."""
    settings = serving.settings_from(config, None, None, spool=spool)
    from vfx_edge.files import as_output_error
    from vfx_edge.service.store.queue import Queue
    from vfx_edge.service.store.spool import Spool

    with as_output_error(settings.spool, "--spool"):
        if not (settings.spool / "queue" / "queue.sqlite").is_file():
            where = f"{settings.spool} holds no queue"
            raise InputError(f"{where}: name the service's folder with --spool.")
        place = Spool(settings.spool)
        return place, [
            Queue(place.queue_folder, name, takes_over=False) for name in ("jobs", "sends")
        ]


def _service_runs(place: "Spool") -> bool:
    """Whether a service is at work there: what a killed one was doing may be dropped."""
    from vfx_edge.service.store.spool import SpoolBusy

    try:
        with place.locked():
            return False
    except SpoolBusy:
        return True


def _entries(queues: "list[Queue]") -> "list[tuple[Queue, Entry]]":
    return [(queue, entry) for queue in queues for entry in queue.entries()]


def _matching(queues: "list[Queue]", job: str) -> "list[tuple[Queue, Entry]]":
    """The entries of the one job whose id begins so. InputError."""
    found = [it for it in _entries(queues) if it[1].key.startswith(job)]
    if len(job) < LEAST_PREFIX or len({entry.job for _, entry in found}) != 1:
        listed = "`vfx-edge queue list --all` shows what there is"
        raise InputError(f"No single job is called {job!r}: {listed}.")
    return found


def _line(entry: "Entry") -> str:
    urgent = " urgent" if entry.urgent else ""
    where = f" -> {entry.destination}" if entry.destination else ""
    reason = f"  {entry.reason}" if entry.reason else ""
    return f"{entry.job}{where}  study {entry.study}  {_state(entry)}{urgent}{reason}"


def _state(entry: "Entry") -> str:
    if entry.state == "retry":
        return f"waits until {_when(entry.due_at_s)}, attempt {entry.attempts + 1}"
    return str({"dead": "given up"}.get(entry.state, entry.state))


def _when(seconds: float) -> str:
    from datetime import datetime

    return datetime.fromtimestamp(seconds).astimezone().isoformat(" ", "seconds")


def _print_json(entries: "list[Entry]") -> None:
    import json
    from dataclasses import asdict

    print(json.dumps([asdict(entry) for entry in entries], indent=1))
