"""The rules of the house (ARCHITECTURE.md), read from the syntax trees: nothing is imported."""

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
ROOTS = ("vfx_edge", "export", "models", "benchmarks", "integration", "tests")
TREES = {
    path.relative_to(ROOT): ast.parse(path.read_text("utf-8"))
    for root in ROOTS
    for path in sorted((ROOT / root).rglob("*.py"))
}
PACKAGE = {path: tree for path, tree in TREES.items() if path.parts[0] == "vfx_edge"}

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
    "SimpleITK": ("inputs/decoder_process.py",),
    "gdcm": ("inputs/decoder_process.py",),
    "resvg_py": ("outputs/dicom/raster.py",),
    "starlette": ("service/", "reading/"),
    "matplotlib": ("bench/",),
    "pyarrow": ("batch/parquet.py",),
    "requests": ("inputs/dicomweb", "service/"),
    "urllib3": ("inputs/dicomweb_server.py",),
    "python_multipart": ("inputs/multipart.py",),
    "ray": ("batch/ray_actors.py",),
    "submitit": ("batch/slurm_jobs.py",),
    "tritonclient": ("backends/kserve_client.py",),
    "typer": ("cli",),
    "rich": ("cli",),
    "mirp": ("radiomics/mirp_features.py",),
    "torch": (),
}
NAMED_OTHERWISE = {
    "pillow": "pil",
    "py_minisign": "minisign",
    "onnxruntime_gpu": "onnxruntime",
    "fhir.resources": "fhir",
    "nvidia_ml_py": "pynvml",
    "pyjpegls": "jpeg_ls",
    "grpcio": "grpc",
    "protobuf": "google",
    "python_gdcm": "gdcm",
    "scikit_learn": "sklearn",
}
POSIX_ONLY = {"fcntl", "grp", "posix", "pwd", "resource", "syslog", "termios", "tty"}


def part_of(path: Path) -> str:
    """The row of ARCHITECTURE.md's tables that the file belongs to."""
    if path.parts[0] == "vfx_edge":
        return path.parts[1].removesuffix(".py")
    if path.parts[0] == "models":
        return "nets" if path.as_posix() == "models/recipes/nets.py" else "recipes"
    return path.parts[0]


def _import_table() -> dict[str, set[str]]:
    """Part -> the parts it may import besides itself: the tables of ARCHITECTURE.md."""
    text = (ROOT / "ARCHITECTURE.md").read_text("utf-8")
    rows = re.findall(r"^\| `([\w/]+?)(?:/|\.py)` \|[^|]*\|([^|]*)\|$", text, re.MULTILINE)
    every = {part_of(path) for path in PACKAGE} - {"__init__", "__main__"}
    wide = {
        "everything": every,
        "everything but cli": every - {"cli"},
        "everything but cli and phantom": every - {"cli", "phantom"},
        "": set[str](),
    }
    table = {
        row.rpartition("/")[2]: set().union(
            *(wide.get(name.strip(), {name.strip()}) for name in may.split(","))
        )
        for row, may in rows
    }
    return table | {"__main__": {"cli", "room"}, "__init__": every}


MAY_IMPORT = _import_table()


@cache
def imports_of(path: Path) -> tuple[tuple[str, ast.stmt], ...]:
    """Dotted names imported anywhere in the file; `from a import b` gives a.b."""
    return tuple(name for node in ast.walk(TREES[path]) for name in imported_by(node))


