from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.outputs.fakes import SERIES
from vfx_edge.outputs.file_names import series_stem


@pytest.mark.parametrize(
    ("uid", "stem"),
    [
        ("1.2.840.113", "1.2.840.113"),
        ("sub-01/ct: axial", "sub-01-ct-axial"),
        ("../../etc/passwd", "etc-passwd"),
        ("", "series"),
        ("NUL", "series-NUL"),
        ("com1.ct", "series-com1.ct"),
    ],
)
def test_stem(uid: str, stem: str) -> None:
    assert series_stem(replace(SERIES, series_uid=uid)) == stem


@given(st.text(max_size=200))
def test_any_uid_gives_a_plain_name(uid: str) -> None:
    stem = series_stem(replace(SERIES, series_uid=uid))
    assert 0 < len(stem) <= 90
    assert stem.isascii()
    assert not set(stem) & set('/\\:*?"<>| \t\n')
    assert stem[0] not in ".-"
    assert stem[-1] not in ".-"
