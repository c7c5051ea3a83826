"""Vertebral fracture triage on CT: a folder of DICOM in, a verdict and a report out.

    from vfx_edge import analyze, load_model_set, load_volume, open_models

The names below are loaded on first use, so that `import vfx_edge` costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vfx_edge.errors import BackendError, InputError, ModelError, OutputError, VfxError
    from vfx_edge.study import Analysis, Finding, Level, StudyResult, Tier, Volume

__version__ = "0.1.0"

_HOME = {
    "VfxError": "errors",
    "InputError": "errors",
    "ModelError": "errors",
    "BackendError": "errors",
    "OutputError": "errors",
    "Analysis": "study",
    "Finding": "study",
    "Level": "study",
    "StudyResult": "study",
    "Tier": "study",
    "Volume": "study",
}

__all__ = [
    "Analysis",
    "BackendError",
    "Finding",
    "InputError",
    "Level",
    "ModelError",
    "OutputError",
    "StudyResult",
    "Tier",
    "VfxError",
    "Volume",
    "__version__",
]


def __getattr__(name: str) -> object:
    """The public name `name`, from the module that defines it; AttributeError otherwise."""
    if name not in _HOME:
        raise AttributeError(f"module 'vfx_edge' has no attribute {name!r}")
    return getattr(import_module(f"vfx_edge.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
