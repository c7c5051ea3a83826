"""A plain ONNX network made what the product feeds and reads: one input and one output, float32,
channels first, a fixed patch. It is asked before and after, and has to answer the same."""

import copy
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from onnx import (
    GraphProto,
    ModelProto,
    NodeProto,
    TensorProto,
    ValueInfoProto,
    checker,
    helper,
    shape_inference,
)  # fmt: skip

from export.by_manifest import Made, Misfit, by
from export.finishing import NoNumbers, strip
from export.onnx_asking import KINDS, Floats, ask
from export.onnx_reading import NotOnnx, kind_name, oldest_format, opset_of, upgraded
from export.template import Facts
from vfx_edge.backends.half import QUANTISED, nodes_of, read_by, stored_in
from vfx_edge.manifest import NetworkSpec
from vfx_edge.vocabulary import Stored

SAME: dict[Stored, float] = {"fp32": 1e-5, "int8": 1e-5, "fp16": 2e-3}
"""Of the largest answer. ONNX Runtime rounds an FP16 file on the CPU here and there as it likes."""
_TO_FIRST = (0, 4, 1, 2, 3)
_PASSING = ("Cast", "DequantizeLinear", "Identity", "QuantizeLinear", "Transpose")
"""They leave probabilities what they are."""
_MOST_CHANNELS = 4
"""That an input is taken to have where its layout has to be guessed."""
Shape = tuple[int | None, ...]
Form = Literal["as it is", "channels last", "flat"]
"""Of an answer; flat: voxel by voxel of a grid of one."""
Step = tuple[str, dict[str, Any]]
_TURNS: dict[Form, list[Step]] = {
    "as it is": [],
    "channels last": [("Transpose", {"perm": _TO_FIRST})],
    "flat": [("Flatten", {"axis": 1})],
}
"""What has to be done to it."""


@dataclass(frozen=True)
class Ends:
    """The one input and the one output of a network, as they are in its file."""

    input: ValueInfoProto
    output: ValueInfoProto


def facts_of(model: ModelProto, path: Path) -> Facts:
    """What the template can be filled with. NotOnnx when no output can be used."""
    problems = {value.name: _problem(value) for value in model.graph.output}
    usable = [name for name, problem in problems.items() if not problem]
    if not usable:
        why = "; ".join(f"output '{name}' {why}" for name, why in problems.items())
        raise NotOnnx(path, why or "it has no output", "export it to answer a number a class")
    if len(usable) > 1:
        inputs = tuple(value.name for value in model.graph.input)
        note = "It has several outputs: name one in [network.output]."
        return Facts(inputs=inputs, outputs=tuple(usable), stored=stored_in(model), notes=(note,))
    ends = _only(model, usable[0], path)
    given, answer = shape_of(ends.input), shape_of(ends.output)
    last = _ends_in_channels(given)
    slices = len(given) == 4
    if last:
        given = _picked(given, (0, len(given) - 1, *range(1, len(given) - 1)))
        answer = _picked(answer, _TO_FIRST) if len(answer) == 5 else answer
    batch, channels, *patch = given if len(given) in (4, 5) else (None,) * 5
    return Facts(
        channels=channels,
        patch=(*(None,) * slices, *patch),
        slices=slices,
        batch=batch,
        classes=answer[1] if len(answer) > 1 else None,
        voxelwise={2: False, 5: True}.get(len(answer)),
        inputs=(ends.input.name,),
        outputs=(ends.output.name,),
        activation="none" if _last_step(model, usable[0]) else None,
        stored=stored_in(model),
        notes=_notes(model, last),
    )


def fitted(model: ModelProto, spec: NetworkSpec, path: Path) -> Made:
    """The file's network as the manifest says it is. Raises Misfit, NotOnnx and NoNumbers."""
    ends = _only(model, spec.output.name, path)
    last = _checked_layout(model, ends, spec, path)
    batch = _batch(ends, spec, path)
    noise = np.random.default_rng(0).standard_normal(spec.shape(batch), dtype=np.float32)
    before = ask(model, noise.transpose(_to_last(noise.ndim)) if last else noise, path)
    form = _form(before.shape, spec, batch, last, path)
    if not np.isfinite(before).all():
        raise NoNumbers(path.name)
    notes = _notes(model, last)
    new = upgraded(model, path)
    _wrap(new.graph, ends, _to_last(noise.ndim) if last else (), form)
    wanted = _turned(before, form)
    _set_shapes(new.graph, spec, shape_of(ends.input), wanted.shape)
    new = _finished(new, path)
    gap = np.abs(ask(new, noise, path) - wanted).max() / max(1.0, np.abs(wanted).max())
    if not gap <= SAME[spec.precision.stored]:
        raise NotOnnx(path, f"its answers change by {gap:.1e} when it is made fit to be run here")
    return Made(new.SerializeToString(deterministic=True), notes)


