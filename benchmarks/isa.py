"""Which class of processor figures belong to, and how a newer one is held to an older's
instructions."""

import os
from collections.abc import Mapping

from vfx_edge.backends.machine import cpu_flags
from vfx_edge.backends.openvino_backend import native_precision

CLASSES = {"avx2": "AVX2", "avx512": "AVX-512", "avx512-bf16": "AVX-512 with bf16"}
"""Name of a class -> as people say it, slowest first."""
LIMIT = "ONEDNN_MAX_CPU_ISA"
"""oneDNN reads it wherever it is: in OpenVINO, and in PyTorch."""
_WITHOUT_AVX512 = ("SSE41", "AVX", "AVX2", "AVX2_VNNI", "AVX2_VNNI_2")
HELD: dict[str, dict[str, str]] = {
    "avx2": {
        LIMIT: "AVX2",
        "ATEN_CPU_CAPABILITY": "avx2",  # PyTorch's own loops
        "MKL_ENABLE_INSTRUCTIONS": "AVX2",  # its matrix products
        "OPENBLAS_CORETYPE": "Haswell",  # those of NumPy and SciPy
        "NPY_DISABLE_CPU_FEATURES": "X86_V4 AVX512_ICL AVX512_SPR",  # NumPy's own loops
    }
}
"""Class -> what keeps libraries to its instructions. ONNX Runtime has no such switch."""


def hold(name: str) -> None:
    """Keep this process's libraries, none of which has computed yet, and all programs that it
    starts to a class. ValueError for a class that none can be kept to."""
    if name not in HELD:
        raise ValueError(f"{name} is none of {', '.join(HELD)}")
    if "avx512f" in cpu_flags():  # else there is nothing to forbid, and NumPy warns of it
        os.environ |= HELD[name]


def cpu_class() -> str:
    """The class whose instructions OpenVINO uses here."""
    if native_precision() == "bf16":
        return "avx512-bf16"
    return "avx512" if "avx512f" in cpu_flags() and not _forbidden(os.environ) else "avx2"


def held() -> str:
    """In words, what this processor has and may not use; "" where it uses all."""
    if "avx512f" in cpu_flags() and _forbidden(os.environ):
        return f"AVX-512 forbidden by {LIMIT}; the same processor"
    return ""


def _forbidden(environment: Mapping[str, str]) -> bool:
    return environment.get(LIMIT, "").upper() in _WITHOUT_AVX512
