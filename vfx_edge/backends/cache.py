"""Where engines are kept that take minutes to build: they can always be built again."""

import os
from pathlib import Path

from vfx_edge.backends.errors import NoCache

CACHE_VARIABLE = "VFX_EDGE_CACHE"


def cache_root() -> Path:
    """The folder that VFX_EDGE_CACHE names (a service may have no home), else the user's cache
    folder. Nothing is made. NoCache."""
    if named := os.environ.get(CACHE_VARIABLE):
        return Path(named)
    import platformdirs

    try:
        return Path(platformdirs.user_cache_dir("vfx-edge", appauthor=False))
    except RuntimeError:  # never among the temporary files, where others may put an engine
        raise NoCache(CACHE_VARIABLE) from None
