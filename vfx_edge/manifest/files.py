"""Where model sets lie, and reading their files only when the hash is the manifest's."""

import hashlib
import os
import re
from contextlib import suppress
from pathlib import Path

from vfx_edge.errors import ModelError
from vfx_edge.manifest.table import ManifestInvalid

MANIFEST = "manifest.toml"
MAX_ONNX_BYTES = 2 << 30  # protobuf itself can hold no more
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


class ModelSetNotFound(ModelError):
    """No folder of this name with a manifest in any of the places."""

    def __init__(self, name: str, places: tuple[Path, ...]) -> None:
        super().__init__(
            f"model set '{name}' was not found in {', '.join(map(str, places)) or 'any place'}: "
            "name one that `vfx-edge models list` shows, or give the folder's path"
        )


class ModelFileMissing(ModelError):
    """The manifest names a network file that isn't there or can't be read."""

    def __init__(self, path: Path, why: str = "is missing") -> None:
        super().__init__(f"{path} {why}: reinstall vfx-edge or restore the model set's folder")


class ModelFileChanged(ModelError):
    """The bytes on disk are not the ones the manifest describes."""

    def __init__(self, path: Path, sha256: str) -> None:
        super().__init__(
            f"{path} has changed (sha256 {sha256[:12]}…, not the manifest's): "
            "reinstall, or run `vfx-edge models verify`"
        )


class ModelFileSize(ModelError):
    """An ONNX file that can't be one by its size."""

    def __init__(self, path: Path, size: int) -> None:
        super().__init__(
            f"{path} is {size} bytes long, which no usable ONNX network is: "
            "restore the file or export the network again"
        )


def search_places() -> tuple[Path, ...]:
    """Folders that hold model sets, first wins: environment, user, package, checkout."""
    import platformdirs

    package = Path(__file__).resolve().parents[1]
    listed = os.environ.get("VFX_EDGE_MODELS", "").split(os.pathsep)
    places = [Path(place) for place in listed if place.strip()]
    with suppress(RuntimeError):  # a service's user may have no home
        places.append(Path(platformdirs.user_data_dir("vfx-edge", appauthor=False)) / "models")
    places.append(package / "_models")
    places.append(package.parent / "models")
    return tuple(places)


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
        size = path.stat().st_size
        if not 16 <= size <= MAX_ONNX_BYTES:
            raise ModelFileSize(path, size)
        data = path.read_bytes()
    except OSError as error:
        raise ModelFileMissing(path, f"can't be read ({error.strerror})") from error
    if (digest := hashlib.sha256(data).hexdigest()) != sha256:
        raise ModelFileChanged(path, digest)
    return data


def sha256_of(path: Path) -> str:
    """Hex digest of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def update_hashes(manifest_path: Path) -> None:
    """Rewrite every `sha256` of a manifest from the files it names, leaving all else as it is.

    For the recipes that make models. Each [[network]] needs a `file` and a `sha256` line.
    """
    text = manifest_path.read_text(encoding="utf-8")
    head, *blocks = re.split(r"(?m)^(?=\[\[network\]\])", text)
    for i, block in enumerate(blocks):
        if not re.search(r'(?m)^file\s*=\s*"', block):
            raise ManifestInvalid(manifest_path, f"[[network]] number {i + 1} has no file")
        for suffix in ("", "_fp16"):
            blocks[i] = _with_hash(blocks[i], manifest_path.parent, suffix)
    partial = manifest_path.with_suffix(".toml.partial")
    partial.write_text(head + "".join(blocks), encoding="utf-8", newline="\n")
    os.replace(partial, manifest_path)


def _with_hash(block: str, folder: Path, suffix: str) -> str:
    match = re.search(rf'(?m)^file{suffix}\s*=\s*"([^"]+)"', block)
    if match is None:
        return block
    line = f'sha256{suffix} = "{sha256_of(folder / match[1])}"'
    changed, count = re.subn(rf'(?m)^sha256{suffix}\s*=\s*"[^"]*"', line, block, count=1)
    return changed if count else block.replace(match[0], f"{match[0]}\n{line}", 1)
