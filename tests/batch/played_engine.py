"""A batch by an engine in a process of its own, which may be killed: `python -m
tests.batch.played_engine ENGINE STUDIES OUT`."""

import sys
from pathlib import Path

from tests.batch.played_batch import MODULE, wanted
from vfx_edge.batch.engine import Engine, Processes
from vfx_edge.batch.ray_actors import Ray
from vfx_edge.batch.run import run
from vfx_edge.batch.slurm_jobs import Settings, Slurm
from vfx_edge.batch.studies import studies_of
from vfx_edge.manifest import load_model_set

LOCAL = Settings(chunk=3, cluster="local")


def engine(name: str) -> Engine:
    """With the played worker, on this machine."""
    if name == "ray":
        return Ray(module=MODULE)
    return Slurm(LOCAL, MODULE) if name == "slurm" else Processes(MODULE)


if __name__ == "__main__":
    found = studies_of(Path(sys.argv[2]))
    asked = wanted(Path(sys.argv[3]), engine=engine(sys.argv[1]), workers=2)
    run(found, load_model_set("default"), asked)
