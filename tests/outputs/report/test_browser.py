"""A real browser shows the report: no console error, the verdict visible, nothing fetched."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.outputs.fakes import example
from tests.outputs.maps import explained
from tests.waiting import HANG_S
from vfx_edge.outputs.report.page import write_report

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
BROWSER = next((path for path in map(shutil.which, NAMES) if path), None)
pytestmark = pytest.mark.skipif(BROWSER is None, reason="needs a Chromium browser on the PATH")

RED_OF_THE_VERDICT = (255, 107, 107)
YELLOW_OF_THE_BANNER = (255, 194, 51)


def _browse(page: Path, profile: Path, *options: str) -> subprocess.CompletedProcess[str]:
    assert BROWSER is not None
    command = [
        *(BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"),
        *("--enable-logging=stderr", "--v=0", f"--user-data-dir={profile}"),
        # by the page's own clock, which stands still while a busy machine does not get on
        *("--virtual-time-budget=5000", "--run-all-compositor-stages-before-draw"),
        *("--disable-gpu-watchdog", "--disable-hang-monitor"),
        *("--window-size=1400,1400", *options, page.as_uri()),
    ]
    return subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=HANG_S,
        check=True,
        env={**os.environ, "DBUS_SESSION_BUS_ADDRESS": ""},
    )


def _console(done: subprocess.CompletedProcess[str]) -> list[str]:
    return re.findall(r"CONSOLE.*", done.stderr)


def _count(pixels: np.ndarray, colour: tuple[int, int, int]) -> int:
    return int((np.abs(pixels.astype(int) - colour).max(axis=2) < 12).sum())


@pytest.mark.parametrize(
    ("language", "verdict"),
    [("en", "Malignant fracture suspected"), ("de", "Verdacht auf maligne Fraktur")],
)
def test_screen(language: str, verdict: str, tmp_path: Path) -> None:
    page = write_report(example(), tmp_path / "report.html", language)
    done = _browse(page, tmp_path / "profile", "--dump-dom")
    assert not _console(done)
    assert verdict in done.stdout

    picture = tmp_path / "page.png"
    done = _browse(page, tmp_path / "profile", f"--screenshot={picture}")
    assert not _console(done)
    pixels = np.asarray(Image.open(picture).convert("RGB"))
    top = pixels[:260]
    assert _count(top, RED_OF_THE_VERDICT) > 3000, "the verdict is not to be seen"
    assert _count(top, YELLOW_OF_THE_BANNER) > 20000, "the banner is not to be seen"
    assert pixels[-5:, :5].max() < 30, "the page is not dark"
    views = pixels[450:1100, 24:640]
    gray = np.abs(views.max(axis=2).astype(int) - views.min(axis=2)) < 8
    assert len(np.unique(views[gray][:, 0])) > 60, "the views show no CT"


def test_a_map_is_seen_over_the_bone(tmp_path: Path) -> None:
    """Beside a page without one: colours that nothing else on it has."""
    seen = []
    for name, analysis in (("plain", example()), ("map", explained(example(), T10=0.9))):
        page = write_report(analysis, tmp_path / f"{name}.html")
        picture = tmp_path / f"{name}.png"
        done = _browse(page, tmp_path / "profile", f"--screenshot={picture}")
        assert not _console(done)
        red, green, blue = np.asarray(Image.open(picture).convert("RGB")).astype(int).T
        orange = (red - green > 40) & (green - blue > 40) & (red < 230)
        seen.append(int(orange.sum()))
    assert seen[1] > seen[0] + 500, seen


def test_print_is_white_a4(tmp_path: Path) -> None:
    page = write_report(example(), tmp_path / "report.html")
    pdf = tmp_path / "report.pdf"
    done = _browse(page, tmp_path / "profile", "--no-pdf-header-footer", f"--print-to-pdf={pdf}")
    assert not _console(done)
    if shutil.which("pdftoppm") is None:
        pytest.skip("needs pdftoppm to look at the pages")
    subprocess.run(["pdftoppm", "-r", "40", "-png", pdf, tmp_path / "page"], check=True)
    pages = sorted(tmp_path.glob("page-*.png"))
    assert 2 <= len(pages) <= 6
    for path in pages:
        image = Image.open(path).convert("L")
        assert image.height / image.width == pytest.approx(297 / 210, rel=0.01)
        pixels = np.asarray(image)
        assert pixels[:, :8].min() > 250, "the margin is not white"
        assert np.median(pixels) > 250 or path == pages[0]