# --- what it is ---------------------------------------------------------------------------------


def shape_of(value: ValueInfoProto) -> Shape:
    """None stands for a free dimension; empty where the file does not say it."""
    dims = value.type.tensor_type.shape.dim
    return tuple(dim.dim_value if dim.dim_value > 0 else None for dim in dims)


def _problem(value: ValueInfoProto) -> str:
    """Why it can't be an input or output of ours; empty when it can."""
    kind = value.type.tensor_type.elem_type
    if not value.type.HasField("tensor_type"):
        return "is no tensor"
    if kind not in KINDS:
        return f"holds {kind_name(kind).lower()}, not floating-point numbers"
    return ""


def _only(model: ModelProto, output: str, path: Path) -> Ends:
    """Take from the graph all that this output does not need; one input has to remain."""
    graph = model.graph
    found = [value for value in graph.output if value.name == output]
    if not found:
        names = ", ".join(f"'{value.name}'" for value in graph.output)
        raise Misfit(path, f"it has no output '{output}', there is {names}")
    needed, nodes = {output}, []
    for node in reversed(graph.node):
        if needed.intersection(node.output):
            needed.update(read_by(node))
            nodes.append(node)
    inputs = [value for value in graph.input if value.name in needed]
    _replace(graph.node, nodes[::-1])
    _replace(graph.output, found)
    _replace(graph.input, inputs)
    for i, tensor in reversed(list(enumerate(graph.initializer))):
        if tensor.name not in needed:
            del graph.initializer[i]
    if len(inputs) != 1 or not nodes:
        names = ", ".join(f"'{value.name}'" for value in inputs) or "none"
        why = f"its output '{output}' needs the inputs {names}, one is known"
        raise NotOnnx(path, why, "export it with one input, the others as constants")
    for kind, value in (("input", inputs[0]), ("output", found[0])):
        if problem := _problem(value):
            raise NotOnnx(path, f"its {kind} '{value.name}' {problem}", "export it with float32")
    return Ends(*(copy.deepcopy(value) for value in (inputs[0], found[0])))


def _replace(field: Any, items: Iterable[Any]) -> None:
    kept = [copy.deepcopy(item) for item in items]
    del field[:]
    field.extend(kept)


def _ends_in_channels(shape: Shape) -> bool:
    """Whether an input looks like (n, z, y, x, channels), or (n, rows, columns, channels)."""
    if len(shape) not in (4, 5) or shape[-1] is None or shape[-1] > _MOST_CHANNELS:
        return False
    return shape[1] is None or shape[1] > shape[-1]


def _to_last(axes: int) -> tuple[int, ...]:
    return (0, *range(2, axes), 1)


def _picked(shape: Shape, order: Sequence[int]) -> Shape:
    return tuple(shape[i] for i in order)


def _last_step(model: ModelProto, output: str) -> str:
    """ "Softmax" or "Sigmoid" where the network ends in one; empty otherwise."""
    makers = {name: node for node in model.graph.node for name in node.output}
    node = makers.get(output)
    while node is not None and node.op_type in _PASSING:
        node = makers.get(node.input[0])
    return node.op_type if node is not None and node.op_type in ("Softmax", "Sigmoid") else ""


def _notes(model: ModelProto, last: bool) -> tuple[str, ...]:
    """What people have to know of the file, in sentences."""
    notes = ["It takes channels last: axes are turned around on the way in."] * last
    match stored_in(model):
        case "int8":
            found = {node.op_type for node in nodes_of(model.graph.node)} & QUANTISED
            kind = "static, QDQ"
            if found & {"ConvInteger", "MatMulInteger", "DynamicQuantizeLinear"}:
                kind = "dynamic"
            elif found & {"QLinearConv", "QLinearMatMul"}:
                kind = "static, QOperator"
            notes.append(
                f"It is quantised to INT8 ({kind}): it has no FP16 form. What the quantising "
                "changed, `export parity --checkpoint` with the float network's .onnx says."
            )
        case "fp16":
            notes.append("It computes in FP16 as it is; a CPU computes that in FP32, rounded.")
        case _:
            pass
    return tuple(notes)


# --- what the manifest says of it ---------------------------------------------------------------


def _checked_layout(model: ModelProto, ends: Ends, spec: NetworkSpec, path: Path) -> bool:
    """Whether the input takes channels last; Misfit where anything is not as the manifest says."""
    if ends.input.name != spec.input.name:
        raise Misfit(path, f"its input is '{ends.input.name}', not '{spec.input.name}'")
    if (stored := stored_in(model)) != spec.precision.stored:
        what = f'its numbers are {stored}: say stored = "{stored}" in [network.precision]'
        raise Misfit(path, what)
    own, wanted = shape_of(ends.input)[1:], spec.shape(1)[1:]
    if not own or _fits(own, wanted):
        return False
    if _fits(own, (*wanted[1:], wanted[0])):
        return True
    raise Misfit(path, f"it takes {by(own)}, the manifest says {by(wanted)}")


