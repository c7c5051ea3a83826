"""`vfx-edge run` as people start it: a new process each time, from its start to its end."""

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vfx_edge.bench.machine import OtherWork
from vfx_edge.bench.processes import started
from vfx_edge.bench.record import Command
from vfx_edge.bench.samples import Samples
from vfx_edge.errors import BackendError, InputError, ModelError, OutputError, VfxError
from vfx_edge.manifest import ModelManifest


class CommandFailed(VfxError):
    """`vfx-edge run` ended without a result, and without a word of ours."""

    def __init__(self, code: int, words: str) -> None:
        super().__init__(
            f"`vfx-edge run` ended with exit code {code} ({words or 'it said nothing'}): "
            "see what it says by itself"
        )


def again(exit_code: int, sentence: str) -> VfxError:
    """The failure of another process of ours, to be raised in this one."""
    kinds = (InputError, ModelError, BackendError, OutputError)
    kind = next((kind for kind in kinds if kind.exit_code == exit_code), VfxError)
    return kind(sentence)


@dataclass
class CommandRuns:
    """What the runs of the command told, one after another."""

    cold: list[float] = field(default_factory=list)
    first: list[float] = field(default_factory=list)
    dropped: bool = True
    last: dict[str, Any] = field(default_factory=dict)
    peak_rss_mib: float = 0.0
    busy: float = 0.0

    def summary(self, backend: str) -> Command:
        use = self.last["backend"]
        return Command(
            backend=backend,
            used=use["used"],
            precision=use["precision"],
            cold=Samples(tuple(self.cold)),
            first=Samples(tuple(self.first)),
            page_cache_dropped=self.dropped,
            peak_rss_mib=self.peak_rss_mib,
            busy=self.busy,
        )


def measure_command(
    path: Path,
    manifest: ModelManifest,
    backend: str,
    times: int,
    folder: Path,
    say: Callable[[str, int], None],
) -> Command:
    """Cold and first, in turn. folder: scratch, left as it is. Raises what the command raised."""
    runs = CommandRuns()
    others = OtherWork(children=True)
    for i in range(times):
        cache = Path(tempfile.mkdtemp(prefix="cache-", dir=folder))
        say("whole command, cold", 2 * i)
        runs.dropped &= drop_page_cache([*_files(path), *_model_files(manifest)])
        runs.cold.append(_seconds(path, manifest, backend, cache, folder, runs))
        say("whole command, first", 2 * i + 1)
        runs.first.append(_seconds(path, manifest, backend, cache, folder, runs))
    runs.busy = others.share() if sys.platform != "win32" else 0.0
    return runs.summary(backend)


def _seconds(
    path: Path, manifest: ModelManifest, backend: str, cache: Path, folder: Path, runs: CommandRuns
) -> float:
    """One run, from its start to its end; what it says of itself goes into `runs`."""
    options = ("--backend", backend, "--model", str(manifest.directory), "--out", str(folder / "o"))
    words = ["vfx_edge", "run", str(path), "--json", "--quiet", *options]
    begin = time.perf_counter()
    with started(words, cache, stderr=subprocess.PIPE) as process:
        told, complained = process.communicate()
    wall = time.perf_counter() - begin
    if process.returncode:
        raise _failure(process.returncode, complained.decode("utf-8", "replace").strip())
    runs.last = json.loads(told)["run"]
    runs.peak_rss_mib = max(runs.peak_rss_mib, runs.last["peak_rss_mib"])
    return wall


def _failure(code: int, words: str) -> VfxError:
    last = words.splitlines()[-1] if words else ""
    known = last.startswith("vfx-edge: ") and code in (3, 4, 5, 6)
    return again(code, last.removeprefix("vfx-edge: ")) if known else CommandFailed(code, last)


def _files(path: Path) -> list[Path]:
    return [p for p in path.rglob("*") if p.is_file()] if path.is_dir() else [path]


def _model_files(manifest: ModelManifest) -> list[Path]:
    paths = [spec.path for spec in manifest.networks]
    return paths + [spec.path_fp16 for spec in manifest.networks if spec.path_fp16 is not None]


def drop_page_cache(paths: Iterable[Path]) -> bool:
    """Ask the system to forget what it holds of these files; whether it took the request.

    The programs' own files stay where they are: those of other processes can't be told to go.
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
