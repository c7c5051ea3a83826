"""Where engines are kept that take minutes to build: they can always be built again."""

import os
from pathlib import Path

CACHE_VARIABLE = "VFX_EDGE_CACHE"


def cache_root() -> Path:
    """The folder that VFX_EDGE_CACHE names (a service may have no home), else the user's cache
    folder. Nothing is made."""
    if named := os.environ.get(CACHE_VARIABLE):
        return Path(named)
    import platformdirs

    return Path(platformdirs.user_cache_dir("vfx-edge", appauthor=False))
