"""The whole benchmark, from what was asked to its record: `run_suite`."""

import os
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from vfx_edge import __version__
from vfx_edge.backends.choose import unavailable, unknown_backend
from vfx_edge.bench.command import measure_command
from vfx_edge.bench.machine import BUSY, machine, model_set
from vfx_edge.bench.precisions import refusal
from vfx_edge.bench.record import Command, Record, Row, Unavailable
from vfx_edge.bench.rows import Rows
from vfx_edge.bench.settings import OnNote, OnStep, Settings, Steps
from vfx_edge.doctor import Diagnosis, diagnose
from vfx_edge.manifest import ModelManifest, load_model_set
from vfx_edge.phantom import PhantomSpec

ROWS_SHARE = 0.8
"""Of the whole work, for the progress bar: what the backends take, before the whole commands."""


def run_suite(settings: Settings, on_step: OnStep, on_note: OnNote) -> Record:
    """Measure all of it. Raises VfxError leaves; leaves no file and no process behind."""
    started_at = datetime.now(UTC).isoformat(timespec="seconds")
    steps = Steps(on_step)
    steps.report("looking at the machine")
    manifest = load_model_set(settings.model)
    found = diagnose()
    names, unavailable = _backends(settings, found, manifest)
    about = machine()
    with tempfile.TemporaryDirectory(prefix="vfx-edge-bench-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        path = _input(settings.source, folder, steps)
        rows = Rows(settings, manifest, path, folder, on_note)
        rows.measure(names, Steps(on_step, 0.0, ROWS_SHARE if settings.cold else 1.0))
        command = _command(settings, manifest, path, folder, Steps(on_step, ROWS_SHARE))
    return Record(
        started_at=started_at,
        version=__version__,
        input=_input_facts(settings.source, rows.input),
        machine=about,
        threads=found.cpu.usable_cores,
        models=model_set(manifest),
        settings=settings.to_json_able(),
        rows=tuple(rows.done),
        unavailable=(*unavailable, *rows.failed),
        command=command,
        throughput=rows.throughput,
        warnings=tuple(_warnings(about, rows.done, command)),
    )


def _backends(
    settings: Settings, found: Diagnosis, manifest: ModelManifest
) -> tuple[list[str], list[Unavailable]]:
    """Names to measure, and what can't be; a BackendError where that was asked by name."""
    states = {state.name: state for state in found.backends}
    if settings.backends is None:
        missing = [Unavailable(s.name, s.reason, s.remedy) for s in found.backends if s.reason]
        return [s.name for s in found.backends if s.available], missing
    names = list(dict.fromkeys(_named(name, found) for name in settings.backends))
    for name in names:
        if name not in states:
            raise unknown_backend(name, states)
        if not states[name].available:
            raise unavailable(states[name])
        for precision in settings.precisions or ():
            if precision != "auto" and (error := refusal(name, manifest, precision)) is not None:
                raise error
    return names, []


def _named(name: str, found: Diagnosis) -> str:
    return found.auto or "cpu" if name == "auto" else name


def _input(source: Path | PhantomSpec, folder: Path, steps: Steps) -> Path:
    """The scan's place: as given, or a phantom made in the scratch folder."""
    if isinstance(source, Path):
        return source.absolute()
    from vfx_edge.outputs.dicom.ct_series import write_ct_series
    from vfx_edge.phantom import make_phantom

    steps.report("making the phantom")
    made = make_phantom(source)
    return write_ct_series(made.hu, made.affine_zyx_to_lps, folder / "ct", seed=source.seed)


def _input_facts(source: Path | PhantomSpec, size: dict[str, Any]) -> dict[str, Any]:
    if isinstance(source, Path):
        return {"kind": "ct", "phantom": None, **size}
    return {"kind": "phantom", "phantom": source.to_json_able(), **size}


def _command(
    settings: Settings, manifest: ModelManifest, path: Path, folder: Path, steps: Steps
) -> Command | None:
    """The whole command with what it takes by itself, or with the first backend named."""
    if not settings.cold:
        return None
    backend = "auto" if settings.backends is None else settings.backends[0]
    return measure_command(path, manifest, backend, settings.cold, folder, steps.report)


def _warnings(about: dict[str, Any], rows: list[Row], command: Command | None) -> Iterator[str]:
    """What makes the figures less sure."""
    if limit := os.environ.get("ONEDNN_MAX_CPU_ISA"):
        yield (
            f"ONEDNN_MAX_CPU_ISA={limit} keeps OpenVINO from faster instructions that this "
            "processor may have: unset it to measure the processor"
        )
    if about["busy"] > BUSY:
        yield (
            f"other programs took {about['busy']:.0%} of the processor when this began: "
            "close them and measure again"
        )
    for row in rows:
        if row.busy > BUSY:
            yield f"{row.name}: other programs took {row.busy:.0%} of the processor meanwhile"
        if row.warm.noisy:
            yield (
                f"{row.name}: its warm runs vary much (the middle half by {row.warm.spread:.0%} of "
                "the median): measure again with more of them, --repeat"
            )
    if command is not None and command.busy > BUSY:
        yield f"whole command: other programs took {command.busy:.0%} of the processor meanwhile"
    if command is not None and not command.page_cache_dropped:
        yield "cold: this system let the scan and the models stay in memory, so they were read fast"
