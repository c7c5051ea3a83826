"""Results as DICOM: structured report, segmentation, secondary captures, key objects."""
