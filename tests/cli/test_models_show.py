"""`vfx-edge models show` names what the set's classifier was calibrated on."""

from pathlib import Path

from typer.testing import CliRunner

from tests.test_manifest_options import with_calibration
from vfx_edge.cli import app


def test_a_calibration_is_shown(tmp_path: Path) -> None:
    shown = CliRunner().invoke(app, ["models", "show", str(with_calibration(tmp_path / "own"))])
    assert shown.exit_code == 0, shown.output
    assert (
        "calibration spine clinic, 2026-03-01: 150 fractures, 60 malignant; "
        "wanted: sensitivity 0.95; temperature 2; coverage 90%"
    ) in shown.stdout
