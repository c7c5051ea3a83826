"""OpenVINO in 8 bits, tried by another process: some networks end the one that compiles them.

The first time that an INT8 file is opened on a machine, a child compiles it and answers. What came
of it is kept in the cache folder, by the file, OpenVINO's version and the processor, so that it
costs its seconds once.
"""

import hashlib
import os
import pickle
import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vfx_edge.backends.cache import cache_root
from vfx_edge.backends.errors import EightBitsRefused, NoCache
from vfx_edge.backends.machine import cpu_flags, cpu_name
from vfx_edge.backends.network import activate
from vfx_edge.backends.protocol import Array
from vfx_edge.errors import OutputError
from vfx_edge.files import write_text
from vfx_edge.manifest import NetworkSpec
from vfx_edge.parallel import own_environment

SAME = 0.01
"""Mean difference of probabilities that 8 bits may make against the same roundings in floats."""
SECONDS = 300.0
"""For a child; it takes two, unless the machine is very busy."""
GOOD = "answers"
CHILD = "vfx_edge.backends.openvino_child"
_CRASHES = tuple(
    -getattr(signal, name)
    for name in ("SIGSEGV", "SIGBUS", "SIGFPE", "SIGILL", "SIGABRT")
    if hasattr(signal, name)
)
"""How a process ends by its own fault (Windows: 0xC0000000 and above); by any other signal somebody
or the system ended it."""


@dataclass(frozen=True)
class Trial:
    """What a child is to do: everything that decides how the network is compiled."""

    spec: NetworkSpec
    """Of the INT8 file itself."""
    onnx: bytes
    batch: int
    threads: int | None


def check(spec: NetworkSpec, onnx: bytes, version: str, batch: int, threads: int | None) -> None:
    """EightBitsRefused where a child that opened the INT8 file died, never answered, or answered
    otherwise than in floats, now or when it was tried before."""
    path = _kept_at(onnx, version, batch)
    verdict = _read(path)
    if not verdict:
        verdict = _tried(Trial(spec, onnx, batch, threads))
        if path is not None:
            with suppress(OutputError, OSError):  # then it is tried again next time
                path.parent.mkdir(parents=True, exist_ok=True)
                write_text(path, verdict)
    if verdict != GOOD:
        raise EightBitsRefused(spec.name, verdict)


def forget(onnx: bytes, version: str, batch: int) -> None:
    """Have the file tried again when it is opened next."""
    if (path := _kept_at(onnx, version, batch)) is not None:
        with suppress(OSError):
            path.unlink(missing_ok=True)


def answers(trial: Trial, patches: Array) -> tuple[Array, Array]:
    """A child's answers to (n, channels, *patch_zyx): in 8 bits, and in floats with the same
    roundings; raw. EightBitsRefused where there are none."""
    order = pickle.dumps((trial, patches))
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-m", CHILD],  # -P: nothing of the folder we stand in
            env=own_environment(),
            input=order,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=SECONDS,
            check=False,
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        )
    except subprocess.TimeoutExpired:
        why = f"no answer within {SECONDS:.0f} s"
        raise EightBitsRefused(trial.spec.name, why, lasting=False) from None
    except OSError as error:
        why = f"no process for it: {error}"
        raise EightBitsRefused(trial.spec.name, why, lasting=False) from error
    if code := done.returncode:
        why = f"it ended the process that tried it, with {code}"
        raise EightBitsRefused(trial.spec.name, why, lasting=code in _CRASHES or code >= 0xC0000000)
    eight, floats = np.frombuffer(done.stdout, np.float32).reshape(
        2, *trial.spec.answer_shape(len(patches))
    )
    return eight, floats


def _tried(trial: Trial) -> str:
    """GOOD, or what is wrong with the file. EightBitsRefused where nothing can be said of it."""
    spec, even = trial.spec, np.random.default_rng(0).uniform(size=trial.spec.shape(1))
    low, high = spec.input.hu_clip
    try:
        both = answers(trial, spec.input.normalise(low + (high - low) * even))
    except EightBitsRefused as error:
        if not error.lasting:  # the next one may tell
            raise
        return error.reason
    one, other = (activate(raw, spec.output.activation) for raw in both)
    gap = float(np.abs(one - other).mean())
    return GOOD if gap <= SAME else f"8 bits answer otherwise than floats, by {gap:.2f}"


def _kept_at(onnx: bytes, version: str, batch: int) -> Path | None:
    """The file that keeps what came of it; None where this machine has no place for any."""
    processor = (cpu_name(), *sorted(cpu_flags()), os.environ.get("ONEDNN_MAX_CPU_ISA", ""))
    facts = "\n".join((version, str(batch), *processor)).encode()
    key = hashlib.sha256(facts + onnx).hexdigest()
    try:
        return cache_root() / "int8" / key
    except NoCache:
        return None


def _read(path: Path | None) -> str:
    try:
        return "" if path is None else path.read_text(encoding="utf-8")[:400]
    except (OSError, UnicodeDecodeError):
        return ""
