"""What the bill of materials and the audit say is so, or said not to be known."""

import json
import os
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

SUPPLY = Path(__file__).resolve().parents[1] / "integration" / "supply"


@pytest.mark.parametrize(
    ("answer", "code", "says"),
    [
        ([{"name": "numpy", "version": "2", "vulns": []}], 0, "no known vulnerability"),
        ([{"name": "numpy", "version": "2", "vulns": [{"id": "X-1"}]}], 1, "numpy 2: X-1"),
        ([{"name": "numpy", "skip_reason": "not found"}], 3, "could not be looked up"),
        ([{"name": "vfx-edge", "skip_reason": "not found"}], 0, "no known vulnerability"),
        (None, 3, "can't be reached"),
    ],
)
def test_an_audit_that_could_not_ask_is_no_good_news(
    tmp_path: Path, answer: list[dict[str, Any]] | None, code: int, says: str
) -> None:
    words = "no route to host" if answer is None else json.dumps({"dependencies": answer})
    (tmp_path / "pip_audit.py").write_text(f"print({words!r})\n", encoding="utf-8")
    done = subprocess.run(
        [sys.executable, SUPPLY / "audit.py", "a folder"],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert (done.returncode, done.stderr) == (code, "")
    assert says in done.stdout


def test_libraries_inside_a_wheel_are_named_with_what_is_known_of_them() -> None:
    parts_of = runpy.run_path(str(SUPPLY / "soup.py"))["parts_of"]
    inside = {part["name"]: part.get("version") for part in parts_of("SimpleITK")}
    assert {"ITK", "GDCM", "zlib", "libpng", "OpenJPEG", "CharLS"} <= inside.keys()
    assert inside["ITK"]
    assert inside["GDCM"]
    assert inside["OpenJPEG"] is None
    assert parts_of("no such package") == []


def test_bold_is_what_an_installation_asks_for_by_name() -> None:
    wanted = runpy.run_path(str(SUPPLY / "soup.py"))["_wanted"]
    asked = ["numpy>=2.0", "Py_a; x", "b>=1; extra == 'service'", "c>=1; (x) and extra == 'dev'"]
    assert wanted(asked) == {"numpy", "py-a", "b"}
