"""`vfx-edge models show` names what a set's manifest says beside files and hashes."""

from pathlib import Path

from typer.testing import CliRunner

from tests.test_manifest_options import with_calibration
from tests.tiny_models import write_full_set
from vfx_edge.cli import app
from vfx_edge.doctor import inspect_set


def test_a_calibration_is_shown(tmp_path: Path) -> None:
    shown = CliRunner().invoke(app, ["models", "show", str(with_calibration(tmp_path / "own"))])
    assert shown.exit_code == 0, shown.output
    assert (
        "calibration spine clinic, 2026-03-01: 150 fractures, 60 malignant; "
        "wanted: sensitivity 0.95; temperature 2; coverage 90%"
    ) in shown.stdout


def test_a_strangers_words_command_no_terminal(tmp_path: Path) -> None:
    place = write_full_set(tmp_path / "own")
    manifest, escape = place / "manifest.toml", b"\x1b]0;owned\x07 \xff\n"
    text = manifest.read_text("utf-8").replace("A tiny", r"\u001b[2J\u009b2J A tiny")
    manifest.write_text(text, "utf-8")
    (place / "card.md").write_bytes(b"# Card\n" + escape)
    told = CliRunner().invoke(app, ["models", "show", str(place)])
    assert told.exit_code == 0, told.output
    assert "# Card\n" in told.stdout
    assert not set("\x1b\x07\x9b") & set(told.stdout)


def test_what_classes_mean_and_which_nobody_reads_is_listed(tmp_path: Path) -> None:
    """By show, verify and doctor alike."""
    place = write_full_set(tmp_path / "own", classes={"labeller": ("background", "Th12", "disc")})
    words = "classes Th12 → T12; never read: disc"
    for command in (["show"], ["verify", "--hashes-only"]):
        told = CliRunner().invoke(app, ["models", *command, str(place)])
        assert told.exit_code == 0, told.output
        assert words in told.stdout
    (state,) = [n for n in inspect_set(place).networks if n.roles == ("labeller",)]
    assert f"classes {state.classes}" == words
