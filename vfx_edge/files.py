"""Files appear complete or not at all.

Everything is written under a temporary name in the folder it is meant for (the same file
system, so that the last step is one rename) and takes its real name only when it is whole.
What the operating system refuses becomes one of the `OutputError` leaves below.
"""

import errno
import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from vfx_edge.errors import OutputError


class OutputNotWritable(OutputError):
    """The place may not be written to."""

    def __init__(self, path: Path, option: str = "--out") -> None:
        super().__init__(
            f"{path} can't be written: permission denied, read-only, or open in another program; "
            f"choose another folder with {option} or change its permissions."
        )


class OutputDiskFull(OutputError):
    """No space left, or a quota is used up."""

    def __init__(self, path: Path, option: str = "--out") -> None:
        super().__init__(
            f"{path} can't be written: the disk is full; free some space "
            f"or choose another folder with {option}."
        )


class OutputFolderIsFile(OutputError):
    """A file stands where a folder is needed."""

    def __init__(self, path: Path, option: str = "--out") -> None:
        super().__init__(
            f"{path} can't be used as an output folder: a file is in the way; "
            f"remove it or choose another folder with {option}."
        )


class OutputFileIsFolder(OutputError):
    """A folder stands where a file is to be written."""

    def __init__(self, path: Path, option: str = "--out") -> None:
        super().__init__(
            f"{path} can't be written: there is a folder of that name; "
            f"remove it or choose another folder with {option}."
        )


class OutputNameInvalid(OutputError):
    """The file system does not take the name."""

    def __init__(self, path: Path, option: str = "--out") -> None:
        super().__init__(
            f"{path} can't be written: the file system refuses the name (too long, or it holds "
            f"forbidden characters); choose a shorter folder with {option}."
        )


class OutputFailed(OutputError):
    """Any other refusal, in the operating system's words."""

    def __init__(self, path: Path, words: str, option: str = "--out") -> None:
        super().__init__(
            f"{path} can't be written ({words}); check the disk or choose another folder "
            f"with {option}."
        )


_LEAVES: dict[int, Callable[[Path, str], OutputError]] = {
    errno.EACCES: OutputNotWritable,
    errno.EPERM: OutputNotWritable,
    errno.EROFS: OutputNotWritable,
    errno.ENOSPC: OutputDiskFull,
    errno.EDQUOT: OutputDiskFull,
    errno.ENOTDIR: OutputFolderIsFile,
    errno.EEXIST: OutputFolderIsFile,
    errno.EISDIR: OutputFileIsFolder,
    errno.ENAMETOOLONG: OutputNameInvalid,
    errno.EINVAL: OutputNameInvalid,
}


def output_error(error: OSError, path: Path, option: str = "--out") -> OutputError:
    """The leaf that says in our words what the operating system refused about `path`, and by which
    option another place is named."""
    refused = _first_cause(error)
    leaf = _LEAVES.get(refused.errno or 0)
    if leaf is not None:
        return leaf(path, option)
    return OutputFailed(path, refused.strerror or type(refused).__name__, option)


def _first_cause(error: OSError) -> OSError:
    """What the operating system said; pydicom raises anew, with words of its own and no number."""
    cause = error.__cause__
    return _first_cause(cause) if error.errno is None and isinstance(cause, OSError) else error


@contextmanager
def mapped(path: Path, option: str = "--out") -> Iterator[None]:
    """Turns any OSError raised inside into an `OutputError` about `path`."""
    try:
        yield
    except OSError as error:
        raise output_error(error, path, option) from error


def make_folder(folder: Path, option: str = "--out") -> Path:
    """Makes the folder and its parents if absent."""
    with mapped(folder, option):
        folder.mkdir(parents=True, exist_ok=True)
    return folder


@contextmanager
def replacing(path: Path, option: str = "--out") -> Iterator[Path]:
    """Yields a temporary path beside `path` (same suffixes); on success it becomes `path`.

    On any failure, an interrupt included, the temporary file is removed and an older `path`
    stays as it was.
    """
    make_folder(path.parent, option)
    with mapped(path, option):
        if path.is_dir():
            raise OutputFileIsFolder(path, option)
    temporary = path.with_name(f".{secrets.token_hex(4)}-{path.name}")
    try:
        with mapped(path, option):
            yield temporary
            os.replace(temporary, path)
    finally:
        _remove_file(temporary)


def write_bytes(path: Path, data: bytes, option: str = "--out") -> Path:
    """Writes the file whole, flushed to the disk before it gets its name."""
    with replacing(path, option) as temporary, temporary.open("xb") as stream:
        stream.write(data)
        stream.flush()
        os.fsync(stream.fileno())
    return path


def write_text(path: Path, text: str, option: str = "--out") -> Path:
    """Writes UTF-8 with plain line feeds on every system."""
    return write_bytes(path, text.encode("utf-8"), option)


@contextmanager
def replacing_folder(folder: Path) -> Iterator[Path]:
    """Yields an empty temporary folder inside `folder`; on success its files move into `folder`.

    Files of the same names are replaced, others stay. On failure nothing has been moved unless
    the moving itself failed half way.
    """
    make_folder(folder)
    temporary = folder / f".{secrets.token_hex(4)}-part"
    try:
        with mapped(folder):
            temporary.mkdir()
            yield temporary
            for file in sorted(temporary.iterdir()):
                os.replace(file, folder / file.name)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _remove_file(path: Path) -> None:
    """What is left of a failed write; a second failure must not hide the first."""
    try:
        path.unlink(missing_ok=True)
    except OSError:
        return
