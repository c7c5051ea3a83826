"""What is particular to a modality, as data: one file each.

NM has none: its files number frames by detector and time slot, which needs a reader of its own, and
no task reads them. An image that is already loaded may be of any modality.
"""

from vfx_edge.inputs.modality.ct import CT
from vfx_edge.inputs.modality.kind import Modality
from vfx_edge.inputs.modality.mr import MR

MODALITIES = {kind.name: kind for kind in (CT, MR)}

__all__ = ["CT", "MODALITIES", "MR", "Modality"]
