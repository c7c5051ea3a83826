"""`from vfx_edge import …`: what is promised is there, and costs nothing until it is used."""

import ast
import subprocess
import sys

import pytest

import vfx_edge


@pytest.mark.parametrize("name", vfx_edge.__all__)
def test_every_public_name_can_be_had(name: str) -> None:
    assert getattr(vfx_edge, name) is not None


def test_nothing_else_is_promised() -> None:
    assert dir(vfx_edge) == sorted(vfx_edge.__all__)
    with pytest.raises(AttributeError, match=r"vfx_edge.*no_such_name"):
        _ = vfx_edge.no_such_name


def test_importing_the_package_imports_nothing_else() -> None:
    code = (
        "import sys; before = set(sys.modules); import vfx_edge;"
        "print(sorted(set(sys.modules) - before))"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "numpy" not in shown.stdout
    assert "vfx_edge." not in shown.stdout


def test_looking_at_the_output_folder_loads_nothing_that_draws() -> None:
    code = "import sys, vfx_edge.files; print(sorted(sys.modules))"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"scipy", "PIL", "jinja2", "pydicom"} & set(ast.literal_eval(shown.stdout))
