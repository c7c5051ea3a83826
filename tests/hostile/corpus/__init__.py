"""Inputs that are damaged, lie or mean harm, each with what has to come of it.

Made by code from a small phantom. `tests.hostile.judge` says whether an outcome is right; the
default suite reads them all in one process, `python -m benchmarks hostile` runs the command.
"""

from tests.hostile.corpus import (
    archives,
    enhanced,
    files,
    geometry,
    headers,
    manifests,
    masks,
    nifti,
    paths,
    series,
    streams,
    usage,
)
from tests.hostile.corpus.case import Case

MODULES = (
    headers, streams, files, geometry, series, enhanced, nifti, archives, paths, masks, manifests,
    usage,
)  # fmt: skip
CASES: dict[str, Case] = {case.title: case for module in MODULES for case in module.cases()}
"""All of them, by kind/name."""
