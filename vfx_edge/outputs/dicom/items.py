"""Items that several DICOM results hold: who observed, a source slice, our coding scheme.

Imported only when DICOM results are wanted: highdicom belongs to an extra.
"""

from typing import Any

from highdicom import sr
from highdicom.coding_schemes import CodingSchemeIdentificationItem
from pydicom.sr.codedict import codes
from pydicom.uid import generate_uid

from vfx_edge.outputs.dicom import codes as code
from vfx_edge.outputs.dicom.slices import SourceSlice
from vfx_edge.outputs.dicom.write import NO_SERIAL, PRODUCT
from vfx_edge.study import RunInfo


def coding_scheme(run: RunInfo) -> Any:
    """What 99VFXEDGE is (PS3.3 C.12.1, Coding Scheme Identification Sequence)."""
    return CodingSchemeIdentificationItem(
        designator=code.SCHEME,
        name=code.SCHEME_NAME,
        version=run.version,
        responsible_organization=PRODUCT,
    )


def device_observer() -> Any:
    """TID 1002, TID 1004: who observed is a program, and the same one in every document."""
    return sr.ObserverContext(
        observer_type=codes.DCM.Device,
        observer_identifying_attributes=sr.DeviceObserverIdentifyingAttributes(
            uid=generate_uid(entropy_srcs=[PRODUCT, "device observer"]),
            name=PRODUCT,
            manufacturer_name=PRODUCT,
            model_name=PRODUCT,
            serial_number=NO_SERIAL,
        ),
    )


def image_item(slice_: SourceSlice) -> Any:
    """A source slice as a content item."""
    return sr.ImageContentItem(
        name=code.SOURCE,
        referenced_sop_class_uid=slice_.sop_class,
        referenced_sop_instance_uid=slice_.sop_instance,
        referenced_frame_numbers=slice_.frame,
        relationship_type=sr.RelationshipTypeValues.CONTAINS,
    )
