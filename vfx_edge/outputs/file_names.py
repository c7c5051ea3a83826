"""Names of files and folders that come from outside facts."""

import re

from vfx_edge.study import SeriesInfo

_LONGEST = 80
# Windows refuses these whatever their suffix.
_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\.|$)", re.IGNORECASE)


def series_stem(series: SeriesInfo) -> str:
    """A file name's stem for a series that any file system takes: its UID, made harmless."""
    stem = re.sub(r"[^A-Za-z0-9._-]+", "-", series.series_uid).strip("-.")[:_LONGEST].strip("-.")
    if not stem or _RESERVED.match(stem):
        return f"series-{stem}".rstrip("-")
    return stem
