"""What goes out: each file is one format, each function `write(what, …, path) -> Path`.

Everything is written whole or not at all; failures are `OutputError` leaves. The names below are
loaded on first use: what draws a report is not what a folder is looked at with.
"""

from typing import TYPE_CHECKING

from vfx_edge.lazy import lazily

if TYPE_CHECKING:
    from vfx_edge.outputs.dicom.ct_series import write_ct_series
    from vfx_edge.outputs.names import series_stem
    from vfx_edge.outputs.nifti import write_nifti
    from vfx_edge.outputs.report.page import write_report
    from vfx_edge.outputs.result_json import (
        load_schema,
        result_to_dict,
        result_to_json,
        write_result_json,
    )

__getattr__ = lazily(
    __name__,
    {
        "dicom.ct_series": ("write_ct_series",),
        "names": ("series_stem",),
        "nifti": ("write_nifti",),
        "report.page": ("write_report",),
        "result_json": ("load_schema", "result_to_dict", "result_to_json", "write_result_json"),
    },
)

__all__ = [
    "load_schema",
    "result_to_dict",
    "result_to_json",
    "series_stem",
    "write_ct_series",
    "write_nifti",
    "write_report",
    "write_result_json",
]
