"""Centres of experts, in whatever directions a file counts."""

import json
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vfx_edge.image import Image
from vfx_edge.outputs.nifti import centroids_of
from vfx_edge.scoring.truth import CentresUnreadable, read_centres
from vfx_edge.study import Level, Vertebra

AFFINE = np.array([[0, 0, 0.8, -90], [0, 0.7, 0, -80], [3.0, 0, 0, -500], [0, 0, 0, 1]])
IMAGE = Image(np.zeros((40, 30, 20), np.int16), AFFINE, "CT", "HU")
PLACE = (-80.4, -73.0, -440.0)


def written(path: Path, text: object) -> Path:
    path.write_text(text if isinstance(text, str) else json.dumps(text), encoding="utf-8")
    return path


def test_what_is_written_is_read(tmp_path: Path) -> None:
    listed = centroids_of(IMAGE, [Vertebra(Level.T13, PLACE, 1.0)])
    found = read_centres(written(tmp_path / "a_ctd.json", listed), IMAGE)
    assert found["T13"] == pytest.approx(PLACE, abs=0.2)


@pytest.mark.parametrize(
    ("direction", "index"),
    [("LPS", (12, 10, 20)), ("RAS", (7, 19, 20)), ("PIR", (10, 19, 7)), ("SLA", (20, 12, 19))],
)
def test_each_direction_counts_its_own_way(
    tmp_path: Path, direction: str, index: tuple[int, ...]
) -> None:
    """The same place of an image of 20 x 30 x 40 voxels."""
    entry = {"label": 20, **dict(zip("XYZ", index, strict=True))}
    path = written(tmp_path / "a_ctd.json", [{"direction": list(direction)}, entry])
    assert read_centres(path, IMAGE) == {"L1": pytest.approx(PLACE)}


@pytest.mark.parametrize(
    "content",
    ["", "[]", "{}", "null", '[{"direction": ["L", "R", "S"]}]', '[{"direction": ["L", "P"]}]',
     '[{"direction": ["L", "P", "S"]}, {"label": 20, "X": 1, "Y": 2}]',
     '[{"direction": ["L", "P", "S"]}, {"label": 20, "X": NaN, "Y": 2, "Z": 3}]',
     '[{"direction": ["L", "P", "S"]}, {"label": "L1", "X": 1, "Y": 2, "Z": "x"}]', "[" * 20000,
     '[{"direction": ["L", "P", "S"]}, {"label": 20, "X": 1, "Y": 2, "Z": 1e300}]',
     '[{"direction": ["L", "P", "S"]}, {"label": 20, "X": 1, "Y": 2, "Z": 81}]',
     '[{"direction": ["L", "P", "S"]}' + ", 0" * 1_000_000 + "]"],
)  # fmt: skip
def test_what_is_none_is_refused(tmp_path: Path, content: str) -> None:
    with pytest.raises(CentresUnreadable, match="VerSe"):
        read_centres(written(tmp_path / "a_ctd.json", content), IMAGE)


@given(st.recursive(st.none() | st.booleans() | st.floats() | st.text(max_size=5),
                    lambda inner: st.lists(inner, max_size=4)
                    | st.dictionaries(st.sampled_from(["direction", "label", "X"]), inner),
                    max_leaves=12))  # fmt: skip
def test_any_json_is_centres_or_a_sentence(
    tmp_path_factory: pytest.TempPathFactory, content: object
) -> None:
    path = written(tmp_path_factory.getbasetemp() / "any_ctd.json", content)
    with suppress(CentresUnreadable):
        assert read_centres(path, IMAGE) == {}


def test_labels_that_name_no_vertebra_are_left_out(tmp_path: Path) -> None:
    entries = [{"label": label, "X": 1, "Y": 1, "Z": 1} for label in (26, 27, 24)]
    path = written(tmp_path / "a_ctd.json", [{"direction": ["L", "P", "S"]}, *entries])
    assert list(read_centres(path, IMAGE)) == ["L5"]
