"""Vertebral fracture triage on CT: a folder of DICOM in, a verdict and a report out.

    from vfx_edge import analyze, load_model_set, load_scan, open_models, write_report

    scan = load_scan(Path("ct"))
    with open_models(load_model_set("default"), "auto") as models:
        analysis = analyze(scan, models)
    print(analysis.result.triage.tier)
    write_report(analysis, Path("report.html"))

The names below are loaded on first use, so that `import vfx_edge` costs nothing.
"""

from typing import TYPE_CHECKING

from vfx_edge.lazy import lazily

if TYPE_CHECKING:
    from vfx_edge.backends import open_models
    from vfx_edge.errors import BackendError, InputError, ModelError, OutputError, VfxError
    from vfx_edge.inputs import load_scan
    from vfx_edge.inputs.segmentation import load_segmentation
    from vfx_edge.manifest import load_model_set
    from vfx_edge.outputs import result_to_dict, write_nifti, write_report, write_result_json
    from vfx_edge.spine.chain import Options, analyze
    from vfx_edge.study import Analysis, Finding, Level, Scan, StudyResult, Tier

__version__ = "0.1.0"

__getattr__ = lazily(
    __name__,
    {
        "backends": ("open_models",),
        "errors": ("BackendError", "InputError", "ModelError", "OutputError", "VfxError"),
        "inputs": ("load_scan",),
        "inputs.segmentation": ("load_segmentation",),
        "manifest": ("load_model_set",),
        "outputs": ("result_to_dict", "write_nifti", "write_report", "write_result_json"),
        "spine.chain": ("Options", "analyze"),
        "study": ("Analysis", "Finding", "Level", "StudyResult", "Tier", "Scan"),
    },
)

__all__ = [
    "Analysis",
    "BackendError",
    "Finding",
    "InputError",
    "Level",
    "ModelError",
    "Options",
    "OutputError",
    "Scan",
    "StudyResult",
    "Tier",
    "VfxError",
    "__version__",
    "analyze",
    "load_model_set",
    "load_scan",
    "load_segmentation",
    "open_models",
    "result_to_dict",
    "write_nifti",
    "write_report",
    "write_result_json",
]


def __dir__() -> list[str]:
    return sorted(__all__)
