"""What comes in: a folder of DICOM, an archive or a NIfTI file -> the chosen series as a Volume."""

from vfx_edge.inputs.load import load_volume

__all__ = ["load_volume"]
