"""--help, --version, and what happens to wrong usage."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.contract.conftest import Command, call

COMMANDS = [
    (),
    ("run",),
    ("doctor",),
    ("models",),
    ("models", "list"),
    ("models", "show"),
    ("models", "verify"),
    ("phantom",),
    ("bench",),
    ("bench", "compare"),
    ("listen",),
    ("watch",),
    ("queue",),
    ("queue", "list"),
    ("queue", "show"),
    ("queue", "retry"),
    ("queue", "drop"),
]
RUN_OPTIONS = (
    *("--out", "-o", "--backend", "--model", "--series", "--levels", "--classify"),
    *("--segmentation", "--outputs", "--triage-exit-code", "--json", "--language"),
    *("--quiet", "--verbose"),
)
HEAVY = (
    *("onnxruntime", "openvino", "SimpleITK", "pydicom", "scipy", "onnx", "PIL", "rich"),
    *("matplotlib", "pynetdicom", "starlette", "requests"),
)


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_has_help(command: tuple[str, ...], vfx: Command) -> None:
    answer = vfx(*command, "--help")
    assert answer.code == 0
    assert answer.stderr == ""
    assert "Usage" in answer.stdout


@pytest.mark.parametrize(
    ("command", "options"),
    [
        ("run", RUN_OPTIONS),
        (
            "phantom",
            (
                "--slices",
                "--spacing",
                "--levels",
                "--matrix",
                "--fracture",
                "--lesion",
                "--scoliosis",
                "--seed",
            ),
        ),
    ],
)
def test_help_names_every_option(command: str, options: tuple[str, ...], vfx: Command) -> None:
    words = set(re.findall(r"(?<!\S)--?[a-z][a-z-]*", vfx(command, "--help").stdout))
    assert set(options) <= words


def test_version(vfx: Command) -> None:
    answer = vfx("--version")
    assert (answer.code, answer.stderr) == (0, "")
    assert re.fullmatch(r"vfx-edge \d+\.\d+\.\d+\S*\n", answer.stdout)


@pytest.mark.parametrize(
    "args", [["--help"], ["--version"], ["run", "--help"], ["watch", "--help"]], ids=" ".join
)
def test_help_imports_nothing_heavy(args: list[str], tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "vfx_edge", *args],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
    )
    imported = {line.rsplit("|", 1)[-1].strip() for line in done.stderr.splitlines()}
    assert imported & set(HEAVY) == set()


@pytest.mark.parametrize(
    "args",
    [
        ["nonsense"],
        ["run"],
        ["run", ".", "--nonsense"],
        ["run", ".", "--backend", "abacus"],
        ["run", ".", "--levels", "T1-X9"],
        ["run", ".", "--levels", "L5-T1"],
        ["evaluate", ".", "-o", "out", "--perturbations", "noise"],
        ["evaluate", ".", "-o", "out", "--repeat", "--predictions", "said.csv"],
        ["run", ".", "--classify", "some"],
        ["run", ".", "--outputs", "json,pdf"],
        ["run", ".", "--outputs", ""],
        ["run", ".", "--language", "fr"],
        ["run", ".", "--quiet", "--verbose"],
        ["phantom"],
        ["phantom", "out", "--levels", "L5-T1"],
        ["phantom", "out", "--fracture", "L1"],
        ["phantom", "out", "--lesion", "T10:odd"],
        ["phantom", "out", "--slices", "0"],
        ["models", "nonsense"],
        ["watch"],
        ["watch", ".", "--send", "PACS"],
        ["watch", ".", "--outputs", "json,pdf"],
        ["watch", ".", "--quiet-time", "0"],
        ["queue", "nonsense"],
        ["queue", "list", "--config", "absent.toml"],
    ],
    ids=" ".join,
)
def test_wrong_usage_exits_2(args: list[str], vfx: Command, tmp_path: Path) -> None:
    answer = vfx(*args)
    assert answer.code == 2, answer
    assert answer.stdout == ""
    assert "Traceback" not in answer.stderr
    assert answer.stderr.rstrip()
    assert list((tmp_path / "cwd").iterdir()) == []


def test_console_script_and_module_are_the_same(tmp_path: Path) -> None:
    script = Path(sys.executable).with_name("vfx-edge")
    if not script.exists() and not script.with_suffix(".exe").exists():
        pytest.skip("the package is not installed in this environment")
    done = subprocess.run([script, "--version"], capture_output=True, text=True, check=True)
    assert done.stdout == call("--version", cwd=tmp_path).stdout
