"""What the table of needs says against what the installed libraries themselves say."""

import importlib.util
import mmap
import shutil
import struct
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from vfx_edge.backends import needs, nvidia
from vfx_edge.backends.onnxruntime_gpu import cuda_major

ROOT = Path(__file__).resolve().parents[2]
FATBIN, HEADER, PART = 0xBA55ED50, struct.Struct("<IHHQ"), struct.Struct("<HHIQ")
PORTABLE, MACHINE_CODE = 1, 2
OF_THE_SYSTEM = (
    "libc.",
    "libm.",
    "libdl.",
    "librt.",
    "libpthread.",
    "libstdc++.",
    "libgcc_s.",
    "ld-",
)
OF_THE_DRIVER = "libcuda.so.1"


@pytest.fixture
def provider() -> Path:
    """The folder with ONNX Runtime's providers."""
    spec = importlib.util.find_spec("onnxruntime")
    assert spec
    assert spec.origin
    folder = Path(spec.origin).parent / "capi"
    if not (folder / "libonnxruntime_providers_cuda.so").is_file():
        pytest.skip("needs onnxruntime-gpu for Linux")
    return folder


def needed(library: Path) -> set[str]:
    """What a library names as its own needs, without the system's and the driver's."""
    if shutil.which("readelf") is None:
        pytest.skip("needs readelf")
    out = subprocess.run(["readelf", "-d", library], capture_output=True, text=True, check=True)
    names = {line.split("[")[1].rstrip("]") for line in out.stdout.splitlines() if "NEEDED" in line}
    return {n for n in names if not n.startswith(OF_THE_SYSTEM) and n != OF_THE_DRIVER}


def test_libraries_are_those_that_the_providers_name(provider: Path) -> None:
    cuda = set(nvidia.cuda_libraries(cuda_major()))
    assert cuda - {"libcudnn.so.9"} == needed(provider / "libonnxruntime_providers_cuda.so")
    tensorrt = needed(provider / "libonnxruntime_providers_tensorrt.so")
    assert set(nvidia.tensorrt_libraries()) <= tensorrt <= {*nvidia.tensorrt_libraries(), *cuda}


def test_cards_are_those_that_the_provider_has_code_for(provider: Path) -> None:
    code = set(parts(provider / "libonnxruntime_providers_cuda.so"))
    need, cuda = needs.NEEDS["cuda"], cuda_major()
    assert {sm for kind, sm in code if kind == MACHINE_CODE} == set(need.kernels[cuda])
    portable = [sm for kind, sm in code if kind == PORTABLE]
    assert min(portable, default=None) == need.portable.get(cuda)


def parts(library: Path) -> Iterator[tuple[int, int]]:
    """(kind, compute capability) of each piece of device code, as CUDA packs it into a library."""
    with library.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        at = data.find(mark := struct.pack("<I", FATBIN))
        while at >= 0:
            _, _, head, size = HEADER.unpack_from(data, at)
            place, end = at + head, at + head + size
            while place < end <= len(data):
                kind, _, skip, length = PART.unpack_from(data, place)
                if kind not in (PORTABLE, MACHINE_CODE):
                    break
                yield kind, struct.unpack_from("<I", data, place + 28)[0]
                place += skip + length
            at = data.find(mark, at + 4)


def test_every_remedy_is_an_extra_of_ours() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    extras = project["optional-dependencies"]
    assert {need.extra for need in needs.NEEDS.values()} <= set(extras)
    assert "onnxruntime-gpu[cuda,cudnn]" in extras["cuda"][0]
    assert "vfx-edge[cuda]" in extras["tensorrt"]


def test_all_of_tensorrts_package_is_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its builder looks for the kernels of the card by their bare name, in no folder of its own."""
    (tmp_path / "tensorrt_libs").mkdir()
    (tmp_path / "tensorrt_libs" / "__init__.py").write_text("")  # NVIDIA's loads what lies there
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "tensorrt_libs", raising=False)
    nvidia.preload_tensorrt()
    assert sys.modules.pop("tensorrt_libs").__file__ == str(
        tmp_path / "tensorrt_libs" / "__init__.py"
    )
