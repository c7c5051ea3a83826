"""`gpu`: all that needs a GPU, part by part, each in a process of its own. What is measured is
written after every part, so that a run which is ended early is of use."""

import re
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmarks import gpu_tables, inputs, results
from benchmarks.gpu_parts import ENGINES_S, EVERY, Part, parts
from vfx_edge.backends.needs import NEEDS
from vfx_edge.backends.nvidia import Gpu, find_gpu
from vfx_edge.bench.machine import machine
from vfx_edge.bench.measured import Measured
from vfx_edge.bench.parity import Parity, judge
from vfx_edge.bench.processes import Event, worker
from vfx_edge.bench.record import to_json_able
from vfx_edge.bench.worker import Order
from vfx_edge.files import write_text
from vfx_edge.manifest import load_model_set
from vfx_edge.nvml import MemoryWatch
from vfx_edge.vocabulary import PRECISIONS

SLICES, MATRIX = 300, 256
LEAST_S = 5.0
"""With less time left no part begins."""
Found = dict[str, Any]


def command(
    minutes: Annotated[float, typer.Option(help="Ends by itself after so many.", min=0.1)] = 8.0,
    out: Annotated[
        Path, typer.Option(help="Folder for gpu.json and gpu.md.", file_okay=False)
    ] = results.RESULTS,
) -> None:
    """All that needs a GPU: tests, parity, times, memory, engines. Without one: what it would do.

    Installs nothing and needs no network. What each part has measured is written at once.
    """
    ends_at = time.monotonic() + 60 * minutes
    if not isinstance(gpu := find_gpu(), Gpu):
        print(plan(str(gpu), minutes))
        return
    about = results.about("gpu", {"minutes": minutes}, machine())
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        folder = Path(name)
        allow_every(folder / EVERY)
        save(about, [], out)
        with inputs.scan(None, SLICES, MATRIX) as scan:
            run(parts(scan.path, folder), folder, ends_at, lambda done: save(about, done, out))


def plan(lack: str, minutes: float) -> str:
    """What would be done with a GPU, part by part, and what is missing here."""
    lines = [
        f"No GPU can be used here: {lack}. On a machine with one, this is done in at most "
        f"{minutes:g} minutes, in this order, as far as the time suffices:",
        "",
        *(f"  {part.name}: {part.what}; at most {part.limit_s:g} s"
          for part in parts(Path("ct"), Path())),
        "",
        "What brings all that is needed:",
        *(f'  {backend}: pip install "vfx-edge[{NEEDS[backend].extra}]"' for backend in ENGINES_S),
        f"  tests: pytest ({'installed' if find_spec('pytest') else 'missing'})",
        "More of it: docs/benchmarks.md. Nothing was written.",
    ]  # fmt: skip
    return "\n".join(lines)


def allow_every(folder: Path) -> None:
    """The shipped set there, its networks allowed in every precision: whether one should be is
    what is measured."""
    shutil.copytree(load_model_set("default").directory, folder)
    manifest = folder / "manifest.toml"
    # int8 needs a file of its own, which `export quantize` makes
    names = ", ".join(f'"{name}"' for name in PRECISIONS if name != "int8")
    text = re.sub(r"(?m)^allowed = .*$", f"allowed = [{names}]", manifest.read_text("utf-8"))
    write_text(manifest, text)


def run(
    wanted: Iterable[Part],
    cache: Path,
    ends_at: float,
    save: Callable[[list[Found]], None],
) -> list[Found]:
    """Do the parts until `ends_at` of the monotonic clock; `save` is given all so far after each.

    cache: a folder for compiled networks, which the parts share.
    """
    done: list[Found] = []
    reference: Measured | None = None
    for part in wanted:
        results.log(part.name)
        left_s = ends_at - time.monotonic()
        found: Found = {"name": part.name, "kind": part.kind, "backend": part.backend}
        if reason := _obstacle(part, done, left_s):
            done.append({**found, "state": "not done", "reason": reason})
        else:
            events, about = _measured(part, cache, min(part.limit_s, left_s))
            study = _study(part, events)
            reference = study if part.kind == "reference" else reference
            done.append({**found, **about, **_figures(events, study, reference)})
        results.log(f"{part.name}: {done[-1]['state']} {done[-1]['reason']}")
        save(done)
    return done


def _obstacle(part: Part, done: list[Found], left_s: float) -> str:
    """Why the part is not begun; empty where it is."""
    if left_s < LEAST_S:
        return "no time was left"
    for one in done:
        if one["backend"] == part.backend and one.get("error") == "BackendUnavailable":
            return str(one["reason"])
    measured = {(one["backend"], one.get("row", {}).get("precision")) for one in done}
    if part.kind == "study" and (part.backend, part.precision) in measured:
        return "measured already: the backend takes it by itself"
    return ""


def _measured(part: Part, cache: Path, limit_s: float) -> tuple[list[Event], Found]:
    """The worker's events, and how it ended."""
    begin = time.monotonic()
    card = find_gpu()
    uuid = card.uuid if isinstance(card, Gpu) else ""
    with MemoryWatch(uuid) as watch, worker(part.module, part.order, cache, limit_s) as running:
        *events, last = running.events
    about = {
        "state": last["event"],
        "reason": last.get("message", ""),
        "error": last.get("kind", ""),
        "seconds": time.monotonic() - begin,
        "card_mib": watch.taken_mib,
        "notes": [event["text"] for event in events if event["event"] == "note"],
    }
    return [event for event in [*events, last] if event["event"] != "note"], about


def _study(part: Part, events: list[Event]) -> Measured | None:
    """What a study's worker reported; None of other workers."""
    if part.module != "vfx_edge.bench.worker":
        return None
    measured = Measured(Order(**part.order))
    for event in events:
        measured.add(event)
    return measured


def _figures(events: list[Event], study: Measured | None, reference: Measured | None) -> Found:
    """The part's figures, as far as it came."""
    if study is None:
        return {"events": [event for event in events if event["event"] != "done"]}
    if study.warmed and study.warm and study.failure is None:
        parity = Parity("not compared", "the reference has no answers")
        if reference is not None and reference.facts:
            parity = judge(study.facts, reference.facts[0], study.networks, study.unasked)
        return {"row": to_json_able(study.row(parity)), "first_stages": study.first_stages}
    return {"opened": study.opened, "first_s": study.first_s, "warm": study.warm}


def save(about: Found, done: list[Found], out: Path) -> None:
    """gpu.json and gpu.md in the folder, each replaced as a whole."""
    record = {**about, "figures": {"parts": done}}
    results.write(out / "gpu.json", record)
    write_text(out / "gpu.md", gpu_tables.page(results.flat(record)))
