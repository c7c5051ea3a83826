"""Makes an environment of vfx-edge smaller, for its image: only what runs there stays.

    python slim.py ENVIRONMENT TOOLS

1. Two packages give way to smaller ones that do the same here. ONNX Runtime's build for CUDA to the
   one for the CPU, of the same version, where no CUDA is in the environment: 280 MB. SimpleITK, of
   which only GDCM is used, for compressed slices, to GDCM by itself: 240 MB.
2. Tests, headers and tools of packages, and what OpenVINO has for other devices and for files that
   are no ONNX, are removed. Libraries that lie there under several names become links to one.
3. A phantom is triaged, with every result: the image proves itself, and Python leaves compiled
   files of those modules alone that are used. In a read-only image it could not do so later.
4. The list of what is there is written (`sbom.cdx.json`), with `cyclonedx-py` of TOOLS.
5. pip goes last.
"""

import hashlib
import shutil
import subprocess
import sys
from importlib.metadata import distributions
from pathlib import Path

GPU_RUNTIME, CPU_RUNTIME, CUDA = "onnxruntime-gpu", "onnxruntime", "nvidia-cudnn"
SIMPLE_ITK, GDCM = "simpleitk", "python-gdcm"
NOT_RUN = (
    "**/tests",
    "**/test",
    "onnx/backend/test/data",
    "onnxruntime/transformers",
    "onnxruntime/tools",
    "onnxruntime/quantization",
    "onnxruntime/capi/libonnxruntime.so*",  # for programs in C; Python's module has it inside
    "openvino/include",
    "openvino/cmake",
    "openvino/tools",
    "openvino/libs/cache.json",  # of the plugin for Intel's GPUs
    "openvino/libs/libopenvino_intel_[gn]pu_*",
    "openvino/libs/libopenvino_*_frontend.so*",
    "numpy/_core/include",
    "numpy/_core/lib",
    "pynetdicom/apps",
    "**/*.pyi",
    "**/*.a",
)
"""Below site-packages."""
KEPT = ("onnx_frontend", "ir_frontend")
OUTPUTS = "json,html,nifti,sr,seg,sc"
USED = (
    "import vfx_edge.service.daemon, vfx_edge.service.web.server, vfx_edge.service.analyse.child\n"
    "from numpy import *"  # what scipy does where it is loaded whole
)


def main() -> int:
    environment, tools = Path(sys.argv[1]), Path(sys.argv[2])
    (packages,) = environment.glob("lib/python3*/site-packages")
    _smaller(environment, packages)
    for path in _not_run(packages):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    _linked(packages)
    _prove(environment)
    _list(environment, tools)
    _run(environment / "bin/pip", "uninstall", "--yes", "setuptools", "pip")
    shutil.copy(Path(__file__).with_name("healthy.py"), environment)
    return 0


def _smaller(environment: Path, packages: Path) -> None:
    there = {one.name.lower(): one.version for one in distributions(path=[str(packages)])}
    instead = {SIMPLE_ITK: GDCM}
    if not any(name.startswith(CUDA) for name in there):
        instead[GPU_RUNTIME] = f"{CPU_RUNTIME}=={there[GPU_RUNTIME]}"
    pip = environment / "bin/pip"
    _run(pip, "uninstall", "--yes", *instead)
    _run(pip, "install", "--no-compile", "--no-deps", *instead.values())


def _not_run(packages: Path) -> list[Path]:
    found = {path for pattern in NOT_RUN for path in packages.glob(pattern)}
    found = {path for path in found if not any(name in path.name for name in KEPT)}
    return sorted(path for path in found if not found & set(path.parents))


def _linked(packages: Path) -> None:
    seen: dict[str, Path] = {}
    for path in sorted(packages.rglob("*.so*")):
        if path.is_file() and not path.is_symlink():
            whole = hashlib.sha256(path.read_bytes()).hexdigest()
            first = seen.setdefault(whole, path)
            if first is not path and first.parent == path.parent:
                path.unlink()
                path.symlink_to(first.name)


def _prove(environment: Path) -> None:
    program, scratch = environment / "bin/vfx-edge", Path("/tmp/proof")
    words = ("--levels", "T11-L3", "--fracture", "L1:wedge:0.4")
    _run(program, "phantom", scratch / "ct", *words)
    _run(program, "run", scratch / "ct", "--out", scratch / "out", "--outputs", OUTPUTS)
    for command in ("listen", "batch", "doctor"):
        _run(program, command, "--help")
    _run(environment / "bin/python", "-c", USED)
    shutil.rmtree(scratch)


def _list(environment: Path, tools: Path) -> None:
    words = ("environment", "--output-reproducible", "--of", "JSON", "--pyproject")
    out = environment / "sbom.cdx.json"
    python = environment / "bin/python"
    _run(tools / "bin/cyclonedx-py", *words, "/src/pyproject.toml", "-o", out, python)


def _run(*words: str | Path) -> None:
    subprocess.run(list(map(str, words)), check=True)


if __name__ == "__main__":
    raise SystemExit(main())
