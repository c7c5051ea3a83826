"""A second task, as CONTRIBUTING.md says: its answer is an image, the likeliness of spine."""

from dataclasses import dataclass, replace
from pathlib import Path

from vfx_edge.backends import OpenModels
from vfx_edge.image import Image
from vfx_edge.inference.patches import probability_image
from vfx_edge.manifest import ModelManifest
from vfx_edge.outputs.kinds import Request
from vfx_edge.outputs.nifti import write_image
from vfx_edge.study import OnStage, RunInfo, Scan
from vfx_edge.timing import StageClock, run_info


@dataclass(frozen=True)
class Options:
    """Which class of the locator is shown."""

    name: str = "spine"


@dataclass(frozen=True, eq=False)
class Likeliness:
    """The answer."""

    scan: Scan
    image: Image
    run: RunInfo

    def with_run(self, run: RunInfo) -> "Likeliness":
        """The same with another record of the run."""
        return replace(self, run=run)


def roles(manifest: ModelManifest, options: Options) -> tuple[str, ...]:
    """The locator alone."""
    return ("locator",)


def analyze(scan: Scan, models: OpenModels, options: Options, on_stage: OnStage) -> Likeliness:
    """The locator over the whole scan."""
    clock = StageClock(on_stage=on_stage)
    network = models.network("locator")
    with clock.stage("locate"):
        wanted = network.spec.classes.index(options.name)
        image = probability_image(network, scan.image, wanted)
    return Likeliness(scan, image, run_info(models, clock, scan.series.warnings))


def write(request: Request) -> tuple[Path, ...]:
    """The kind `likeliness`."""
    assert isinstance(request.answer, Likeliness)
    image = request.answer.image
    return (write_image(image.values, image, request.folder / "likeliness.nii.gz"),)
