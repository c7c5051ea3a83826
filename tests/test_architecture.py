"""The rules of the house (ARCHITECTURE.md), read from the syntax trees: nothing is imported."""

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "vfx_edge"
FILES = sorted(PACKAGE.rglob("*.py"))
TREES = {path: ast.parse(path.read_text("utf-8")) for path in FILES}


def _import_table() -> dict[str, set[str]]:
    """Part of the package -> the parts it may import besides itself: the table of
    ARCHITECTURE.md."""
    rows = re.findall(r"^\| `(\w+)(?:/|\.py)` \|[^|]*\|([^|]*)\|$", PLAN, re.MULTILINE)
    every = {part for part, _ in rows}
    wide = {"everything": every, "everything but cli": every - {"cli"}}
    return {
        part: wide.get(may.strip(), {name.strip() for name in may.split(",")} - {""})
        for part, may in rows
    }


PLAN = (ROOT / "ARCHITECTURE.md").read_text("utf-8")
MAY_IMPORT = _import_table() | {"__main__": {"cli"}}
MAY_IMPORT["__init__"] = set(MAY_IMPORT)

# Package of others -> the only places that may import it (prefixes of the path in vfx_edge/).
ONLY_IN = {
    "onnxruntime": ("backends/onnxruntime_",),
    "openvino": ("backends/openvino_backend.py",),
    "tensorrt": ("backends/tensorrt_",),
    "tensorrt_rtx": ("backends/tensorrt_rtx_",),
    "pynvml": ("nvml.py",),
    "pydicom": ("inputs/", "outputs/", "service/"),
    "highdicom": ("inputs/", "outputs/", "service/"),
    "pynetdicom": ("service/",),
    "filelock": ("service/store/spool.py",),
    "resvg_py": ("outputs/dicom/raster.py",),
    "starlette": ("service/",),
    "matplotlib": ("bench/",),
    "typer": ("cli",),
    "rich": ("cli",),
    "torch": (),
}
POSIX_ONLY = {"fcntl", "grp", "posix", "pwd", "resource", "syslog", "termios", "tty"}


def place(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


def part_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports_of(tree: ast.AST) -> Iterator[tuple[str, ast.stmt]]:
    """Dotted names imported anywhere in the tree; `from a import b` gives a.b."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"relative import in line {node.lineno}: write it in full"
            yield from ((f"{node.module}.{alias.name}", node) for alias in node.names)


def module_of(path: Path) -> str:
    name = path.relative_to(ROOT).with_suffix("").as_posix().replace("/", ".")
    return name.removesuffix(".__init__")


MODULES = {module_of(path): path for path in FILES}


def our_module(dotted: str) -> str | None:
    """The longest module of ours that the imported name lies in."""
    while dotted and dotted not in MODULES:
        dotted = dotted.rpartition(".")[0]
    return dotted or None


def test_parts_import_only_what_the_house_allows() -> None:
    unknown = set().union(*MAY_IMPORT.values()) - set(MAY_IMPORT)
    assert not unknown, f"ARCHITECTURE.md names parts that are not there: {unknown}"
    wrong = []
    for path, tree in TREES.items():
        part = part_of(path)
        assert part in MAY_IMPORT, (
            f"vfx_edge/{part} is new: say in ARCHITECTURE.md what it may import"
        )
        for dotted, node in imports_of(tree):
            target = (our_module(dotted) or "").split(".")[1:2]
            if target and target[0] != part and target[0] not in MAY_IMPORT[part]:
                wrong.append(f"{place(path)}:{node.lineno} imports {dotted}")
    assert not wrong, "\n".join(wrong)


def test_the_chain_knows_of_the_backends_only_their_protocol() -> None:
    used = {
        our_module(dotted)
        for path, tree in TREES.items()
        if part_of(path) in ("spine", "inference")
        for dotted, _ in imports_of(tree)
        if dotted.startswith("vfx_edge.backends")
    }
    assert used <= {"vfx_edge.backends", "vfx_edge.backends.protocol"}


def test_packages_of_others_stay_in_their_places() -> None:
    wrong = [
        f"{place(path)}:{node.lineno} imports {dotted}"
        for path, tree in TREES.items()
        for dotted, node in imports_of(tree)
        for package in [dotted.split(".")[0]]
        if package in ONLY_IN and not place(path).startswith(ONLY_IN[package] or ("\0",))
    ]
    assert not wrong, "\n".join(wrong)


def test_each_runtime_is_imported_by_one_file() -> None:
    for runtime in ("onnxruntime", "openvino", "tensorrt", "tensorrt_rtx"):
        users = {
            place(path)
            for path, tree in TREES.items()
            if any(dotted.split(".")[0] == runtime for dotted, _ in imports_of(tree))
        }
        assert len(users) <= 1, f"{runtime} is imported by {sorted(users)}"


def test_whatever_is_imported_is_a_declared_dependency() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    extras = project["optional-dependencies"]
    declared = [*project["dependencies"], *extras["service"], "tensorrt", "tensorrt_rtx"]
    names = {re.split(r"[^\w.-]", line)[0].lower().replace("-", "_") for line in declared}
    names |= {{"pillow": "pil", "nvidia_ml_py": "pynvml"}.get(name, name) for name in names}
    used = {dotted.split(".")[0] for tree in TREES.values() for dotted, _ in imports_of(tree)}
    foreign = used - set(sys.stdlib_module_names) - {"vfx_edge"}
    assert {name for name in foreign if name.lower() not in names} == set()


def test_no_import_cycles() -> None:
    graph = {
        name: {our_module(dotted) for dotted, _ in imports_of(TREES[path])} - {None, name}
        for name, path in MODULES.items()
        if name != "vfx_edge"  # its lazy public names are no imports
    }
    graph = {name: targets - {"vfx_edge"} for name, targets in graph.items()}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(f"import cycle: {' <- '.join(error.args[1])}")


@pytest.mark.parametrize("path", FILES, ids=place)
def test_file_keeps_the_house_style(path: Path) -> None:
    text = path.read_text("utf-8")
    assert text.count("\n") < 400, "too long for one file: split it by what it does"
    top_level = set(TREES[path].body)
    for node in ast.walk(TREES[path]):
        at = f"{place(path)}:{getattr(node, 'lineno', 0)}"
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                assert (node.end_lineno or 0) - node.lineno < 60, f"{at} {node.name} is too long"
            case ast.ExceptHandler():
                assert node.type is not None, f"{at} bare except"
            case ast.Call(func=ast.Name(id="print")):
                assert part_of(path) == "cli", f"{at} print outside cli"
            case ast.Import() | ast.ImportFrom() if node in top_level:
                names = {dotted.split(".")[0] for dotted, _ in imports_of(node)}
                assert not names & POSIX_ONLY, f"{at} needs POSIX"
