"""highdicom's table, parsed where it is asked, says what it says as a whole."""

import json
import pkgutil

import pytest

pytest.importorskip("highdicom", reason="needs the extra service")
from highdicom import _standard_utils

from vfx_edge.outputs.dicom.standard import Table, spare_tables


def test_each_module_is_what_the_whole_table_has() -> None:
    text = (pkgutil.get_data("highdicom", "_standard/module_attribute_map.json") or b"").decode()
    assert dict(Table(text)) == json.loads(text)
    spare_tables()
    _standard_utils.get_module_attribute_map.cache_clear()
    assert isinstance(_standard_utils.get_module_attribute_map(), Table)
