"""Whole networks that PyTorch saved: `torch.export` programs (.pt2) and TorchScript modules.

Such a file holds a program, and torch's own loaders run parts of it: `torch.export.load` reads
pickles without restraint, hands expressions to sympy's `eval` and looks up any function by name;
`torch.jit.load` runs `__setstate__`, and TorchScript can write files. So nothing reaches a loader
before it was looked through here, and what reaches it is a new archive made of the parts that were
looked through. Everything that is not known to be harmless is refused. That is a bound, not a
proof: export programs of people you trust.
"""

import ast
import io
import json
import pickle
import re
import warnings
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from export.checkpoints import NotACheckpoint, RunsCode, read_bytes
from export.to_onnx import program_bytes
from export.torchscript import to_program
from export.zips import MAX_BYTES, NO_ZIP, open_zip
from vfx_edge.backends.errors import one_line
from vfx_edge.errors import ModelError

_PT2_MEMBER = re.compile(
    r"models/model\.json|archive_format|archive_version|byteorder|version|\.data/\w+"
    r"|data/weights/(weight_\d+|model_weights_config\.json)"
    r"|data/constants/(tensor_\d+|model_constants_config\.json)|data/sample_inputs/model\.pt"
)
_SCRIPT_MEMBER = re.compile(
    r"(data|constants)\.pkl|(data|constants)/\d+|code/[\w/.]+\.py|version|byteorder|\.data/\w+"
)
_OPERATION = re.compile(
    r"torch\.ops\.(aten|prims)\.(?!(from_file|save|load)\b)\w+\.\w+|torch\.sym_\w+"
    r"|torch\.ops\.higher_order\.wrap_with_(set_grad_enabled|autocast)|math\.(ceil|floor|trunc)"
    r"|_operator\.(getitem|add|sub|mul|floordiv|truediv|mod|neg|pow|eq|ne|lt|le|gt|ge|and_|or_)"
)
_WORD = re.compile(
    r"\d+|[suz]f?\d+|True|False|Symbol|Integer|positive|integer|nonnegative|Add|Mul|Pow|Max|Min|Mod|PythonMod|FloorDiv|CleanDiv|CeilToInt|FloorToInt"
    r"|TruncToInt|IntTrueDiv|PowByNatural|ToFloat|int_oo"
)
_EXPRESSION = re.compile(r"[\w\s+\-*/%,()<>=']*")
_NAME = re.compile(r"[\w.+\-]*")
_FILES = {"save", "from_file", "load"}
"""TorchScript's functions that touch files."""
_KINDS = ("aten", "prim")
"""PyTorch's own operators; other libraries' may do anything."""


class NoProgram(ModelError):
    """The file holds no network of either kind."""

    def __init__(self, path: Path, why: str) -> None:
        super().__init__(
            f"{path} is no network that can be exported ({one_line(why)}): give a .pt2 file of "
            "torch.export.save or a module of torch.jit.save"
        )


@dataclass(frozen=True, eq=False)
class Program:
    """A network that can be asked and exported."""

    path: Path
    kind: str
    """".pt2" or "TorchScript"."""
    ask: Callable[[torch.Tensor], Any]
    to_onnx: Callable[[torch.Tensor, str, str], bytes]
    """(example, input name, output name) -> ONNX."""
    input_shape: tuple[int | None, ...] | None
    """None where the file does not say it, as a whole or of a dimension."""


def open_program(path: Path, data: bytes | None = None) -> Program:
    """Look through the file, then load it. data: where they are in memory already; the path names
    them in errors. Raises NoProgram and RunsCode."""
    members = _members(read_bytes(path) if data is None else data, path)
    if "models/model.json" in members:
        return _pt2(members, path)
    if "data.pkl" in members and any(name.startswith("code/") for name in members):
        return _torchscript(members, path)
    if "data.pkl" in members:
        raise NoProgram(path, "it holds weights, and no network that they belong to")
    raise NoProgram(path, "it is an archive of something else, or of an older torch")


def _members(data: bytes, path: Path) -> dict[str, bytes]:
    """Name without the archive's own folder -> bytes."""
    try:
        with open_zip(io.BytesIO(data)) as archive:
            entries = archive.infolist()
            if sum(entry.file_size for entry in entries) > MAX_BYTES:
                raise NotACheckpoint(path, "it is too long")
            return {entry.filename.partition("/")[2]: archive.read(entry) for entry in entries}
    except (OSError, *NO_ZIP) as error:
        why = f"{error}; an ONNX file goes to python -m export onnx"
        raise NoProgram(path, why) from error


