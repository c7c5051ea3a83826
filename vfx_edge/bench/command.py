"""`vfx-edge run` as people start it: a new process each time, from its start to its end."""

import contextlib
import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from vfx_edge.bench.machine import OtherWork
from vfx_edge.bench.processes import timed
from vfx_edge.bench.record import Command
from vfx_edge.bench.samples import Samples
from vfx_edge.manifest import ModelManifest


def run_command(path: Path, out: Path, cache: Path, *options: str) -> tuple[float, dict[str, Any]]:
    """`vfx-edge run PATH --json` once: seconds from its start to its end, and its result.

    cache: its folder of compiled networks. Raises what the command ended with.
    """
    words = ["vfx_edge", "run", str(path), "--json", "--quiet", "--out", str(out), *options]
    wall, printed = timed(words, cache)
    return wall, json.loads(printed)


def measure_command(
    path: Path,
    manifest: ModelManifest,
    backend: str,
    times: int,
    folder: Path,
    on_step: Callable[[str, float], None],
) -> Command:
    """Cold and first, in turn. folder: scratch, left as it is. Raises what the command raised."""
    walls: dict[str, list[float]] = {"cold": [], "first": []}
    about: list[dict[str, Any]] = []
    dropped = True
    others = OtherWork(children=True)
    for i in range(times):
        cache = Path(tempfile.mkdtemp(prefix="cache-", dir=folder))
        for at, (kind, seconds) in enumerate(walls.items()):
            on_step(f"whole command, {kind}", (2 * i + at) / (2 * times))
            if kind == "cold":
                dropped &= drop_page_cache([*_files(path), *_model_files(manifest)])
            options = ("--backend", backend, "--model", str(manifest.directory))
            wall, result = run_command(path, folder / "o", cache, *options)
            seconds.append(wall)
            about.append(result["run"])
    return Command(
        backend=backend,
        used=about[-1]["backend"]["used"],
        precision=about[-1]["backend"]["precision"],
        cold=Samples(tuple(walls["cold"])),
        first=Samples(tuple(walls["first"])),
        page_cache_dropped=dropped,
        peak_rss_mib=max(run["peak_rss_mib"] for run in about),
        busy=others.share() if sys.platform != "win32" else 0.0,
    )


def _files(path: Path) -> list[Path]:
    return [p for p in path.rglob("*") if p.is_file()] if path.is_dir() else [path]


def _model_files(manifest: ModelManifest) -> list[Path]:
    return [path for spec in manifest.networks for path in spec.paths.values()]


def drop_page_cache(paths: Iterable[Path]) -> bool:
    """Ask the system to forget what it holds of these files; whether it took the request.

    The programs' own files stay in memory: other processes hold them.
    """
    if not hasattr(os, "posix_fadvise"):
        return False
    done = True
    for path in paths:
        try:
            handle = os.open(path, os.O_RDONLY)
        except OSError:
            done = False
            continue
        try:
            with contextlib.suppress(OSError):  # a read-only file system has nothing to write
                os.fsync(handle)  # what is not yet written can't be forgotten
            os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
        except OSError:
            done = False
        finally:
            os.close(handle)
    return done
