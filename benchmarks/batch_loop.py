"""A plain loop over studies in one process with open networks: `python -m benchmarks.batch_loop
STUDIES OUT`. What `vfx-edge batch` is held against."""

import sys
from pathlib import Path

from vfx_edge.backends import open_models
from vfx_edge.fracture_task import Options, roles
from vfx_edge.job import Job, run_job
from vfx_edge.manifest import load_model_set


def loop(studies: Path, out: Path) -> None:
    """Each .nii.gz of the folder, in order."""
    manifest = load_model_set("default")
    with open_models(manifest, roles=roles(manifest, Options())) as models:
        for path in sorted(studies.glob("*.nii.gz")):
            run_job(Job(path, out / path.name.partition(".")[0]), models)


if __name__ == "__main__":
    loop(Path(sys.argv[1]), Path(sys.argv[2]))
