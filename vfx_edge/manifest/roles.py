"""What each role demands of a network: channels and classes it must have, parameters of its own.

docs/export.md has this as a table, made by `python -m export.contracts`.
"""

from collections.abc import Sequence
from typing import Annotated, ClassVar, Literal

from msgspec import Meta, Struct

from vfx_edge.vocabulary import Level, Role

BACKGROUND = "background"
NETWORK, TABULAR = "network", "tabular"
"""The answers that a fusion reads: the classifier's, and the tabular network's."""
Share = Annotated[float, Meta(ge=0, le=1)]
"""A probability or a part of a whole."""
Weight = Annotated[float, Meta(ge=0, le=100)]
Distance = Annotated[float, Meta(ge=0, le=200)]
"""Millimetres."""
Switch = bool | Literal[0, 1]


class Table(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One table of a manifest: a key that it doesn't know is refused."""


class RoleParameters(Table, frozen=True, kw_only=True):
    """Base of all: [network.parameters] of one role, and what its network must have.

    sees: what its channels hold. optional: classes that are read where it has them. closed: whether
    it may have no other, which would not be read. a_level: whether some class must be a level.
    voxelwise: whether it answers for each voxel of its patch, or once for the whole. of_a_row:
    whether it sees a row of numbers and no image.
    """

    channels: ClassVar[int] = 1
    sees: ClassVar[str] = "the CT"
    classes: ClassVar[tuple[str, ...]] = ()
    optional: ClassVar[tuple[str, ...]] = ()
    closed: ClassVar[bool] = False
    a_level: ClassVar[bool] = False
    voxelwise: ClassVar[bool] = True
    of_a_row: ClassVar[bool] = False

    @classmethod
    def problem_of(cls, names: Sequence[str]) -> str:
        """Which of the role's classes is missing, or which would not be read; empty when right.
        names: what [network.classes] made of the network's own."""
        if lacking := [name for name in cls.classes if name not in names]:
            return f"lacks '{lacking[0]}' (it has {', '.join(names)})"
        known = (*cls.classes, *cls.optional) if cls.closed else names
        if unread := [name for name in names if name not in known]:
            return f"holds '{unread[0]}', known are {', '.join(known)}"
        if cls.a_level and not set(names) & set(Level):
            return f"names no vertebra, such as L1 (it has {', '.join(names)})"
        return ""


class LocatorParameters(RoleParameters, frozen=True, kw_only=True):
    """Where the spine runs, coarsely, over the whole scan."""

    classes = (BACKGROUND, "spine")


class FinderParameters(RoleParameters, frozen=True, kw_only=True):
    """A vertebral body's centre, voxel by voxel."""

    classes = ("centre",)


class LabellerParameters(RoleParameters, frozen=True, kw_only=True):
    """The level of the vertebra in a crop's middle. A class "rib" says that it carries one,
    "sacrum" that it is none."""

    classes = (BACKGROUND,)
    optional = ("rib", "sacrum")
    a_level = True
    voxelwise = False

    backward_mm: Annotated[Distance, Meta(description="the crop's middle lies so far behind it")]
    evidence_weight: Annotated[Weight, Meta(description="what a look's level counts for")] = 0.5
    rib_weight: Annotated[Weight, Meta(description="what a look's rib counts for")] = 1.0
    overlap_exponent: Annotated[
        Share, Meta(description="0: n looks count as n independent ones, 1: as a single one")
    ] = 0.0


class SegmenterParameters(RoleParameters, frozen=True, kw_only=True):
    """Body and arch of the one vertebra that a guide, the second channel, marks."""

    channels = 2
    sees = "the CT, and +1 on the centre of the body to outline, -1 on its neighbours, as Gaussians"
    classes = (BACKGROUND, "body", "arch")

    backward_mm: Annotated[Distance, Meta(description="the patch's middle lies so far behind it")]
    guide_sigma_mm: Annotated[
        float, Meta(ge=0.1, le=100, description="of the guide's Gaussian on the body's centre")
    ]
    downward_mm: Annotated[Distance, Meta(description="and so far below it, to the feet")] = 0.0


class JointParameters(RoleParameters, frozen=True, kw_only=True):
    """Labeller and segmenter in one, with a [network.window]. Only `export parity` reads these."""

    classes = (BACKGROUND,)
    a_level = True

    configuration: Annotated[str, Meta(description="of the nnU-Net that was exported")] = ""
    folds: Annotated[tuple[str, ...], Meta(description="that were averaged")] = ()
    checkpoint: Annotated[str, Meta(description="file name of the checkpoints")] = ""


class CropParameters(RoleParameters, frozen=True, kw_only=True):
    """Base of the roles that are asked about a crop around one vertebra: how it is cut."""

    voxelwise = False

    levels: Annotated[
        tuple[Level, ...], Meta(min_length=1, description="the network is asked about no other")
    ]
    mirror: Annotated[
        Switch, Meta(description="asked about the mirror image, too; the less sure answer holds")
    ] = 0
    smooth: Annotated[
        Switch, Meta(description="averages where the scan is finer than spacing_mm")
    ] = 1
    centre: Annotated[
        Literal["middle", "voxel"],
        Meta(description="voxel: the centroid lies on voxel n // 2 of each axis"),
    ] = "middle"
    mask_margin_mm: Annotated[
        Distance, Meta(description="shown about the vertebra, or about the box around all of them")
    ] = 0.0

    def __post_init__(self) -> None:
        unique("levels", self.levels)


class DetectorParameters(CropParameters, frozen=True, kw_only=True):
    """Whether a vertebra is broken, also where it has lost no height. A set may have none."""

    classes = ("intact", "fractured")
    closed = True

    threshold: Annotated[Share, Meta(description="suspected from this p(fractured) on")]


class ClassifierParameters(CropParameters, frozen=True, kw_only=True):
    """Why a vertebra broke. "unknown" is the probability that the crop is unlike all training,
    "intact" that it shows no fracture of the kinds that the network knows."""

    classes = ("osteoporotic", "malignant")
    optional = ("unknown", "intact")
    closed = True

    threshold_malignant: Annotated[Share, Meta(description="malignant from this probability on")]
    threshold_osteoporotic: Annotated[
        Share, Meta(description="osteoporotic from this probability on, if not malignant")
    ]
    threshold_unknown: Annotated[
        Share, Meta(description="no answer from this probability of the class unknown on")
    ] = 0.5
    threshold_intact: Annotated[
        Share, Meta(description="no fracture from this probability of the class intact on")
    ] = 0.5
    temperature: Annotated[
        float,
        Meta(ge=1e-3, le=1e3, description="for the record: the file's answers are scaled already"),
    ] = 1.0


class FeatureSpec(Table, frozen=True, kw_only=True):
    """One number of a row, and what stands for it where nobody knows it."""

    name: Annotated[str, Meta(pattern="^[A-Za-z0-9_.%-]{1,120}$", description="as in features.csv")]
    usual: Annotated[
        float, Meta(ge=-1e9, le=1e9, description="fills a missing value: the training's median")
    ] = 0.0
    may_be_missing: Annotated[
        Switch, Meta(description="0: where the value is missing, the network is not asked")
    ] = 1


class RowParameters(RoleParameters, frozen=True, kw_only=True):
    """Base of the roles that see a row of numbers. Which numbers, the manifest says."""

    sees = "one number for each of `features`"
    classes = ("osteoporotic", "malignant")
    closed = True
    voxelwise = False
    of_a_row = True

    features: Annotated[
        tuple[FeatureSpec, ...],
        Meta(
            min_length=1,
            description="the columns of the input in their order, each a table with `name`, "
            "`usual` and `may_be_missing`",
        ),
    ]

    def __post_init__(self) -> None:
        unique("features", self.names)

    @property
    def names(self) -> tuple[str, ...]:
        """Of the features, in the order of the input's columns."""
        return tuple(feature.name for feature in self.features)


class TabularParameters(RowParameters, frozen=True, kw_only=True):
    """Why a vertebra broke, by measured numbers: radiomics under mirp's names, `sign_<name>`,
    `clinical_<name>`. It never sees the image. A set may have none."""


class FusionParameters(RowParameters, frozen=True, kw_only=True):
    """Why a vertebra broke, by the answers of classifier and tabular: its features are `network`
    and `tabular`, each ln(p(malignant) / p(osteoporotic)). Its thresholds set the tier."""

    threshold_malignant: Annotated[Share, Meta(description="malignant from this probability on")]
    threshold_osteoporotic: Annotated[
        Share, Meta(description="osteoporotic from this probability on, if not malignant")
    ]

    def __post_init__(self) -> None:
        super().__post_init__()
        if not set(self.names) <= {NETWORK, TABULAR}:
            raise ValueError(f"'features' may name '{NETWORK}' and '{TABULAR}' alone")


def unique(key: str, values: Sequence[object]) -> None:
    """ValueError when the list names something twice."""
    if len(set(values)) != len(values):
        raise ValueError(f"'{key}' names something twice")


PARAMETERS: dict[Role, type[RoleParameters]] = {
    "locator": LocatorParameters,
    "finder": FinderParameters,
    "labeller": LabellerParameters,
    "segmenter": SegmenterParameters,
    "detector": DetectorParameters,
    "classifier": ClassifierParameters,
    "tabular": TabularParameters,
    "fusion": FusionParameters,
}