def _repacked(members: dict[str, bytes], wanted: re.Pattern[str]) -> io.BytesIO:
    """A new archive of what was looked through: two readers of one could see different things."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        for name, data in members.items():
            if wanted.fullmatch(name):
                archive.writestr(f"network/{name}", data)
    out.seek(0)
    return out


# --- torch.export -------------------------------------------------------------------------------


def _pt2(members: dict[str, bytes], path: Path) -> Program:
    for name in members:
        if not _PT2_MEMBER.fullmatch(name) and not name.startswith("extra/"):
            raise RunsCode(path, [name])
    _look_through_program(members, path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            program = torch.export.load(_repacked(members, _PT2_MEMBER))
    except (RuntimeError, ValueError, KeyError, TypeError, AttributeError, AssertionError) as error:
        raise NoProgram(path, f"torch can't read it: {error}") from error
    shape = _only_input(program, path)
    return Program(
        path,
        ".pt2",
        program.module(),
        lambda _, given, answer: program_bytes(program, given, answer),
        shape,
    )


def _look_through_program(members: dict[str, bytes], path: Path) -> None:
    """RunsCode unless all is plain; what is never needed is taken out of the members."""
    model_json = "models/model.json"
    configs = [f"data/{kind}/model_{kind}_config.json" for kind in ("weights", "constants")]
    try:
        described = {name: json.loads(members[name]) for name in (*configs, model_json)}
        pickled = [e for c in configs for e in described[c]["config"].values() if e["use_pickle"]]
        torch.load(io.BytesIO(members["data/sample_inputs/model.pt"]), weights_only=True)
    except pickle.UnpicklingError as error:
        raise RunsCode(path, ["its sample inputs"]) from error
    except (KeyError, TypeError, AttributeError, ValueError, RuntimeError, EOFError) as error:
        raise NoProgram(path, f"{type(error).__name__}: {error}") from error
    if pickled:
        raise RunsCode(path, ["pickled weights"])
    for name, value in described.items():
        members[name] = json.dumps(_without_notes(value)).encode()
        for suspect in _suspects(json.loads(members[name])):
            raise RunsCode(path, [suspect[:60]])


def _without_notes(value: Any) -> Any:
    """Without where each node came from, and without guards: text that would be executed, where
    the manifest's shape is checked by us."""
    if isinstance(value, list):
        return [_without_notes(item) for item in value]
    if not isinstance(value, dict):
        return value
    emptied: dict[str, Any] = {"metadata": {}, "guards_code": []}
    return {key: emptied.get(key, _without_notes(item)) for key, item in value.items()}


def _suspects(value: Any, key: str = "") -> Iterator[str]:
    """What in a description names something that is no arithmetic, or could not be a name.

    Torch writes Python code with the names in it, and executes that.
    """
    if isinstance(value, list):
        for item in value:
            yield from _suspects(item, key)
    elif isinstance(value, dict):
        target = value.get("target")
        if "inputs" in value and isinstance(target, str) and not _OPERATION.fullmatch(target):
            yield target
        for name, item in value.items():
            yield from _suspects(str(name))
            yield from _suspects(item, name)
    elif isinstance(value, str):
        yield from _suspects_in_text(value, key)


def _suspects_in_text(text: str, key: str) -> Iterator[str]:
    if text.startswith(("[", "{")):  # the structure of inputs and outputs, as JSON inside JSON
        try:
            yield from _suspects(json.loads(text))
        except ValueError:
            yield text
    elif key == "expr_str":
        if not _is_arithmetic(text):
            yield text
    elif key == "as_operator" or text.startswith("collections.") or not _NAME.fullmatch(text):
        yield text


def _is_arithmetic(expression: str) -> bool:
    words = re.findall(r"\w+", expression)
    return bool(_EXPRESSION.fullmatch(expression)) and all(map(_WORD.fullmatch, words))


def _only_input(program: torch.export.ExportedProgram, path: Path) -> tuple[int | None, ...]:
    signature = program.graph_signature
    names = signature.user_inputs
    if len(names) != 1 or len(signature.user_outputs) != 1:
        count = f"{len(names)} inputs and {len(signature.user_outputs)} outputs"
        raise NoProgram(path, f"it has {count}, one each is known")
    (node,) = (n for n in program.graph.nodes if n.op == "placeholder" and n.name in names)
    return tuple(n if isinstance(n, int) else None for n in node.meta["val"].shape)


# --- TorchScript --------------------------------------------------------------------------------


def _torchscript(members: dict[str, bytes], path: Path) -> Program:
    for name, data in members.items():
        if name.endswith((".py", ".pkl")) and b"torch.classes" in data:
            raise RunsCode(path, ["torch.classes"])
        if name.endswith(".py"):
            for suspect in _suspects_in_script(data, path):
                raise RunsCode(path, [suspect])
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that TorchScript is deprecated
            module = torch.jit.load(  # type: ignore[no-untyped-call]
                _repacked(members, _SCRIPT_MEMBER), map_location="cpu"
            )
    except (RuntimeError, ValueError) as error:
        raise NoProgram(path, f"torch can't read it: {error}") from error
    module = module.eval().float()
    return Program(
        path,
        "TorchScript",
        module,
        lambda example, given, answer: program_bytes(
            to_program(module, example, path.name), given, answer
        ),
        None,
    )


def _suspects_in_script(source: bytes, path: Path) -> Iterator[str]:
    """TorchScript is written in a part of Python's grammar."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError) as error:
        raise NoProgram(path, "its code can't be read") from error
    qualified = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef(name="__setstate__"):
                yield "__setstate__"
            case ast.Attribute(attr=name) | ast.Constant(value=str(name)) if name in _FILES:
                yield name  # whoever has it: torch may be given another name, or asked by getattr
            case ast.Name(id="torch" | "ops" as name) if id(node) not in qualified:
                yield name
            case ast.Attribute(value=ast.Name(id="ops"), attr=kind) if kind not in _KINDS:
                yield f"ops.{kind}"
            case ast.Call(func=ast.Name(id="getattr"), args=[_, ast.Constant(value=name), *_]):
                if not _NAME.fullmatch(str(name)):
                    yield str(name)
            case _:
                pass
