"""The golden phantoms of `golden.py`, by every backend and thread count, within what is stated."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests import golden
from vfx_edge.backends import Budget, default_backends, open_models
from vfx_edge.manifest import load_model_set

KEPT = json.loads(golden.FILE.read_text("utf-8"))


@pytest.fixture(scope="module")
def phantom(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder of a golden phantom's slices, made once."""
    parent = tmp_path_factory.mktemp("golden")

    def made(name: str) -> Path:
        folder = parent / name
        return folder if folder.is_dir() else golden.write_phantom(name, folder)

    return made


def test_the_file_is_of_the_shipped_models_and_has_three_verdicts() -> None:
    assert KEPT["model_set"] == load_model_set().digest, "run python -m tests.golden"
    assert KEPT["tolerance"] == golden.TOLERANCE
    tiers = {name: answer["triage"]["tier"] for name, answer in KEPT["phantoms"].items()}
    assert tiers == {"intact": "none_suspected", "wedge": "osteoporotic", "lytic": "malignant"}


@pytest.mark.parametrize(
    ("name", "backend", "threads"),
    [
        *((name, "openvino", 2) for name in golden.PHANTOMS),
        ("intact", "openvino", 1),
        ("intact", golden.REFERENCE, 1),
    ],
)
def test_golden(
    name: str, backend: str, threads: int, phantom: Callable[[str], Path], tmp_path: Path
) -> None:
    state = default_backends()[backend].availability()
    if not state.available:
        pytest.skip(f"{backend}: {state.reason}")
    with open_models(load_model_set(), backend, budget=Budget(threads=threads)) as models:
        given = golden.answer(phantom(name), models, tmp_path)
    assert not golden.differences(given, KEPT["phantoms"][name])


@pytest.mark.parametrize(
    ("at", "value"),
    [
        (("triage", "tier"), "uncertain"),
        (("findings", 3, "centroid_lps_mm", 1), 12.0),
        (("findings", 3, "heights_mm", "middle"), 23.9),
        (("findings", 3, "level"), "L3"),
        (("findings", 3, "suspected_fracture"), None),
        (("warnings",), ["something"]),
    ],
)
def test_what_is_further_off_is_seen(at: tuple[Any, ...], value: Any) -> None:
    changed = json.loads(json.dumps(KEPT["phantoms"]["intact"]))
    place = changed
    for step in at[:-1]:
        place = place[step]
    place[at[-1]] = value
    assert len(golden.differences(changed, KEPT["phantoms"]["intact"])) == 1
