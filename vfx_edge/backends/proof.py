"""Whether a network answers as its manifest says, asked before a study depends on it."""

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass

import numpy as np
from msgspec.structs import replace

from vfx_edge.backends.errors import (
    AnswerNoProbability,
    BudgetTooSmall,
    NetworkRunsNowhere,
    RunFailed,
    reason_of,
)
from vfx_edge.backends.known import default_backends
from vfx_edge.backends.network import activate
from vfx_edge.backends.onnx_file import check_signature, misfit, operations
from vfx_edge.backends.protocol import Array, Backend, Budget, Network, OnServer, TriesEightBits
from vfx_edge.errors import BackendError, ModelError
from vfx_edge.manifest import NetworkSpec

SLACK = 1e-3
"""Rounding of probabilities, and of their sum, in half precision."""
MANY = 1000
"""So many numbers don't all lie between 0 and 1 by chance."""
SAME = 0.01
"""Mean difference of probabilities below which two answers to one patch are the same."""
BY_CHANCE = {"Bernoulli", "Multinomial", "RandomNormal", "RandomNormalLike", "RandomUniform",
        "RandomUniformLike"}  # fmt: skip
"""Operations of ONNX that answer otherwise each time: no two answers need be compared to know."""


@dataclass(frozen=True)
class Proof:
    """What one backend made of a network. problem: None where it answered as it has to."""

    backend: str
    precision: str
    """That it computed in; empty where it was not opened."""
    problem: BackendError | ModelError | None = None


def ask_once(network: Network) -> None:
    """One batch of the smallest size that the network takes, of noise over its HU window.

    Raises BackendError leaves where this backend fails, OnnxInvalid where the file is not what
    its manifest says: another shape, or probabilities that would be made such a second time.
    """
    _answer(network, _noise(network.spec, network.spec.batch.min))


def prove(
    spec: NetworkSpec, onnx: bytes | None = None, backends: Mapping[str, Backend] | None = None
) -> tuple[Proof, ...]:
    """Ask a network on each backend that can run here.

    onnx: its verified bytes, if they are at hand. Raises ModelError where a file is not whole, or
    does not fit its manifest: by its outside, or by what a CPU's own runs would not show, its
    FP16 file and one patch more at once.
    """
    data = spec.read() if onnx is None else onnx
    check_signature(spec, data)
    if thrown := BY_CHANCE & operations(data, spec.path):
        what = f"its answer hangs on chance ({', '.join(sorted(thrown))}), as if it were"
        raise misfit(spec, f"{what} still in training")
    known = default_backends() if backends is None else backends
    can_run = {name: one for name, one in known.items() if one.availability().available}
    asked = {name: _ask(name, backend, spec, data) for name, backend in can_run.items()}
    answers = {name: answer for name, (_, answer) in asked.items() if answer is not None}
    proofs = [proof for proof, _ in asked.values()]
    if not answers:
        return tuple(proofs)
    last = [*answers][-1]  # the plainest runtime, in FP32
    proofs = [_beside(proof, answers, last, spec) for proof in proofs]
    _check_half(last, can_run[last], spec, answers[last])
    if spec.quantised is not None:
        _check_form(last, can_run[last], spec, spec.quantised, answers[last])
        proofs += _in_eight_bits(can_run, spec, data, answers[last])
    _check_one_more(last, can_run[last], spec, data, answers[last])
    return tuple(proofs)


def refusals(spec: NetworkSpec, proofs: Sequence[Proof]) -> tuple[Proof, ...]:
    """The backends that refuse a network although another one answers.

    Raises the first ModelError, and where no backend answers NetworkRunsNowhere, or BudgetTooSmall
    if the network is only too large for what is here.
    """
    refused = tuple(proof for proof in proofs if proof.problem is not None)
    for kind in (ModelError, BudgetTooSmall):
        for proof in refused:
            whole = kind is ModelError or len(refused) == len(proofs)
            if isinstance(proof.problem, kind) and whole:
                raise proof.problem
    if len(refused) == len(proofs):
        reasons = {proof.backend: reason_of(proof.problem) for proof in refused}
        raise NetworkRunsNowhere(spec.name, reasons)
    return refused


def _noise(spec: NetworkSpec, count: int) -> Array:
    """(count, channels, *patch_zyx), the same ones each time; the later ones are darker."""
    even = np.random.default_rng(0).uniform(size=spec.shape(count))
    for i, patch in enumerate(even):
        patch **= 1 + i
    low, high = spec.input.hu_clip
    return spec.input.normalise(low + (high - low) * even)


def _answer(network: Network, batch: Array) -> Array:
    """Raw. What is wrong with a server's answers is no word on the file that lies here."""
    if not isinstance(network, OnServer):
        return _plausible(network, batch)
    try:
        raw = _plausible(network, batch)
    except ModelError as error:
        raise RunFailed(network.backend, network.spec.name, reason_of(error)) from error
    if raw.size >= MANY and raw.min() == raw.max():
        what = f"{network.device} answers {float(raw.min()):g} everywhere, whatever it is shown"
        raise RunFailed(network.backend, network.spec.name, what)
    return raw


