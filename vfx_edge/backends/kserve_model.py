"""Whether a server's model is the manifest's network: its name, which holds the hash, its
configuration's word on it, and the shapes and types of what it takes and answers."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from vfx_edge.backends.errors import ServedOtherwise
from vfx_edge.backends.kserve_client import DTYPES, CallFailed, Connection, Tensor
from vfx_edge.backends.kserve_names import HASH, model_name, others
from vfx_edge.manifest import NetworkSpec


@dataclass(frozen=True)
class Served:
    """A model that was found to be the manifest's network."""

    name: str
    version: str
    precision: str
    takes: np.dtype[Any]
    """float32, or float16 where it wants its input so."""
    gives: np.dtype[Any]


def find_served(to: Connection, spec: NetworkSpec, precisions: tuple[str, ...]) -> Served | None:
    """The first of these precisions that the server has; None where it has none. CallFailed;
    ServedOtherwise where one is there and can't be the network."""
    for precision in precisions:
        name = model_name(spec, precision)
        try:
            told = to.model(name)
        except CallFailed as error:
            if error.status not in _ABSENT:
                raise
            continue
        said = to.parameters(name, told.version).get(HASH, spec.sha256)
        if said.lower() != spec.sha256.lower():
            raise ServedOtherwise(to.address, name, f"its configuration says sha256 {said[:12]}…")
        given = _matched(to, name, told.inputs, spec.input.name, spec.shape(1))
        answered = _matched(to, name, told.outputs, spec.output.name, spec.answer_shape(1))
        types = (np.dtype(DTYPES[one.datatype]) for one in (given, answered))
        return Served(name, told.version, precision, *types)
    return None


_ABSENT = ("NOT_FOUND", "INVALID_ARGUMENT")
"""How servers say that they have no such model."""


def _matched(
    to: Connection, name: str, tensors: dict[str, Tensor], wanted: str, shape: tuple[int, ...]
) -> Tensor:
    """The tensor that the manifest means. shape: with a batch of one. ServedOtherwise."""
    if wanted not in tensors:
        known = ", ".join(map(repr, tensors)) or "none"
        raise ServedOtherwise(to.address, name, f"it has no '{wanted}', there is {known}")
    tensor = tensors[wanted]
    if tensor.datatype not in DTYPES:
        what = f"'{wanted}' is of type {tensor.datatype}, FP32 or FP16 is right"
        raise ServedOtherwise(to.address, name, what)
    same = len(tensor.shape) == len(shape) and all(
        have in (-1, want) for have, want in zip(tensor.shape[1:], shape[1:], strict=True)
    )
    if not same:
        got = "x".join("?" if have < 0 else str(have) for have in tensor.shape)
        want = "x".join(map(str, shape[1:]))
        raise ServedOtherwise(to.address, name, f"'{wanted}' is {got}, ?x{want} is right")
    return tensor


def not_served(
    address: str, spec: NetworkSpec, precisions: tuple[str, ...], names: tuple[str, ...]
) -> ServedOtherwise:
    """names: of all models of the server, where it tells them."""
    found = others(spec, names)
    what = f"it has {', '.join(found)}" if found else "it has no such model"
    if found and all(f"{spec.sha256[:12]}" in one for one in found):
        what += ", and that is not what was asked for"
    return ServedOtherwise(address, model_name(spec, " or ".join(precisions)), what)
