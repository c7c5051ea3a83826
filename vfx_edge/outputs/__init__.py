"""What goes out: each file is one format, each function `write(what, …, path) -> Path`.

Everything is written whole or not at all; failures are `OutputError` leaves.
"""

from vfx_edge.outputs.dicom_series import write_ct_series
from vfx_edge.outputs.names import series_stem
from vfx_edge.outputs.nifti import write_nifti
from vfx_edge.outputs.report import write_report
from vfx_edge.outputs.result_json import (
    load_schema,
    result_to_dict,
    result_to_json,
    write_result_json,
)
from vfx_edge.outputs.wording import LANGUAGES

__all__ = [
    "LANGUAGES",
    "load_schema",
    "result_to_dict",
    "result_to_json",
    "series_stem",
    "write_ct_series",
    "write_nifti",
    "write_report",
    "write_result_json",
]
