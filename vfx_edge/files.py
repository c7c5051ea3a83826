"""Files appear complete or not at all.

Everything is written in a private folder within the one it is meant for (the same file system,
so that the last step is one rename) and takes its place only when it is whole: `scratch.py`.
What the operating system refuses becomes an `OutputError` that names the place, and the option by
which another one is chosen.
"""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vfx_edge.errors import OutputError
from vfx_edge.scratch import HIDDEN, give_name, private_folder


class OutputDiskFull(OutputError):
    """No space left, or a quota is used up."""

    def __init__(self, path: Path, option: str = "--out") -> None:
        super().__init__(
            f"{path} can't be written: the disk is full; free some space "
            f"or choose another folder with {option}."
        )


class OutputFileIsFolder(OutputError):
    """A folder stands where a file is to be written."""

    def __init__(self, path: Path, option: str = "--out") -> None:
        super().__init__(
            f"{path} can't be written: there is a folder of that name; "
            f"remove it or choose another folder with {option}."
        )


class OutputFailed(OutputError):
    """A refusal in the words of the operating system or of a library."""

    def __init__(self, path: Path, words: str, option: str = "--out") -> None:
        super().__init__(
            f"{path} can't be written ({words}); check the disk or choose another folder "
            f"with {option}."
        )


_DENIED = (
    "{path} can't be written: permission denied, read-only, or open in another program; "
    "choose another folder with {option} or change its permissions."
)
_FOLDER_IS_FILE = (
    "{path} can't be used as an output folder: a file is in the way; "
    "remove it or choose another folder with {option}."
)
_NAME_INVALID = (
    "{path} can't be written: the file system refuses the name (too long, or it holds "
    "forbidden characters); choose a shorter folder with {option}."
)
_SENTENCES: dict[int, str] = {
    **dict.fromkeys((errno.EACCES, errno.EPERM, errno.EROFS), _DENIED),
    **dict.fromkeys((errno.ENOTDIR, errno.EEXIST), _FOLDER_IS_FILE),
    **dict.fromkeys((errno.ENAMETOOLONG, errno.EINVAL), _NAME_INVALID),
}


def output_error(error: OSError, path: Path, option: str = "--out") -> OutputError:
    """What the operating system refused about `path`, in our words."""
    refused = _first_cause(error)
    code = refused.errno or 0
    if code in (errno.ENOSPC, errno.EDQUOT):
        return OutputDiskFull(path, option)
    if code == errno.EISDIR:
        return OutputFileIsFolder(path, option)
    if code in _SENTENCES:
        return OutputError(_SENTENCES[code].format(path=path, option=option))
    return OutputFailed(path, refused.strerror or type(refused).__name__, option)


def _first_cause(error: OSError) -> OSError:
    """The operating system's own error; pydicom raises it anew, without its number."""
    cause = error.__cause__
    return _first_cause(cause) if error.errno is None and isinstance(cause, OSError) else error


@contextmanager
def as_output_error(path: Path, option: str = "--out") -> Iterator[None]:
    """Turns any OSError raised inside into an `OutputError` about `path`."""
    try:
        yield
    except OSError as error:
        raise output_error(error, path, option) from error


def make_folder(folder: Path, option: str = "--out") -> Path:
    """Makes the folder and its parents if absent."""
    with as_output_error(folder, option):
        folder.mkdir(parents=True, exist_ok=True)
    return folder


@contextmanager
def replacing(path: Path, option: str = "--out") -> Iterator[Path]:
    """Yields a temporary path of the same name; on success it becomes `path`.

    On any failure, an interrupt included, the temporary file is removed and an older `path`
    stays as it was.
    """
    make_folder(path.parent, option)
    with as_output_error(path, option):
        if path.is_dir():
            raise OutputFileIsFolder(path, option)
        with private_folder(path.parent, HIDDEN) as folder:
            yield folder / path.name
            give_name(folder / path.name, path)


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
    with as_output_error(folder), private_folder(folder, HIDDEN) as temporary:
        yield temporary
        for file in sorted(temporary.iterdir()):
            give_name(file, folder / file.name)
