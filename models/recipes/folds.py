"""Which CTs are left out together, so that each is scored by networks that never saw it.

Every network is trained once more for each fold, without the fold's CTs. Two series of one
patient are in the same fold.
"""

from pathlib import Path

# Centres of the bodies in the CTs without masks, set by eye.
REFERENCES = Path(__file__).parents[2] / "tests" / "data" / "reference_centroids.json"

FOLDS: dict[str, tuple[str, ...]] = {
    "a": ("ct_abdomen_3mm_labelled", "crop_l3_1p5mm", "ct_chest_1mm"),
    "b": (
        "ct_thoracolumbar_4mm_dicom",
        "ct_head_to_thorax_4mm_dicom",
        "ct_chest_2p5mm_lung_kernel_dicom",
    ),
    "c": ("ct_chest_2p5mm_contrast", "ct_thoracic_1mm_dicom", "ct_whole_spine_sagittal_dicom"),
    "d": ("verse005", "verse006"),
    "e": ("verse008",),
}
