"""models/<name>/manifest.toml as frozen, validated, hash-checked types.

A model set is a folder: `manifest.toml`, `card.md`, `*.onnx`. Everything a network needs to be
fed and read stands in the manifest, so no code knows a network by name. A set may name another as
its `base` and then only defines the roles in which it differs.

    models = load_model_set("default")
    segmenter = models.network("segmenter")
    onnx = segmenter.read()              # bytes whose hash has been compared
    sigma = segmenter.parameters_of(SegmenterParameters).guide_sigma_mm
"""

from vfx_edge.manifest.calibration import CalibrationSpec
from vfx_edge.manifest.errors import (
    ManifestInvalid,
    ModelFileInvalid,
    ModelKeyUnusable,
    ModelSetNotFound,
    ModelSetNotTheOne,
    ModelSetNotTrusted,
    RoleMissing,
)
from vfx_edge.manifest.files import (
    find_model_set,
    installed_sets,
    search_places,
    sha256_of,
)
from vfx_edge.manifest.moving import NEIGHBOURS, SlicesSpec, WindowSpec
from vfx_edge.manifest.precision import MeasuredSpec, PrecisionSpec
from vfx_edge.manifest.reading import load_model_set, parse_manifest
from vfx_edge.manifest.roles import (
    ClassifierParameters,
    CropParameters,
    DetectorParameters,
    FusionParameters,
    JointParameters,
    LabellerParameters,
    RowParameters,
    SegmenterParameters,
    TabularParameters,
)
from vfx_edge.manifest.spec import (
    BatchSpec,
    InputSpec,
    ModelManifest,
    NetworkSpec,
)
from vfx_edge.manifest.trust import DIGEST, Demand

__all__ = [
    "DIGEST",
    "NEIGHBOURS",
    "BatchSpec",
    "CalibrationSpec",
    "ClassifierParameters",
    "CropParameters",
    "Demand",
    "DetectorParameters",
    "FusionParameters",
    "InputSpec",
    "JointParameters",
    "LabellerParameters",
    "ManifestInvalid",
    "MeasuredSpec",
    "ModelFileInvalid",
    "ModelKeyUnusable",
    "ModelManifest",
    "ModelSetNotFound",
    "ModelSetNotTheOne",
    "ModelSetNotTrusted",
    "NetworkSpec",
    "PrecisionSpec",
    "RoleMissing",
    "RowParameters",
    "SegmenterParameters",
    "SlicesSpec",
    "TabularParameters",
    "WindowSpec",
    "find_model_set",
    "installed_sets",
    "load_model_set",
    "parse_manifest",
    "search_places",
    "sha256_of",
]
