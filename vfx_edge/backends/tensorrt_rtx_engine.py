"""Engines on disk: what each was built from, and whether it may still be used.

An engine fits one network, one FP16 form, one TensorRT-RTX version, one GPU architecture and one
range of batches. All that stands in a JSON file beside it, with the engine's own hash; whatever
differs is named and the engine is not used.
"""

import glob
import hashlib
import json
import logging
import os
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path, PurePath

from vfx_edge.backends import tensorrt_rtx_runtime as runtime
from vfx_edge.backends.cache import cache_root
from vfx_edge.backends.errors import EngineNotWritten, EngineRefused, NoCache
from vfx_edge.backends.half import half_key, half_of
from vfx_edge.backends.nvidia import dotted
from vfx_edge.errors import OutputError
from vfx_edge.files import as_output_error, write_bytes, write_text
from vfx_edge.manifest import NetworkSpec

log = logging.getLogger("vfx_edge.backends")
ENGINES = "engines"
"""The folder beside a set's manifest."""
SCHEMA = "vfx-edge/engine/1"
Shape = tuple[int, ...]


@dataclass(frozen=True)
class EngineKey:
    """All that an engine depends on."""

    onnx_sha256: str
    half: str
    """The FP16 file's hash, or the rules by which it was made from the FP32 file."""
    tensorrt_rtx: str
    sm: int
    precision: str
    input: str
    output: str
    shapes: tuple[Shape, Shape, Shape]
    """Smallest, usual and largest input."""

    def differences(self, other: "EngineKey") -> Iterator[str]:
        """In words: how `other`, an engine's, is not what is wanted."""
        ours, theirs = ((k.onnx_sha256, k.input, k.output) for k in (self, other))
        if ours != theirs:
            yield "it was built from another network"
        elif self.half != other.half:
            yield "it was built from another FP16 form of the network"
        if self.tensorrt_rtx != other.tensorrt_rtx:
            yield f"TensorRT-RTX {other.tensorrt_rtx} built it, {self.tensorrt_rtx} is installed"
        if self.sm != other.sm:
            yield f"it is for compute capability {dotted(other.sm)}, not {dotted(self.sm)}"
        if self.precision != other.precision:
            yield f"it computes in {other.precision}"
        if self.shapes != other.shapes:
            batches = "/".join(str(shape[0]) for shape in other.shapes)
            yield f"it takes batches of {batches}, which are not the manifest's"


@dataclass(frozen=True)
class EngineState:
    """One engine file. `problem` is empty when it may be used."""

    path: Path
    sm: int
    problem: str


def wanted_key(spec: NetworkSpec, sm: int) -> EngineKey:
    """What an engine of this network has to be, here and now."""
    batch = spec.batch
    return EngineKey(
        onnx_sha256=spec.sha256,
        half=half_key(spec),
        tensorrt_rtx=runtime.version(),
        sm=sm,
        precision="fp16",
        input=spec.input.name,
        output=spec.output.name,
        shapes=(spec.shape(batch.min), spec.shape(batch.opt), spec.shape(batch.max)),
    )


def beside_set(spec: NetworkSpec, sm: int) -> Path:
    """Where an engine built ahead of time lies: with the set that was named, not with the one that
    it borrows the network from."""
    return _folder(spec) / f"{_stem(spec)}.sm{sm}.engine"


def _folder(spec: NetworkSpec) -> Path:
    """Networks that are borrowed have a folder of their own: two sets may name files alike."""
    folder = spec.directory / ENGINES
    return folder if spec.directory == spec.manifest_path.parent else folder / spec.set_name


def _stem(spec: NetworkSpec) -> str:
    return "-".join(PurePath(spec.file).with_suffix("").parts)


def may_lie_in(directory: Path) -> bool:
    """Whether engines may be put beside the set in this folder: it can be written, and is not the
    program's own, which is its installer's."""
    folder = directory / ENGINES
    there = folder if folder.exists() else directory
    own = directory.is_relative_to(Path(__file__).parents[1])
    return not own and there.is_dir() and os.access(there, os.W_OK | os.X_OK)


def cache_folder() -> Path:
    """The user's folder for what can be built again; nothing is made."""
    return cache_root() / "tensorrt-rtx"


def in_cache(key: EngineKey) -> Path:
    """Where an engine built at first use lies: its whole key is in the name."""
    digest = hashlib.sha256(_json(key).encode()).hexdigest()[:24]
    return cache_folder() / f"{digest}.engine"


