"""The optional parts of a model set: a classifier's calibration, a detector."""

from pathlib import Path

import numpy as np
import pytest

from tests.tiny_models import tiny_segmenter, write_full_set, write_set
from vfx_edge.manifest import DetectorParameters, ManifestInvalid, load_model_set
from vfx_edge.vocabulary import Level

CALIBRATION = """[network.calibration]
name = "spine clinic"
made = "2026-03-01"
cases = 150
malignant = 60
wanted = "sensitivity 0.95"
temperature = 2.0
coverage = 0.9
conformal_malignant = 0.1
"""


def with_calibration(folder: Path, lines: str = CALIBRATION, role: str = "classifier") -> Path:
    """A full set whose network of this role holds the lines."""
    text = (write_full_set(folder) / "manifest.toml").read_text("utf-8")
    head, own = text.split(f'roles = ["{role}"]')
    own = own.replace("[network.input]", f"{lines}[network.input]", 1)
    (folder / "manifest.toml").write_text(f'{head}roles = ["{role}"]{own}', "utf-8")
    return folder


def test_a_calibration_sharpens_or_dulls_and_says_what_may_be(tmp_path: Path) -> None:
    spec = load_model_set(with_calibration(tmp_path / "set")).network("classifier")
    said = spec.calibration
    assert said is not None
    assert (said.made, said.cases, said.conformal_osteoporotic) == ("2026-03-01", 150, None)
    p = np.array([[[0.2, 0.8], [0.0, 1.0]]], np.float32)
    tempered = said.tempered(p)
    np.testing.assert_allclose(tempered[0, 0], [1 / 3, 2 / 3], rtol=1e-6)  # roots of 1 and 4
    np.testing.assert_allclose(tempered[0, 1], [0, 1], atol=1e-5)
    assert tempered.dtype == np.float32
    assert said.possible(0.95, 0.05) == ("osteoporotic",)
    assert said.possible(0.9, 0.1) == ("osteoporotic", "malignant")


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('"2026-03-01"', '"1.3.2026"', r"calibration\], 'made' is .* a date such as"),
        ('"2026-03-01"', '"2026-02-30"', "no date of the calendar"),
        ("malignant = 60", "malignant = 151", "more than 'cases'"),
        ("coverage = 0.9\n", "", "'coverage' is missing"),
        ("coverage = 0.9", "coverage = 90", "'coverage' is 90 and must be a number from 0 to 1"),
        ("temperature = 2.0", "temperature = 0", "'temperature' is 0 and must"),
        ("temperature = 2.0", "temperature = nan", "'temperature' is nan and must"),
        ("temperature = 2.0", "temperature = -1", "'temperature' is -1 and must"),
        ("temperature = 2.0", "temperature = 1e300", "'temperature' is 1e.300 and must"),
        ("coverage = 0.9", "coverage = nan", "'coverage' is nan and must"),
        ("conformal_malignant = 0.1", "conformal_malignant = inf", "is inf and must"),
        ('"spine clinic"', '"spine\\nclinic"', "'name' is .* one line of text"),
        ('"spine clinic"', '"a\\u001b[31mb"', "'name' is .* one line of text"),
        ('"spine clinic"', f'"{"x" * 201}"', "at most 200 characters"),
        ('"sensitivity 0.95"', '" "', "'wanted' is .* one line of text"),
    ],
)
def test_a_calibration_that_is_wrong_is_refused(
    tmp_path: Path, old: str, new: str, says: str
) -> None:
    assert old in CALIBRATION
    with pytest.raises(ManifestInvalid, match=says):
        load_model_set(with_calibration(tmp_path / "set", CALIBRATION.replace(old, new)))


def test_only_a_classifier_is_calibrated(tmp_path: Path) -> None:
    with pytest.raises(ManifestInvalid, match="is for the role classifier"):
        load_model_set(with_calibration(tmp_path / "set", role="locator"))


def test_a_set_may_have_a_detector(tmp_path: Path) -> None:
    networks = {"detector": tiny_segmenter(classes=2), "classifier": tiny_segmenter(classes=2)}
    models = load_model_set(write_set(tmp_path / "set", networks))
    assert models.roles == ("detector", "classifier")
    said = models.network("detector").parameters_of(DetectorParameters)
    assert (said.threshold, said.levels, said.smooth) == (0.7, (Level.T12, Level.L1), 1)