def imported_by(node: ast.AST) -> Iterator[tuple[str, ast.stmt]]:
    if isinstance(node, ast.Import):
        yield from ((alias.name, node) for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        assert node.level == 0, f"relative import in line {node.lineno}: write it in full"
        yield from ((f"{node.module}.{alias.name}", node) for alias in node.names)


def module_of(path: Path) -> str:
    return ".".join(path.with_suffix("").parts).removesuffix(".__init__")


MODULES = {module_of(path): path for path in TREES}


def our_module(dotted: str) -> str | None:
    """The longest module of ours that the imported name lies in."""
    while dotted and dotted not in MODULES:
        dotted = dotted.rpartition(".")[0]
    return dotted or None


def place(path: Path) -> str:
    """Within the package."""
    return path.as_posix().removeprefix("vfx_edge/")


def test_parts_import_only_what_the_house_allows() -> None:
    parts = {part_of(path) for path in TREES}
    assert parts == set(MAY_IMPORT), "ARCHITECTURE.md has a row for each part, and for no other"
    assert set().union(*MAY_IMPORT.values()) <= parts
    wrong = []
    for path in TREES:
        part = part_of(path)
        for dotted, node in imports_of(path):
            module = our_module(dotted)
            # the public names of the package itself are everybody's
            target = part_of(MODULES[module]) if module not in (None, "vfx_edge") else part
            if target not in MAY_IMPORT[part] | {part}:
                wrong.append(f"{path}:{node.lineno} imports {dotted}")
    assert not wrong, "\n".join(wrong)


def test_the_chain_knows_of_the_backends_only_their_protocol() -> None:
    used = {
        our_module(dotted)
        for path in PACKAGE
        if part_of(path) in ("spine", "inference")
        for dotted, _ in imports_of(path)
        if dotted.startswith("vfx_edge.backends")
    }
    assert used <= {"vfx_edge.backends", "vfx_edge.backends.protocol"}


def test_packages_of_others_stay_in_their_places() -> None:
    wrong = [
        f"{path}:{node.lineno} imports {dotted}"
        for path in PACKAGE
        for dotted, node in imports_of(path)
        for package in [dotted.split(".")[0]]
        if package in ONLY_IN and not place(path).startswith(ONLY_IN[package] or ("\0",))
    ]
    assert not wrong, "\n".join(wrong)


def test_each_runtime_is_imported_by_one_file() -> None:
    for runtime in ("onnxruntime", "openvino", "tensorrt", "tensorrt_rtx", "tritonclient"):
        users = {
            place(path)
            for path in PACKAGE
            if any(dotted.split(".")[0] == runtime for dotted, _ in imports_of(path))
        }
        assert len(users) <= 1, f"{runtime} is imported by {sorted(users)}"


def test_whatever_is_imported_is_a_declared_dependency() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    extras = project["optional-dependencies"]
    users = [*project["dependencies"], *extras["service"], *extras["tensorrt"], *extras["rtx"]]
    users += extras["radiomics"]
    users += [*extras["batch"], *extras["dicomweb"], *extras["ray"], *extras["slurm"]]
    users += extras["kserve"]
    users += extras["gdcm"]
    everyone = [*users, *extras["export"], *extras["peers"], *extras["dev"]]
    wrong = []
    for files, declared in ((PACKAGE, users), (TREES, everyone)):
        names = {re.split(r"[^\w.-]", line)[0].lower().replace("-", "_") for line in declared}
        names = {NAMED_OTHERWISE.get(name.removesuffix("_cu13"), name) for name in names}
        known = {*names, *sys.stdlib_module_names, *ROOTS, "tensorrt", "tensorrt_rtx"}
        used = {(dotted.split(".")[0], path) for path in files for dotted, _ in imports_of(path)}
        wrong += [f"{path}: {name}" for name, path in used if name.lower() not in known]
    assert not wrong, "\n".join(wrong)


def test_no_import_cycles() -> None:
    graph = {
        name: {our_module(dotted) for dotted, _ in imports_of(path)} - {None, name, "vfx_edge"}
        for name, path in MODULES.items()
        if name != "vfx_edge"  # its lazy public names are no imports
    }
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(f"import cycle: {' <- '.join(error.args[1])}")


def test_files_and_functions_are_short() -> None:
    wrong = []
    for path, tree in TREES.items():
        if (lines := (ROOT / path).read_text("utf-8").count("\n")) >= 400:
            wrong.append(f"{path} has {lines} lines: split it by what it does")
        wrong += [
            f"{path}:{node.lineno} {node.name} is too long"
            for node in ast.walk(tree)
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
            and (node.end_lineno or 0) - node.lineno >= 60
        ]
    assert not wrong, "\n".join(wrong)


def test_files_keep_the_house_style() -> None:
    wrong = []
    for path, tree in TREES.items():
        for node in ast.walk(tree):
            at = f"{path}:{getattr(node, 'lineno', 0)}"
            match node:
                case ast.ExceptHandler(type=None):
                    wrong.append(f"{at} bare except")
                case ast.Call(func=ast.Name(id="print")):
                    if path in PACKAGE and part_of(path) != "cli":
                        wrong.append(f"{at} print outside cli")
    for path, tree in PACKAGE.items():
        for node in tree.body:
            if {dotted.split(".")[0] for dotted, _ in imported_by(node)} & POSIX_ONLY:
                wrong.append(f"{path}:{node.lineno} needs POSIX")
    assert not wrong, "\n".join(wrong)
