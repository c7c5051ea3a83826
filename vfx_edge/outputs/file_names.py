"""Names of files and folders that come from outside facts."""

import re

from vfx_edge.study import SeriesInfo

_LONGEST = 80
# Windows refuses these whatever their suffix.
_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\.|$)", re.IGNORECASE)


def series_stem(series: SeriesInfo) -> str:
    """A file name's stem for a series that any file system takes: its UID, made harmless."""
    return safe_stem(series.series_uid, "series")


def safe_stem(text: str, instead: str) -> str:
    """The text as a file name's stem that any file system takes. instead: what the name begins
    with where nothing is left of the text, or where Windows keeps that name to itself."""
    stem = re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-.")[:_LONGEST].strip("-.")
    if not stem or _RESERVED.match(stem):
        return f"{instead}-{stem}".rstrip("-")
    return stem
