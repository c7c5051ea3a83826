"""What can go wrong between asking for a backend and reading its answer."""

import re
from pathlib import Path

from vfx_edge.errors import BackendError, ModelError

_WHERE = re.compile(r"(Exception from|Check '.*' failed at) \S+:\d+:|\[ONNXRuntimeError\] :")
"""Where in a runtime's own source something failed: of no use to who reads the sentence."""


class BackendUnknown(BackendError):
    """Nobody has this name."""

    def __init__(self, name: str, known: tuple[str, ...]) -> None:
        super().__init__(f"there is no backend '{name}': choose one of auto, {', '.join(known)}")


class BackendUnavailable(BackendError):
    """The named backend can't run here, and nothing else is taken in its place."""

    def __init__(self, name: str, reason: str, remedy: str) -> None:
        super().__init__(
            f"backend '{name}' can't be used: {reason}; {remedy or 'choose another'}, "
            "or use --backend auto"
        )


class NoBackend(BackendError):
    """Not even the last resort worked."""

    def __init__(self, skipped: tuple[tuple[str, str], ...]) -> None:
        tried = "; ".join(f"{name}: {reason}" for name, reason in skipped)
        super().__init__(f"no backend can be used here ({tried}): see `vfx-edge doctor`")


class OpenFailed(BackendError):
    """The runtime refused to open a network."""

    def __init__(self, backend: str, network: str, reason: str) -> None:
        super().__init__(
            f"backend '{backend}' could not open the network '{network}' ({one_line(reason)}): "
            "choose another backend, or see `vfx-edge doctor`"
        )


class RanElsewhere(BackendError):
    """The runtime silently put the work somewhere else than asked."""

    def __init__(self, backend: str, network: str, where: str) -> None:
        super().__init__(
            f"backend '{backend}' was asked for, but '{network}' would run on {where}: "
            "see `vfx-edge doctor` for what is missing, or use --backend auto"
        )


class RunFailed(BackendError):
    """The network was opened and then broke."""

    def __init__(self, backend: str, network: str, reason: str) -> None:
        super().__init__(
            f"backend '{backend}' failed while running '{network}' ({one_line(reason)}): "
            "try another backend, for example --backend cpu"
        )


class PrecisionUnavailable(BackendError):
    """A precision was asked for by name that can't be had, or wouldn't keep the answers."""

    def __init__(self, backend: str, network: str, wanted: str, possible: tuple[str, ...]) -> None:
        super().__init__(
            f"backend '{backend}' can't run '{network}' in {wanted}: "
            f"here and by its manifest it may run in {', '.join(possible) or 'nothing'}; ask for "
            "that, or for none, and each network takes the fastest that it may"
        )


class BudgetTooSmall(BackendError):
    """Not even one patch fits into the memory that may be used."""

    def __init__(self, network: str, needed_mib: float, allowed_mib: float) -> None:
        super().__init__(
            f"one patch of '{network}' needs about {needed_mib:.0f} MiB and the memory budget "
            f"leaves {allowed_mib:.0f} MiB: raise the budget or use a smaller model"
        )


class EngineRefused(BackendError):
    """TensorRT-RTX builds no engine of a network."""

    def __init__(self, network: str, capability: str, reason: str) -> None:
        super().__init__(
            f"TensorRT-RTX builds no engine of '{network}' for compute capability {capability} "
            f"({one_line(reason)}): use --backend tensorrt, cuda or openvino"
        )


class EngineNotWritten(BackendError):
    """An engine was built, and there is no room or right to keep it."""

    def __init__(self, path: Path, why: str, engine: bytes) -> None:
        super().__init__(
            f"the engine {path} was built and can't be kept ({why}): "
            "make room or let its folder be written"
        )
        self.engine = engine


class NotOnnx(ModelError):
    """The bytes are no ONNX network."""

    def __init__(self, path: Path, why: str) -> None:
        super().__init__(f"{path} is no usable ONNX network ({one_line(why)}): export it again")


class SignatureMismatch(ModelError):
    """The network and its manifest disagree."""

    def __init__(self, path: Path, what: str) -> None:
        super().__init__(
            f"{path} does not fit its manifest ({what}): correct the manifest or export again"
        )


class OutOfMemory(Exception):
    """Inside the backends only: the batch was too big; a smaller one may do."""


def one_line(text: object, limit: int = 200) -> str:
    """A runtime's message, fit to stand inside a sentence."""
    line = " ".join(_WHERE.sub(" ", str(text)).split()).rstrip(".:")
    return line if len(line) <= limit else line[: limit - 1] + "…"
