"""What was taken and is still in the drop folder, remembered on the disk: beyond a restart, and
longer than the spool remembers its studies. Without it all of them would be analysed anew."""

import json
import logging
import os
from collections.abc import Collection
from hashlib import sha256
from pathlib import Path

from vfx_edge.files import mapped
from vfx_edge.service.receive.dropped import Signature
from vfx_edge.service.store import disk
from vfx_edge.service.store.incoming import OPTION

log = logging.getLogger(__name__)
MOST = 100_000
"""Items; those that were taken first are forgotten first."""


class Kept:
    """Names and what was in them, as hashes: a name may be a patient's. One file per folder."""

    def __init__(self, root: Path, folder: Path) -> None:
        self._file = root / "watched" / f"{_hash(os.fsencode(folder.resolve()))}.json"
        self._done = self._read()
        self._changed = False

    def __contains__(self, item: tuple[str, Signature]) -> bool:
        name, signature = item
        return self._done.get(_of_name(name)) == _of_signature(signature)

    def add(self, name: str, signature: Signature) -> None:
        """This was taken as it is now."""
        self._done.pop(_of_name(name), None)
        self._done[_of_name(name)] = _of_signature(signature)
        self._changed = True

    def keep_only(self, names: Collection[str]) -> None:
        """The others were taken away: what comes under such a name is new. Where nothing is left
        at all a drive may be away, and comes again as it was."""
        here = {_of_name(name) for name in names}
        if here and self._done.keys() - here:
            self._done = {name: what for name, what in self._done.items() if name in here}
            self._changed = True

    def save(self) -> None:
        """Onto the disk, where something has changed. OutputError leaves."""
        if self._changed:
            newest = list(self._done.items())[-MOST:]
            with mapped(self._file.parent, OPTION):
                self._file.parent.mkdir(exist_ok=True)
                part = self._file.with_suffix(".part")
                part.write_text(json.dumps(dict(newest)), "utf-8")
                disk.sync_all(part)
                os.replace(part, self._file)
            self._changed = False

    def _read(self) -> dict[str, str]:
        try:
            return dict(json.loads(self._file.read_text("utf-8")))
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, TypeError):
            log.warning("what was taken before can't be read: what the spool forgot is done anew")
            return {}


def _of_name(name: str) -> str:
    return _hash(os.fsencode(name))


def _of_signature(signature: Signature) -> str:
    return _hash(repr(signature).encode("utf-8", "surrogatepass"))


def _hash(data: bytes) -> str:
    return sha256(data).hexdigest()[:32]
