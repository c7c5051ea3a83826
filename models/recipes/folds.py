"""Which CTs are left out together, so that each is scored by networks that never saw it.

Two series of one patient are in the same fold; those whose patients are not known to differ, too.
"""

from pathlib import Path

# Centres of the bodies in CTs, set by eye or taken from masks.
REFERENCES = Path(__file__).parents[2] / "tests" / "data" / "reference_centroids.json"

FOLDS: dict[str, tuple[str, ...]] = {
    # Of the labeller: every CT with known levels is in one of them.
    "n0": ("ct_thoracolumbar_4mm_dicom", "ct_head_to_thorax_4mm_dicom", "verse006"),
    "n1": (
        "ct_whole_spine_sagittal_dicom",
        "ct_coronal_slab_dicom",
        "crop_l3_1p5mm",
        "verse008",
    ),
    "n2": ("ct_chest_1mm", "verse005", "ct_abdomen_pelvis_8mm_dicom"),
    "n3": ("ct_chest_2p5mm_contrast", "ct_abdomen_3mm_labelled", "ct_thoracic_1p5mm_contrast"),
    "n4": ("ct_thoracic_1mm_dicom", "ct_chest_2p5mm_lung_kernel_dicom", "ct_chest_5mm_dicom"),
    # Of the segmenter: the CTs with masks by experts.
    "s0": ("verse005", "verse006"),
    "s1": ("verse008",),
}