def _fits(own: Shape, wanted: Shape) -> bool:
    same = all(have in (None, want) for have, want in zip(own, wanted, strict=False))
    return len(own) == len(wanted) and same


def _batch(ends: Ends, spec: NetworkSpec, path: Path) -> int:
    """How many patches to ask it of: two where it says that it takes any number."""
    own, sizes = (shape_of(ends.input) or (None,))[0], spec.batch
    if own is None:
        return min(max(2, sizes.min), sizes.max)
    if not sizes.min == sizes.max == own:
        what = f"it takes batches of {own}: say min, opt and max = {own} in [network.batch]"
        raise Misfit(path, what)
    return own


def _form(shape: Shape, spec: NetworkSpec, batch: int, last: bool, path: Path) -> Form:
    """What has to be done to an answer of this shape; Misfit where nothing helps."""
    classes, patch = len(spec.output.classes), tuple(spec.input.patch_zyx)
    forms: list[tuple[Form, Shape]] = [
        ("as it is", (batch, classes)),
        ("as it is", (batch, classes, *patch)),
        ("channels last", (batch, *patch, classes)),
        *(("flat", (batch, classes, *(1,) * n)) for n in (1, 2, 3)),
    ]  # fmt: skip
    if last:
        forms.insert(0, forms.pop(2))
    for form, wanted in forms:
        if shape == wanted:
            return form
    what = f"it answers {by(shape)} to {by(spec.shape(batch))}"
    raise Misfit(path, f"{what}, the manifest names {classes} classes")


# --- what is done to it -------------------------------------------------------------------------


def _wrap(graph: GraphProto, ends: Ends, to_last: tuple[int, ...], form: Form) -> None:
    """Float32 and channels first on both sides; the names of input and output stay. to_last: turns
    what is given around; empty where the network takes it as it is."""
    given, answer = ends.input.name, ends.output.name
    before = [("Transpose", {"perm": to_last})] * bool(to_last) + _casts(ends.input, inside=True)
    after = _casts(ends.output, inside=False) + _TURNS[form]
    if before:
        _rename(graph, given, f"{given}.own")
    if after:
        _rename(graph, answer, f"{answer}.own")
    nodes = [*_chain(before, given, f"{given}.own"), *graph.node]
    nodes += _chain(after, f"{answer}.own", answer)
    _replace(graph.node, nodes)


def _casts(value: ValueInfoProto, *, inside: bool) -> list[Step]:
    kind = value.type.tensor_type.elem_type
    if kind == TensorProto.FLOAT:
        return []
    return [("Cast", {"to": kind if inside else TensorProto.FLOAT})]


def _chain(steps: Sequence[Step], first: str, last: str) -> list[NodeProto]:
    names = [first, *(f"{last}.{i}" for i in range(1, len(steps))), last]
    return [
        helper.make_node(operation, [names[i]], [names[i + 1]], f"{last}.{operation}", **more)
        for i, (operation, more) in enumerate(steps)
    ]


def _rename(graph: GraphProto, old: str, new: str) -> None:
    for node in nodes_of(graph.node):
        for field in (node.input, node.output):
            field[:] = [new if name == old else name for name in field]


def _set_shapes(graph: GraphProto, spec: NetworkSpec, own: Shape, answer: Shape) -> None:
    """Input and output as they are now; what lies between is inferred anew by each runtime."""
    batch: int | str = (own or (None,))[0] or "batch"
    sizes = ((spec.input.name, spec.shape(1)), (spec.output.name, answer))
    values = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, (batch, *shape[1:]))
        for name, shape in sizes
    ]
    _replace(graph.input, values[:1])
    _replace(graph.output, values[1:])
    del graph.value_info[:], graph.quantization_annotation[:]


def _turned(answer: Floats, form: Form) -> Floats:
    if form == "channels last":
        return answer.transpose(_TO_FIRST)
    return answer.reshape(answer.shape[:2]) if form == "flat" else answer


def _finished(model: ModelProto, path: Path) -> ModelProto:
    """The graph and nothing else, in the oldest format that holds it, checked."""
    for node in nodes_of(model.graph.node):
        node.domain = ""
    opset = helper.make_opsetid("", opset_of(model))
    new = helper.make_model(model.graph, opset_imports=[opset], ir_version=oldest_format(model))
    strip(new)
    try:
        checker.check_model(new, full_check=True)
    except (checker.ValidationError, shape_inference.InferenceError, ValueError) as error:
        raise NotOnnx(path, error) from error
    return new
