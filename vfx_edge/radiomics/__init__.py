"""Radiomics of a vertebra: numbers of shape, of grey values and of texture, named and defined by
the Image Biomarker Standardisation Initiative (IBSI, Zwanenburg et al., Radiology
2020;295:328-338). Computed by mirp, of the extra `radiomics`, which is loaded when first asked."""

from vfx_edge.radiomics.features import NO_FEATURES, Measured, features_of, measured
from vfx_edge.radiomics.settings import FEATURES, RadiomicsMissing, check_installed, settings_told

__all__ = [
    "FEATURES",
    "NO_FEATURES",
    "Measured",
    "RadiomicsMissing",
    "check_installed",
    "features_of",
    "measured",
    "settings_told",
]