def read_engine(path: Path, key: EngineKey) -> bytes:
    """The engine's bytes; EngineStale names what is wrong, FileNotFoundError where none lies."""
    data = path.read_bytes()
    built, digest = _stored(path)
    if problems := list(key.differences(built)):
        raise EngineStale(path, " and ".join(problems))
    if hashlib.sha256(data).hexdigest() != digest:
        raise EngineStale(path, "it was changed or cut short after it was built")
    return data


def _stored(path: Path) -> tuple[EngineKey, str]:
    """An engine's key and hash, from the file beside it; EngineStale."""
    try:
        stored = json.loads(_sidecar(path).read_text("utf-8"))
        given = stored.pop("key")
        given["shapes"] = tuple(tuple(map(int, shape)) for shape in given["shapes"])
        built = EngineKey(**given)
        digest, schema = str(stored["engine_sha256"]), stored["schema"]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise EngineStale(path, "its .json file is missing or can't be read") from error
    if schema != SCHEMA:
        raise EngineStale(path, f"its .json file is of schema '{schema}'")
    return built, digest


class EngineStale(Exception):
    """An engine that must not be used; the text is the reason."""

    def __init__(self, path: Path, why: str) -> None:
        super().__init__(f"{path.name} is not used: {why}")
        self.why = why


def engine_states(spec: NetworkSpec) -> tuple[EngineState, ...]:
    """Every engine beside the set, fresh or not, and those in the cache that would be taken;
    nothing is raised."""
    paths = sorted(_folder(spec).glob(f"{glob.escape(_stem(spec))}.sm*.engine"))
    numbers = {path: path.stem.rpartition(".sm")[2] for path in paths}
    beside = [(path, int(sm)) for path, sm in numbers.items() if sm.isdigit()]
    return tuple(
        EngineState(path, sm, _problem(spec, path, sm)) for path, sm in (*beside, *_cached(spec))
    )


def _cached(spec: NetworkSpec) -> Iterator[tuple[Path, int]]:
    """The network's engines in the cache, and the architecture of each. Those for another version
    have other names: nobody looks for them."""
    with suppress(NoCache, OSError, ImportError):
        for path in sorted(cache_folder().glob("*.engine")):
            with suppress(EngineStale):
                built, _ = _stored(path)
                if path == in_cache(wanted_key(spec, built.sm)):
                    yield path, built.sm


def _problem(spec: NetworkSpec, path: Path, sm: int) -> str:
    try:
        read_engine(path, wanted_key(spec, sm))
    except EngineStale as error:
        return error.why
    except OSError as error:
        return f"it can't be read ({error.strerror})"
    except ImportError:
        return "the package tensorrt-rtx is not installed"
    return ""


def build_engine(spec: NetworkSpec, onnx: bytes, key: EngineKey, path: Path) -> bytes:
    """Build by the key from the network's FP32 bytes and store it at `path`, key beside it.

    Raises EngineRefused with TensorRT-RTX's reason, EngineNotWritten, ModelError leaves.
    """
    if spec.precision.stored == "int8":
        why = "it is quantised to INT8 in a form that TensorRT-RTX does not read"
        raise EngineRefused(spec.name, dotted(key.sm), why)
    place = f"'{spec.name}' for compute capability {dotted(key.sm)}"
    log.info("Building the TensorRT-RTX engine of %s, once; up to a minute", place)
    start = time.perf_counter()
    try:
        data = runtime.build(half_of(spec, onnx), key.sm, (key.input, key.output), key.shapes)
    except runtime.Refused as error:
        raise EngineRefused(spec.name, dotted(key.sm), str(error)) from error
    seconds = time.perf_counter() - start
    log.info("Built the engine of %s in %.0f s, %.1f MB", place, seconds, len(data) / 1e6)
    try:
        _store(path, data, key)
    except OutputError as error:
        reason = getattr(error.__cause__, "strerror", None) or str(error)
        raise EngineNotWritten(path, reason, data) from error
    return data


def _store(path: Path, data: bytes, key: EngineKey) -> None:
    """Engine and key, each complete or not there; the key last, as it vouches for the engine."""
    with as_output_error(path):
        _sidecar(path).unlink(missing_ok=True)
    write_bytes(path, data)
    digest = hashlib.sha256(data).hexdigest()
    record = {"schema": SCHEMA, "engine_sha256": digest, "key": asdict(key)}
    write_text(_sidecar(path), json.dumps(record, indent=1) + "\n")


def _sidecar(path: Path) -> Path:
    return path.with_name(f"{path.name}.json")


def _json(key: EngineKey) -> str:
    return json.dumps(asdict(key), sort_keys=True)
