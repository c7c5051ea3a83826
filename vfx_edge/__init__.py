"""Vertebral fracture triage on CT: a folder of DICOM in, a verdict and a report out.

    import vfx_edge

    result = vfx_edge.analyze("ct/")
    print(result.triage.tier)

docs/python.md shows more. The names below are loaded on first use, so that `import vfx_edge` costs
nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vfx_edge.api import analyze
    from vfx_edge.errors import VfxError
    from vfx_edge.fracture_task import Options

__version__ = "0.1.0"
__all__ = ["Options", "VfxError", "__version__", "analyze"]

_HOME = {"analyze": "api", "Options": "fracture_task", "VfxError": "errors"}


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
