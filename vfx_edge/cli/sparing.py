"""What libraries load at their import for a use that `vfx-edge run` has none for: a third of the
time that all imports take."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from types import ModuleType
from typing import Any

ABSENT = ("requests", "tqdm", "openvino.tools")
"""pydicom's downloads of example files and OpenVINO's converter: both do without where these are
not installed. An HTTP client can't be loaded while a study is analysed."""
LATER = ("numpy.f2py", "numpy.ma", "numpy.testing", "scipy.special")
"""Loaded by scipy.ndimage because NumPy and SciPy list them, or for splines it is not asked for."""


class _Later(ModuleType):
    """Stands as an attribute of its package for a part that is loaded when first used."""

    def __getattr__(self, name: str) -> Any:
        return getattr(import_module(self.__name__), name)


@contextmanager
def sparing() -> Iterator[None]:
    """Within the block nothing of that is loaded unless it is used."""
    missing = [name for name in ABSENT if name not in sys.modules]
    sys.modules.update(dict.fromkeys(missing))  # type: ignore[arg-type]
    for name in LATER:
        package, _, part = name.rpartition(".")
        if name not in sys.modules:
            setattr(import_module(package), part, _Later(name))
    try:
        yield
    finally:
        for name in missing:
            sys.modules.pop(name, None)
