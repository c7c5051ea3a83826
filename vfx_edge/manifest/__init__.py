"""models/<name>/manifest.toml as frozen, validated, hash-checked types.

A model set is a folder: `manifest.toml`, `card.md`, `*.onnx`. Everything a network needs to be
fed and read stands in the manifest, so no code knows a network by name. A set may name another as
its `base` and then only defines the roles in which it differs.

    models = load_model_set("default")
    segmenter = models.network("segmenter")
    onnx = segmenter.read()              # bytes whose hash has been compared
"""

from vfx_edge.manifest.files import (
    ModelFileChanged,
    ModelFileMissing,
    ModelFileSize,
    ModelSetNotFound,
    find_model_set,
    installed_sets,
    read_verified,
    search_places,
    sha256_of,
    update_hashes,
)
from vfx_edge.manifest.reading import load_model_set, parse_manifest
from vfx_edge.manifest.spec import (
    PRECISIONS,
    ROLES,
    BatchSpec,
    InputSpec,
    ModelManifest,
    NetworkSpec,
    OutputSpec,
    PrecisionSpec,
    RoleMissing,
    WindowSpec,
)
from vfx_edge.manifest.table import ManifestInvalid

__all__ = [
    "PRECISIONS",
    "ROLES",
    "BatchSpec",
    "InputSpec",
    "ManifestInvalid",
    "ModelFileChanged",
    "ModelFileMissing",
    "ModelFileSize",
    "ModelManifest",
    "ModelSetNotFound",
    "NetworkSpec",
    "OutputSpec",
    "PrecisionSpec",
    "RoleMissing",
    "WindowSpec",
    "find_model_set",
    "installed_sets",
    "load_model_set",
    "parse_manifest",
    "read_verified",
    "search_places",
    "sha256_of",
    "update_hashes",
]