def _plausible(network: Network, batch: Array) -> Array:
    """Raw. `run` itself compares its shape, and refuses NaN and infinities."""
    spec, raw = network.spec, network.run(batch)
    activation, low, high = spec.output.activation, float(raw.min()), float(raw.max())
    within = low >= -SLACK and high <= 1 + SLACK
    if activation == "none":
        if not within and spec.window is None:  # a window takes what there is for logits
            raise AnswerNoProbability(spec.name, network.device, (low, high))
        if spec.adds_classes and spec.window is None and not _sums_to_one(raw):
            what = "its probabilities do not sum to 1: classes of it can't be added"
            raise misfit(spec, f"{what} by [network.classes]")
    elif within and (raw.size >= MANY if activation == "sigmoid" else _sums_to_one(raw)):
        what = f'it answers with probabilities, to which activation = "{activation}" would be'
        raise misfit(spec, f'{what} applied again: "none" is right')
    return raw


def _sums_to_one(raw: Array) -> bool:
    return raw.shape[1] > 1 and bool(np.abs(raw.sum(axis=1) - 1).max() <= SLACK)


def _ask(
    name: str, backend: Backend, spec: NetworkSpec, onnx: bytes, wanted: str = "auto"
) -> tuple[Proof, Array | None]:
    """One backend's proof, and its raw answer."""
    precision = ""
    try:
        with closing(backend.open(spec, onnx, wanted, Budget())) as network:
            precision = network.precision
            answer = _answer(network, _noise(spec, spec.batch.min))
    except (BackendError, ModelError) as error:
        return Proof(name, precision, error), None
    return Proof(name, precision), answer


def _gap(spec: NetworkSpec, one: Array, other: Array) -> float:
    """Mean absolute difference of probabilities."""
    pair = (activate(raw, spec.output.activation) for raw in (one, other))
    return float(np.abs(np.subtract(*pair)).mean())


def _beside(proof: Proof, answers: Mapping[str, Array], last: str, spec: NetworkSpec) -> Proof:
    """The proof, with a problem where the backend answers quite otherwise than the last one."""
    if proof.backend not in answers:
        return proof
    gap = _gap(spec, answers[proof.backend], answers[last])
    if gap <= max(spec.precision.max_probability_difference, SAME):
        return proof
    what = f"it answers otherwise than '{last}', by {gap:.2f} on average"
    return Proof(proof.backend, proof.precision, RunFailed(proof.backend, spec.name, what))


def _check_half(name: str, backend: Backend, spec: NetworkSpec, answer: Array) -> None:
    """OnnxInvalid where the FP16 file, which GPUs are given, is another network."""
    if spec.file_fp16 is not None:
        other = replace(spec, file=spec.file_fp16, sha256=spec.sha256_fp16)
        _check_form(name, backend, spec, other, answer)


def _check_form(
    name: str, backend: Backend, spec: NetworkSpec, other: NetworkSpec, answer: Array
) -> None:
    """OnnxInvalid where another of the network's files does not answer as its FP32 file does."""
    check_signature(other, data := other.read())
    proof, got = _ask(name, backend, other, data)
    if got is None:
        raise misfit(other, f"'{name}' refuses it: {reason_of(proof.problem)}")
    if (gap := _gap(spec, got, answer)) > max(spec.precision.max_probability_difference, SAME):
        what = f"it answers otherwise than {spec.file}, by {gap:.2f} on average"
        raise misfit(other, what)


def _in_eight_bits(
    backends: Mapping[str, Backend], spec: NetworkSpec, onnx: bytes, answer: Array
) -> list[Proof]:
    """What became of the INT8 file where it is computed in 8 bits: tried anew, by a child first."""
    found = []
    precision = replace(spec.precision, allowed=("fp32", "int8"))
    asked = replace(spec, precision=precision)
    for name, backend in backends.items():
        if isinstance(backend, TriesEightBits):
            backend.forget(spec)
            proof, got = _ask(name, backend, asked, onnx, "int8")
            answers = {} if got is None else {name: got, "": answer}
            found.append(_beside(proof, answers, "", spec))
    return found


def _check_one_more(
    name: str, backend: Backend, spec: NetworkSpec, onnx: bytes, answer: Array
) -> None:
    """OnnxInvalid where the network can't compute one patch more than the least, as GPUs do, or
    a patch's answer depends on those beside it."""
    count = spec.batch.min + 1
    if count > spec.batch.max or spec.window is not None:  # two of an nnU-Net's tiles take minutes
        return
    larger = replace(spec, batch=replace(spec.batch, min=count, opt=count, max=count))
    try:
        with closing(backend.open(larger, onnx, "auto", Budget())) as network:
            got = network.run(_noise(spec, count)[::-1])[::-1]  # each at another place
    except BudgetTooSmall:
        return  # there is no room here for two
    except (BackendError, ModelError) as error:
        what = f"[network.batch] says {spec.batch.min} to {spec.batch.max} patches at once, and"
        raise misfit(spec, f"{what} {count} fail: {reason_of(error)}") from error
    if (gap := _gap(spec, got[: len(answer)], answer)) > SAME:
        what = f"a patch's answer depends on those beside it or on chance, by {gap:.2f} on average"
        raise misfit(spec, f"{what}, as if it were still in training")
