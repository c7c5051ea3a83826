"""`vfx-edge run` loads nothing that it has no use for."""

import subprocess
import sys

_CODE = """
import sys
from vfx_edge.cli.sparing import sparing
with sparing():
    import pydicom, scipy.ndimage, openvino
    loaded = {name for name, module in sys.modules.items() if module is not None}
    print(*sorted(loaded & {"requests", "urllib3", "tqdm", "openvino.tools", "numpy.f2py",
                            "numpy.testing", "numpy.ma", "scipy.special"}))
    from scipy import special
    print(special.expit(0.0), scipy.ndimage.zoom([[0.0, 1.0], [2.0, 3.0]], 2, order=3).shape)
import requests, openvino.tools, numpy.testing
print(numpy.testing.assert_equal.__name__, requests.__name__)
"""


def test_what_is_spared_is_loaded_when_it_is_used() -> None:
    said = subprocess.run(
        [sys.executable, "-c", _CODE], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    assert said == ["", "0.5 (4, 4)", "assert_equal requests"]
