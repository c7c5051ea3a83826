"""Which items of a drop folder were taken and are still there (`--keep`). Kept on the
disk, longer than the spool keeps its studies: else all would be analysed again."""

import json
import logging
import os
from collections.abc import Collection
from hashlib import sha256
from pathlib import Path

from vfx_edge.files import write_text
from vfx_edge.service.receive.item_files import Signature
from vfx_edge.service.store.incoming_studies import OPTION

log = logging.getLogger(__name__)
MAX_ITEMS = 100_000
"""Beyond, those that were taken first are forgotten."""


class TakenItems:
    """Names and content as hashes: a name may be a patient's. One file for each folder."""

    def __init__(self, root: Path, folder: Path) -> None:
        self._file = root / "watched" / f"{_hash(os.fsencode(folder.resolve()))}.json"
        self._taken = self._read()
        self._is_changed = False

    def __contains__(self, item: tuple[str, Signature]) -> bool:
        name, signature = item
        return self._taken.get(_name_hash(name)) == _signature_hash(signature)

    def add(self, name: str, signature: Signature) -> None:
        """The item was taken as it is now."""
        self._taken.pop(_name_hash(name), None)
        self._taken[_name_hash(name)] = _signature_hash(signature)
        self._is_changed = True

    def keep_only(self, names: Collection[str]) -> None:
        """Forget all others: what comes under their names is new. Without any names nothing is
        forgotten: a drive may be away, and come back as it was."""
        here = {_name_hash(name) for name in names}
        if here and self._taken.keys() - here:
            self._taken = {name: what for name, what in self._taken.items() if name in here}
            self._is_changed = True

    def save(self) -> None:
        """Write it to the disk, if it has changed. OutputError."""
        if self._is_changed:
            newest = list(self._taken.items())[-MAX_ITEMS:]
            write_text(self._file, json.dumps(dict(newest)), OPTION)
            self._is_changed = False

    def _read(self) -> dict[str, str]:
        try:
            return dict(json.loads(self._file.read_text("utf-8")))
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, TypeError):
            log.warning("what was taken before can't be read: some items may be analysed again")
            return {}


def _name_hash(name: str) -> str:
    return _hash(os.fsencode(name))


def _signature_hash(signature: Signature) -> str:
    return _hash(repr(signature).encode("utf-8", "surrogatepass"))


def _hash(data: bytes) -> str:
    return sha256(data).hexdigest()[:32]
