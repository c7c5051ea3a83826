"""The summary as Parquet, by Arrow's own library; the only file that knows it."""

from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from vfx_edge.files import replacing

HINT = "summary.parquet is not written: `pip install 'vfx-edge[batch]'` brings what it needs."


def is_installed() -> bool:
    """Whether Parquet can be written here."""
    return find_spec("pyarrow") is not None


def write_parquet(
    path: Path, columns: Mapping[str, str], rows: Sequence[Mapping[str, Any]]
) -> None:
    """columns: name -> string, int64, double or bool; a cell is None where nothing is known.
    OutputError when the place can't be written."""
    import pyarrow as arrow
    from pyarrow import parquet

    schema = arrow.schema([(name, arrow.type_for_alias(kind)) for name, kind in columns.items()])
    table = arrow.Table.from_pylist(list(rows), schema=schema)
    with replacing(path) as temporary:
        parquet.write_table(table, temporary)
