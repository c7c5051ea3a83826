"""What can go wrong between asking for a backend and reading its answer."""

import re
from collections.abc import Mapping
from pathlib import Path

from vfx_edge.errors import BackendError, ModelError, UsageError, VfxError

_WHERE = re.compile(
    r"(Exception from|Check '.*' failed at) \S+:\d+:|\[ONNXRuntimeError\] :| ; GPU=-?\d+ ; host.*"
)
"""Where in a runtime's own source, and on which computer, something failed: left out of our
sentences, which stand in results."""


class BackendUnavailable(BackendError):
    """What was asked for can't run here, and nothing else is taken in its place."""

    def __init__(self, what: str, remedy: str) -> None:
        super().__init__(f"{what}: {remedy}")


class RequestInvalid(UsageError):
    """What was asked of the machine can't be meant."""


class OpenFailed(BackendError):
    """The runtime refused to open a network, or would silently run it somewhere else."""

    def __init__(self, backend: str, network: str, reason: str) -> None:
        self.reason = one_line(reason)
        super().__init__(
            f"backend '{backend}' could not open the network '{network}' ({self.reason}): "
            "choose another backend, or --backend auto; `vfx-edge doctor` says what is missing"
        )


class RunFailed(BackendError):
    """The network was opened and then broke."""

    def __init__(self, backend: str, network: str, reason: str) -> None:
        self.reason = one_line(reason)
        super().__init__(
            f"backend '{backend}' failed while running '{network}' ({self.reason}): "
            "try another backend, for example --backend cpu"
        )


class AnswerNoProbability(BackendError):
    """Numbers that are no probabilities, from a network whose activation is "none"."""

    def __init__(self, network: str, device: str, ends: tuple[float, float]) -> None:
        self.reason = f"it answers {ends[0]:.3g} to {ends[1]:.3g}, which are no probabilities"
        super().__init__(
            f"'{network}' on {device} is of no use ({self.reason}): name its activation, softmax "
            "or sigmoid, in the manifest in place of none; if only this backend answers so, "
            "choose another"
        )


class PrecisionUnavailable(BackendError):
    """A precision was asked for by name that can't be had, or wouldn't keep the answers."""

    def __init__(self, backend: str, network: str, wanted: str, possible: tuple[str, ...]) -> None:
        what = "any precision that its manifest allows" if wanted == "auto" else wanted
        some = f"it may run in {', '.join(possible)}; ask for that, or for none" if possible else ""
        super().__init__(
            f"backend '{backend}' can't run '{network}' in {what} on this machine: "
            f"{some or 'use another backend, or --backend auto'}"
        )


class EightBitsRefused(BackendError):
    """OpenVINO does not compute an INT8 file in 8 bits on this processor."""

    def __init__(self, network: str, reason: str, lasting: bool = True) -> None:
        self.reason = one_line(reason)
        self.lasting = lasting
        """Whether it says something of the file, not of a machine that was busy or full."""
        super().__init__(
            f"OpenVINO can't run '{network}' in int8 on this machine ({self.reason}): use "
            "--precision auto, or `vfx-edge models verify` to have it tried again"
        )


class BudgetTooSmall(BackendError):
    """Not even the smallest batch fits into the memory that may be used."""

    def __init__(
        self, network: str, needed_mib: float, allowed_mib: float, *, gpu: bool = False
    ) -> None:
        remedy = (
            "close what else uses the card, allow more (--gpu-memory) or use --backend openvino"
        )
        super().__init__(
            f"'{network}' needs about {needed_mib:.0f} MiB of {'GPU ' if gpu else ''}memory for "
            f"its smallest batch, and its share of what may be used"
            f"{', less what CUDA itself takes,' if gpu else ''} is {allowed_mib:.0f} MiB: "
            f"{remedy if gpu else 'use a smaller model, or a GPU'}"
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


class ServerFailed(BackendError):
    """The server of `--backend kserve` does not answer, or refuses to."""

    def __init__(self, address: str, reason: str, remedy: str) -> None:
        self.reason = one_line(reason)
        super().__init__(f"the server {address} does not serve ({self.reason}): {remedy}")


class ServedOtherwise(BackendError):
    """The server has no such network, or another one under its name."""

    def __init__(self, address: str, model: str, reason: str) -> None:
        self.reason = one_line(reason)
        super().__init__(
            f"the server {address} does not serve '{model}' as the manifest means it "
            f"({self.reason}): have it load what `python -m export repository` writes of this set, "
            "or name the set that it serves by --model"
        )


class OnnxInvalid(ModelError):
    """A network's file is no ONNX, or another network than its manifest says."""

    def __init__(self, path: Path, what: str) -> None:
        super().__init__(f"{path} {what}: correct the manifest or export the network again")


class NetworkRunsNowhere(ModelError):
    """No backend that is here takes a network."""

    def __init__(self, network: str, reasons: Mapping[str, str]) -> None:
        every = "; ".join(f"{backend}: {why}" for backend, why in reasons.items())
        super().__init__(
            f"no backend here runs '{network}' ({every}): export it again with operations that "
            "ONNX Runtime knows, and with its right activation in the manifest"
        )


def not_onnx(path: Path, why: object) -> OnnxInvalid:
    """The bytes are no ONNX network that a runtime can read."""
    return OnnxInvalid(path, f"is no usable ONNX network ({one_line(why)})")


class NoCache(BackendError):
    """There is no place for engines."""

    def __init__(self, variable: str) -> None:
        super().__init__(
            "this user has no home folder to keep built engines in: "
            f"name a folder in the environment variable {variable}"
        )


class OutOfMemory(Exception):
    """Inside the backends only: the batch was too big; a smaller one may do."""


def reason_of(error: VfxError | None) -> str:
    """What was wrong, fit to stand inside another sentence: without what to do about it, which
    stands after the colon of each sentence."""
    words = str(error)
    return one_line(getattr(error, "reason", words.rpartition(": ")[0] or words))


def one_line(text: object, limit: int = 200) -> str:
    """A runtime's message, fit to stand inside a sentence."""
    words = "".join(c if c.isprintable() else " " for c in _WHERE.sub(" ", str(text)))
    line = " ".join(words.split()).rstrip(".:")
    return line if len(line) <= limit else line[: limit - 1] + "…"
