"""Where model sets lie, and reading their files only when the hash is the manifest's."""

import hashlib
import os
import re
from contextlib import suppress
from pathlib import Path

from vfx_edge.manifest.errors import ModelFileInvalid, ModelSetNotFound

MANIFEST = "manifest.toml"
MAX_ONNX_BYTES = (2 << 30) - 1  # what protobuf can hold
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


_PACKAGE = Path(__file__).resolve().parents[1]
_SHIPPED = (_PACKAGE / "_models", _PACKAGE.parent / "models")
"""In an installed package and in a checkout."""


def is_shipped(file: Path) -> bool:
    """Whether it belongs to the default set that comes with this program."""
    return any(file.parent == place / "default" for place in _SHIPPED)


def search_places() -> tuple[Path, ...]:
    """Folders that hold model sets, first wins: environment, user, package, checkout."""
    import platformdirs

    listed = os.environ.get("VFX_EDGE_MODELS", "").split(os.pathsep)
    places = [Path(place) for place in listed if place.strip()]
    with suppress(RuntimeError):  # a service's user may have no home
        places.append(Path(platformdirs.user_data_dir("vfx-edge", appauthor=False)) / "models")
    return (*places, *_SHIPPED)


def installed_sets() -> tuple[Path, ...]:
    """Folders of all model sets that can be named, the one that a name resolves to only."""
    found: dict[str, Path] = {}
    for place in search_places():
        for folder in sorted(_folders(place)):
            if _has_manifest(folder):
                found.setdefault(folder.name, folder)
    return tuple(found.values())


def _folders(place: Path) -> list[Path]:
    try:
        return list(place.iterdir())
    except OSError:  # most places aren't there, and one that can't be read holds nothing for us
        return []


def _has_manifest(folder: Path) -> bool:
    return os.path.isfile(folder / MANIFEST)  # Path.is_file raises where a folder is forbidden


def find_model_set(name_or_dir: str | Path) -> Path:
    """The folder of a model set: a path as it is, a name from the search places.

    A bare word that no place knows may still be a folder right here.
    """
    text = str(name_or_dir)
    if isinstance(name_or_dir, Path) or re.search(r"[/\\]|^\.", text):
        folder = Path(os.path.expanduser(name_or_dir))
        if _has_manifest(folder):
            return folder.resolve()
        raise ModelSetNotFound(text, (folder,))
    places = search_places()
    if NAME.fullmatch(text):
        for place in (*places, Path()):
            if _has_manifest(place / text):
                return (place / text).resolve()
    raise ModelSetNotFound(text, places)


def read_verified(path: Path, sha256: str) -> bytes:
    """The network's bytes, read once and compared with the manifest's hash.

    Hand these very bytes to the runtime, so that nothing can change between check and use.
    """
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            if not 16 <= size <= MAX_ONNX_BYTES:
                what = f"is {size} bytes long, which no usable ONNX network is"
                raise ModelFileInvalid(path, what)
            data = file.read(size)
    except OSError as error:
        raise ModelFileInvalid(path, f"can't be read ({error.strerror})") from error
    if (digest := hashlib.sha256(data).hexdigest()) != sha256.lower():
        what = f"has changed (sha256 {digest[:12]}…, not the manifest's)"
        raise ModelFileInvalid(path, what)
    return data


def sha256_of(path: Path) -> str:
    """Hex digest of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
