"""`python -m export engine`: TensorRT-RTX engines ahead of time, also where there is no GPU."""

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vfx_edge.errors import BackendError, OutputError

if TYPE_CHECKING:
    from vfx_edge.backends.tensorrt_rtx_engine import EngineKey

EXAMPLES = """\b
Examples:
  python -m export engine models/mine
  python -m export engine models/mine --sm 75 --sm 89
"""
DEFAULT_SMS = (75, 86, 89, 120)
"""Turing, Ampere, Ada and Blackwell workstation cards."""


class EngineToolMissing(BackendError):
    """Engines can't be built in this environment."""

    def __init__(self, why: str) -> None:
        super().__init__(
            f"engines can't be built here ({why}): pip install tensorrt-rtx, of the very version "
            "that the workstation has"
        )


class ArchitectureUnknown(BackendError):
    """TensorRT-RTX builds nothing for it."""

    def __init__(self, sm: int, known: tuple[int, ...]) -> None:
        choices = ", ".join(map(str, known))
        super().__init__(f"TensorRT-RTX builds no engines for --sm {sm}: choose from {choices}")


class EnginesIncomplete(OutputError):
    """Some engines could not be had."""

    def __init__(self, missing: list[str]) -> None:
        super().__init__(
            f"{len(missing)} of the engines were not built ({', '.join(missing)}): "
            "see the reasons above; other backends run these networks meanwhile"
        )


def command(
    model: Annotated[str, typer.Argument(help="Folder or name of a model set.")],
    sm: Annotated[
        list[int] | None,
        typer.Option(
            help="Compute capability without the dot: 75 Turing, 86 Ampere, 89 Ada, "
            "120 Blackwell. May be given several times. [default: these four]"
        ),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Build also where a fresh engine lies already.")
    ] = False,
) -> None:
    """Build TensorRT-RTX engines beside a model set. Needs no GPU.

    One engine a network and GPU architecture, computing in FP16, in the set's folder `engines`;
    also for the networks that it borrows. Where that folder can't be written, and for the set
    that came with the program, they go into the cache folder, which VFX_EDGE_CACHE names. An
    engine runs only with the TensorRT-RTX version that built it: install the workstation's.
    """  # fmt: skip
    log = logging.getLogger("vfx_edge.backends")
    handler = _Lines()
    level = log.level
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    try:
        missing = build_engines(model, tuple(sm or DEFAULT_SMS), force=force)
    finally:
        log.removeHandler(handler)
        log.setLevel(level)
    if missing:
        raise EnginesIncomplete(missing)


class _Lines(logging.Handler):
    """Progress of the builds, a line each, on standard error."""

    def emit(self, record: logging.LogRecord) -> None:
        typer.echo(record.getMessage(), err=True)


def build_engines(model: str | Path, sms: tuple[int, ...], *, force: bool = False) -> list[str]:
    """Build what is not there or not fresh; names of the files that TensorRT-RTX refused.

    model: a model set's folder or name. Reasons go to the log. Raises VfxError leaves for all
    that stands in the way of every engine.
    """
    from vfx_edge.backends import tensorrt_rtx_engine as engines
    from vfx_edge.backends import tensorrt_rtx_runtime as runtime
    from vfx_edge.backends.errors import EngineRefused
    from vfx_edge.backends.onnx_file import check_signature
    from vfx_edge.manifest import load_model_set

    manifest = load_model_set(model)
    try:
        known = runtime.architectures()
    except (ImportError, OSError) as error:
        raise EngineToolMissing(str(error)) from error
    for sm in sms:
        if sm not in known:
            raise ArchitectureUnknown(sm, known)
    if not (beside := engines.may_lie_in(manifest.directory)):
        engines.log.info("Engines go into the cache folder, %s", engines.cache_folder())
    missing = []
    for spec in manifest.networks:
        check_signature(spec, onnx := spec.read())
        for sm in sms:
            key = engines.wanted_key(spec, sm)
            path = engines.beside_set(spec, sm) if beside else engines.in_cache(key)
            if not force and _is_fresh(path, key):
                continue
            try:
                engines.build_engine(spec, onnx, key, path)
            except EngineRefused as error:
                engines.log.error("%s", error)
                missing.append(f"{spec.file} for --sm {sm}")
    return missing


def _is_fresh(path: Path, key: "EngineKey") -> bool:
    from vfx_edge.backends import tensorrt_rtx_engine as engines

    try:
        engines.read_engine(path, key)
    except FileNotFoundError:
        return False
    except engines.EngineStale as error:
        engines.log.info("%s", error)
        return False
    engines.log.info("%s is fresh", path.name)
    return True
