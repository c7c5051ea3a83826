"""Keeping a C++ library's own lines off the user's terminal."""

import contextlib
import io
import os
import re
import tempfile
import threading
import warnings
from collections.abc import Iterator

_ONE_AT_A_TIME = threading.Lock()
_NOISE = re.compile(rb"\[[VIWEF]:onnxruntime:")


@contextlib.contextmanager
def quiet_stderr() -> Iterator[None]:
    """Within, ONNX Runtime's lines on file descriptor 2, prints and warnings are dropped.

    Its logger writes below Python, at import, at a level that nothing can set beforehand
    (onnxruntime issue 27092). Whatever else arrives on the descriptor meanwhile is passed on.
    """
    with _ONE_AT_A_TIME, warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        try:
            kept = os.dup(2)
        except OSError:  # no standard error at all, as under pythonw.exe
            yield
            return
        with tempfile.TemporaryFile() as caught:
            os.dup2(caught.fileno(), 2)
            try:
                yield
            finally:
                os.dup2(kept, 2)
                os.close(kept)
                _pass_on(caught)


def _pass_on(caught: "tempfile._TemporaryFileWrapper[bytes] | io.BufferedRandom") -> None:
    caught.seek(0)
    noise = False
    for line in caught:
        colourless = line.strip(b"\r\n") not in (b"", b"\x1b[m", b"\x1b[0m")
        if colourless:
            noise = bool(_NOISE.search(line))
        if not noise:
            os.write(2, line)
