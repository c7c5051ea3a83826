"""How a network is shown more than one patch at once: tile by tile, or slice by slice."""

from typing import Annotated, Literal

from msgspec import Meta

from vfx_edge.manifest.roles import Switch, Table

Order = Literal[1, 3]
NEIGHBOURS = 3
"""Slices that a network sees at once, as its channels: Li et al. have three."""
SLICED_ROLES = ("detector", "classifier")
Gap = Annotated[float, Meta(ge=0.1, le=50)]
"""Millimetres."""


class WindowSpec(Table, frozen=True, kw_only=True):
    """How a network that names and outlines all vertebrae at once is moved over the spine: as
    nnU-Net does it, Gaussian-weighted, on its own resampled grid. With the activation sigmoid its
    classes are regions: of those that hold a voxel the last counts, and background is the rest.
    """

    step: Annotated[
        float, Meta(ge=0.1, le=1, description="share of a tile from one to the next")
    ] = 0.5
    image_order: Annotated[Order, Meta(description="of the splines that resample the scan")] = 3
    answer_order: Annotated[Order, Meta(description="of those that resample the answers")] = 1
    separate: Annotated[
        Switch, Meta(description="planes of thick slices are resampled one by one")
    ] = 1


class SlicesSpec(Table, frozen=True, kw_only=True):
    """How a network that sees three neighbouring sagittal slices is led through a crop, as Li et
    al. do it: patch_zyx is the crop, whose first axis runs from side to side; the network takes
    (batch, 3, *patch_zyx[1:]), and answers once for each triplet.
    """

    distance_mm: Annotated[
        Gap, Meta(description="from each of the three neighbouring slices to the next")
    ]
    triplets: Annotated[
        int, Meta(ge=1, le=64, description="triplets of slices, spread about the crop's middle")
    ] = 5
    step_mm: Annotated[
        Gap, Meta(description="from the middle slice of a triplet to that of the next")
    ] = 3.0
    average: Annotated[
        Literal["mean", "median"],
        Meta(description="makes one answer of the triplets' probabilities"),
    ] = "mean"

    @property
    def reach_mm(self) -> float:
        """From the crop's middle to the outermost slice."""
        return (self.triplets - 1) / 2 * self.step_mm + self.distance_mm
