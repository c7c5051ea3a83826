"""Vertebral fracture triage on CT: a folder of DICOM in, a verdict and a report out.

    import vfx_edge

    result = vfx_edge.analyze("ct/")
    print(result.triage.tier)

docs/python.md shows more. The names below are loaded on first use, so that `import vfx_edge` costs
nothing.
"""

from typing import TYPE_CHECKING

from vfx_edge.lazy import lazily

if TYPE_CHECKING:
    from vfx_edge.api import analyze
    from vfx_edge.errors import VfxError
    from vfx_edge.fractures import Options

__version__ = "0.1.0"

__getattr__ = lazily(
    __name__, {"api": ("analyze",), "errors": ("VfxError",), "fractures": ("Options",)}
)

__all__ = ["Options", "VfxError", "__version__", "analyze"]


def __dir__() -> list[str]:
    return sorted(__all__)
