"""Keeps what third-party readers say to themselves away from the user's terminal."""

import logging
import os
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

_stderr_lock = threading.Lock()


@contextmanager
def quiet() -> Iterator[None]:
    """No warning of pydicom or NumPy escapes while the block runs."""
    logger = logging.getLogger("pydicom")
    level = logger.level
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logger.setLevel(logging.CRITICAL)
        try:
            yield
        finally:
            logger.setLevel(level)


@contextmanager
def itk_quiet() -> Iterator[None]:
    """No warning of ITK escapes while the block runs."""
    import SimpleITK as sitk  # only here: where no file needs it, it is not loaded

    shown = sitk.ProcessObject.GetGlobalWarningDisplay()
    sitk.ProcessObject.SetGlobalWarningDisplay(False)
    try:
        yield
    finally:
        sitk.ProcessObject.SetGlobalWarningDisplay(shown)


@contextmanager
def native_stderr_muted() -> Iterator[None]:
    """Drops what C libraries write to file descriptor 2; Python's own stderr stays audible.

    GDCM's decoders print there: libjpeg "Unsupported JPEG data precision 12" for every intact
    12-bit slice, OpenJPEG whatever it finds in damaged ones. No switch turns that off.
    """
    with _stderr_lock:
        try:
            audible = os.dup(2)
            silence = os.open(os.devnull, os.O_WRONLY)
        except OSError:  # no descriptor 2 at all (pythonw): nothing to mute
            yield
            return
        python_stderr = _redirected(audible)
        os.dup2(silence, 2)
        try:
            yield
        finally:
            if python_stderr is not None:
                sys.stderr.flush()
                sys.stderr = python_stderr
            os.dup2(audible, 2)
            os.close(silence)
            os.close(audible)


def _redirected(audible: int) -> TextIO | None:
    """Points sys.stderr past the mute; the former stream, or None where it isn't descriptor 2."""
    former = sys.stderr
    try:
        if former is None or former.fileno() != 2:
            return None
        former.flush()
        sys.stderr = open(audible, "w", encoding=former.encoding, closefd=False, buffering=1)  # noqa: SIM115
    except (OSError, ValueError):
        return None
    return former
