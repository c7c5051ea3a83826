"""What a benchmark leaves behind: `vfx-edge/bench/1`, as types and as JSON.

Every run's own time is kept, so that two files can be compared with regard to their noise. Nothing
of a scan is kept but its size, and no path.
"""

import json
from dataclasses import dataclass, fields, is_dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import msgspec

from vfx_edge.bench.parity import Parity
from vfx_edge.bench.samples import Samples
from vfx_edge.errors import InputError
from vfx_edge.files import write_text

SCHEMA = "vfx-edge/bench/1"
Json = dict[str, Any]


class NotABenchmark(InputError):
    """The file is nothing that `vfx-edge bench --json` wrote."""

    def __init__(self, path: Path, why: str) -> None:
        super().__init__(
            f"{path} is no result of `vfx-edge bench` ({why}): "
            "give a file that `vfx-edge bench --json FILE` wrote"
        )


@dataclass(frozen=True)
class Row:
    """One backend in one precision."""

    backend: str
    precision: str
    """What it computed in; "bf16+fp32" where networks differ."""
    chosen: bool
    """Whether this is what the backend takes by itself."""
    device: str
    open_s: float
    """Opening the networks with nothing cached: reading, compiling, building engines."""
    first_s: float
    """The first study with them."""
    warm: Samples
    """Each study after it, from path to files."""
    stages: dict[str, Samples]
    """Of the warm ones; "other" is what no stage accounts for."""
    peak_rss_mib: float
    peak_vram_mib: float | None
    parity: Parity
    busy: float = 0.0
    """Share of all processor time that other programs took during the warm runs, 0..1."""
    warnings: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return f"{self.backend} {self.precision}"


@dataclass(frozen=True)
class Unavailable:
    """What was asked for, or could have been, and can't be had here."""

    name: str
    reason: str
    remedy: str = ""


@dataclass(frozen=True)
class Command:
    """`vfx-edge run` as a new process, from its start to its end."""

    backend: str
    """As asked for: "auto" or a name."""
    used: str
    precision: str
    cold: Samples
    """Nothing cached: the scan and the models out of the page cache, no compiled networks."""
    first: Samples
    """Again, with all of it cached."""
    page_cache_dropped: bool
    peak_rss_mib: float
    busy: float = 0.0
    """Share of all processor time that other programs took meanwhile, 0..1; 0 on Windows, where it
    is not known."""


@dataclass(frozen=True)
class Throughput:
    """Several studies in one process, the next one read while one is analysed."""

    backend: str
    precision: str
    studies: int
    seconds: float
    peak_rss_mib: float

    @property
    def per_minute(self) -> float:
        return 60 * self.studies / self.seconds


_FACTS = {
    "machine": ("cpu", "memory_gib", "gpu", "driver", "os", "python", "packages"),
    "input": ("kind", "phantom", "shape_zyx", "spacing_zyx_mm"),
    "models": ("networks",),
}
"""What a comparison looks up in the parts that are kept as they were written."""


@dataclass(frozen=True)
class Record:
    """One benchmark, whole."""

    started_at: str
    version: str
    input: Json
    """kind ("phantom" or "ct"), phantom (its spec or None), shape_zyx, spacing_zyx_mm, int16_mib"""
    machine: Json
    threads: int
    models: Json
    settings: Json
    rows: tuple[Row, ...]
    unavailable: tuple[Unavailable, ...] = ()
    command: Command | None = None
    throughput: Throughput | None = None
    warnings: tuple[str, ...] = ()
    reference: str = "cpu fp32"

    @property
    def default_row(self) -> Row | None:
        """The row of what `vfx-edge run` takes by itself, or was asked to; None if it failed."""
        if self.command is None:
            return next(iter(self.rows), None)
        wanted = f"{self.command.used} {self.command.precision}"
        return next((row for row in self.rows if row.name == wanted), None)

    def to_json_able(self) -> Json:
        return {"schema": SCHEMA, **to_json_able(self)}

    @classmethod
    def from_json_able(cls, value: Json) -> "Record":
        """KeyError, TypeError or ValueError where it is none."""
        for part, names in _FACTS.items():
            for name in names:
                value[part][name]
        return msgspec.convert(value, cls)


def to_json_able(value: Any) -> Any:
    """A part of a record as JSON has it: seconds to a millionth, memory to a tenth of a MiB."""
    if isinstance(value, Samples):
        return value.to_json_able()
    if isinstance(value, tuple):
        return [to_json_able(item) for item in value]
    if isinstance(value, dict):
        return {name: to_json_able(item) for name, item in value.items()}
    if not is_dataclass(value):
        return value
    found = {f.name: to_json_able(getattr(value, f.name)) for f in fields(value)}
    for name, item in found.items():
        if isinstance(item, float) and name.endswith(("_s", "seconds", "_mib")):
            found[name] = round(item, 1 if name.endswith("_mib") else 6)
    if isinstance(value, Throughput):
        found["studies_per_minute"] = round(value.per_minute, 3)
    return found


def write_record(record: Record, path: Path) -> Path:
    """OutputError where the place can't be written."""
    text = json.dumps(record.to_json_able(), indent=1, ensure_ascii=False, allow_nan=False)
    return write_text(path, text + "\n")


def read_record(path: Path) -> Record:
    """A file that `write_record` wrote; NotABenchmark where it is something else or cut short."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise NotABenchmark(path, error.strerror or "it can't be read") from error
    except ValueError as error:  # no UTF-8, or no JSON
        raise NotABenchmark(path, "it is no JSON, or it is cut short") from error
    schema = value.get("schema") if isinstance(value, dict) else None
    if schema != SCHEMA:
        raise NotABenchmark(path, f"its schema is {schema or 'not named'}, not {SCHEMA}")
    try:
        return Record.from_json_able(value)
    except (KeyError, TypeError, ValueError) as error:
        raise NotABenchmark(path, f"it lacks or distorts {error}") from error


def load_schema() -> Json:
    """The JSON Schema (draft 2020-12) that every result is valid against."""
    text = files("vfx_edge.bench").joinpath("bench.schema.json").read_text(encoding="utf-8")
    schema: Json = json.loads(text)
    return schema
