"""What each NVIDIA backend needs of a machine: facts in a table, and what of them is lacking here.

A card that is too old comes first, for nothing that can be installed helps; then the driver; then
whatever is missing, all of it in one answer with the one command that brings it.
"""

import platform
import sys
from collections.abc import Callable, Mapping
from typing import NamedTuple

from vfx_edge.backends import nvidia
from vfx_edge.backends.nvidia import dotted
from vfx_edge.backends.protocol import Availability

NEWEST_CUDA = 13
"""Of the packages that the extras bring."""
DRIVERS = {12: 528 if nvidia.WINDOWS else 525, 13: 580}
"""CUDA's major version -> the driver branch that it needs at least (NVIDIA's release notes)."""
PACKAGED = {("linux", "x86_64"), ("win32", "AMD64")}
"""Where the extras bring something."""


class Needs(NamedTuple):
    """Of one backend."""

    who: str
    extra: str
    """`pip install "vfx-edge[...]"` brings all of it."""
    kernels: Mapping[int, tuple[int, ...]]
    """CUDA's major version -> compute capabilities that there is machine code for, e.g. 75."""
    portable: Mapping[int, int] = {}
    """The same -> the capability of its portable code, which every later card compiles."""
    exact: bool = False
    """Machine code of 8.6 does not do for 8.7."""

    def serves(self, sm: int, cuda: int) -> bool:
        """Whether a card's compute capability is served by what was made for this CUDA."""
        known = self.kernels.get(cuda, self.kernels[NEWEST_CUDA])
        if sm in known or sm >= self.portable.get(cuda, 1000):
            return True
        return not self.exact and any(k // 10 == sm // 10 and k <= sm for k in known)


NEEDS = {
    # What the libraries hold, of 1.26 (CUDA 12) and of 1.31; a test looks into the installed one.
    "cuda": Needs(
        "ONNX Runtime",
        "cuda",
        {12: (60, 70, 75, 80, 86, 90), 13: (75, 80, 86, 89, 90, 120)},
        {12: 90},
    ),
    # From Turing on, by NVIDIA; a card that it does not know after all ends at its first answer.
    "tensorrt": Needs("TensorRT", "tensorrt", {13: (75, 80, 86, 87, 89, 90, 100, 103, 120, 121)}),
    # What the package 1.7 lists; where it is installed, it is asked.
    "tensorrt-rtx": Needs("TensorRT-RTX", "rtx", {13: (75, 80, 86, 89, 120, 121)}, exact=True),
}


class Absent(NamedTuple):
    """Something that is missing, in words, and what brings it; empty: the backend's extra."""

    what: str = ""
    remedy: str = ""


def absent_libraries(names: tuple[str, ...]) -> Absent:
    """In words, for libraries that can't be loaded."""
    if not names:
        return Absent()
    return Absent(f"{', '.join(names)} {'was' if len(names) == 1 else 'were'} not found")


def no_card(name: str, gpu: nvidia.NoGpu) -> Availability:
    """The state of a backend on a machine without a card that can be used."""
    return Availability(name, False, gpu.reason, gpu.remedy, card=gpu.card)


def judged(
    name: str,
    gpu: nvidia.Gpu,
    cuda: int,
    absent: Callable[[], Absent],
    kernels: tuple[int, ...] = (),
) -> Availability:
    """The state of a backend with this card. cuda: major version that its libraries are made for.

    absent: looks for libraries and packages; not asked where the card is served by none.
    kernels: what the installed package says of itself, where it does.
    """
    need = NEEDS[name]
    need = need._replace(kernels={NEWEST_CUDA: kernels}) if kernels else need
    if not need.serves(gpu.sm, cuda):
        return Availability(name, False, *_not_served(need, gpu, cuda), card=True)
    lacks = [_driver(gpu, cuda), _packages(need, absent())]
    reasons = "; ".join(lack.what for lack in lacks if lack.what)
    remedies = ", then ".join(lack.remedy for lack in lacks if lack.what)
    if reasons:
        return Availability(name, False, reasons, remedies, card=True)
    return Availability(name, True, device=str(gpu), card=True)


def _not_served(need: Needs, gpu: nvidia.Gpu, cuda: int) -> tuple[str, str]:
    known = need.kernels.get(cuda, need.kernels[NEWEST_CUDA])
    has = f"{gpu.name} has compute capability {dotted(gpu.sm)}"
    if gpu.sm < known[0]:
        return f"{has}, and what is made for CUDA {cuda} begins at {dotted(known[0])}", _NEWER
    others = " or ".join(name for name, other in NEEDS.items() if other.serves(gpu.sm, cuda))
    remedy = f"use --backend {others}" if others else _UPDATE.format(need.extra)
    return f"{has}, and {need.who} knows {', '.join(map(dotted, known))} only", remedy


_NEWER = (
    "take a card from Turing on (7.5 or more), for no package serves this one; until then use "
    "--backend openvino"
)
_UPDATE = (
    'pip install --upgrade "vfx-edge[{}]", which may know the card by now; until then use '
    "--backend openvino"
)
_NOT_MADE = "no packages are made for this system: use --backend openvino or cpu"


def _driver(gpu: nvidia.Gpu, cuda: int) -> Absent:
    if gpu.driver_cuda[0] >= cuda:
        return Absent()
    serves = ".".join(map(str, gpu.driver_cuda))
    version = nvidia.driver_version() or "that is installed"
    what = f"the driver {version} serves CUDA {serves}, and CUDA {cuda} is needed"
    least = f" to version {DRIVERS[cuda]} or newer" if cuda in DRIVERS else ""
    return Absent(what, f"update the driver{least}")


def _packages(need: Needs, absent: Absent) -> Absent:
    if (sys.platform, platform.machine()) not in PACKAGED:
        return absent._replace(remedy=_NOT_MADE)
    return absent._replace(remedy=absent.remedy or f'pip install "vfx-edge[{need.extra}]"')
