"""Every feature that is published has IBSI's value on IBSI's phantom."""

import logging

import pytest

from tests.radiomics.ibsi import OUTSIDE, VALUES, VOXEL_MM, references
from vfx_edge.radiomics import FEATURES, settings_told

pytest.importorskip("mirp", reason="needs the extra `radiomics`")


def test_every_published_feature_has_the_reference_value() -> None:
    from vfx_edge.radiomics.mirp_features import mirp_features

    found = mirp_features(VALUES, ~OUTSIDE, 1.0, (1.0, 100.0), VOXEL_MM)
    wanted = references(1.0)
    assert found.keys() == wanted.keys()
    assert len(found) == len(FEATURES) == 159
    wrong = {
        name: (found[name], value)
        for name, (value, tolerance) in wanted.items()
        if not abs(found[name] - value) <= tolerance
    }
    assert not wrong


def test_each_feature_is_told_by_its_code_in_the_manual() -> None:
    from vfx_edge.radiomics.mirp_features import ibsi_names, mirp_version

    told = ibsi_names()
    assert tuple(told) == FEATURES
    assert told["morph_volume"]["ibsi"] == "RNU0"
    assert all(len(one["ibsi"]) == 4 for one in told.values())
    assert settings_told(mirp_version())["software"].startswith("mirp 2.7")


def test_mirp_says_nothing_and_leaves_logging_as_it_was(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from vfx_edge.radiomics.mirp_features import mirp_features

    root = logging.getLogger()
    monkeypatch.setattr(root, "handlers", [])
    mirp_features(VALUES, ~OUTSIDE, 1.0, (1.0, 100.0), VOXEL_MM)
    assert root.handlers == []
    assert capfd.readouterr() == ("", "")
