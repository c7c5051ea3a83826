"""What comes in: a folder of DICOM, an archive or a NIfTI file -> the chosen series as a Scan."""

from vfx_edge.inputs.load import load_scan

__all__ = ["load_scan"]
