"""What arrives: by DICOM association or in a drop folder."""
