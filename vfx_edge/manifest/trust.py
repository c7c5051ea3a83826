"""Which model sets a site lets run: one known by its digest, or one that a key has signed.

Both are about the manifests' bytes. A manifest holds the SHA-256 of each of its networks, and a
network's bytes are compared with it before they are used, so that they are covered, too.
"""

import errno
import hashlib
import os
import re
from dataclasses import dataclass
from pathlib import Path

from vfx_edge.manifest.errors import (
    ModelKeyUnusable,
    ModelSetNotTheOne,
    ModelSetNotTrusted,
)

DIGEST = re.compile("[0-9a-fA-F]{64}")
SUFFIX = ".minisig"
MAX_BYTES = 1 << 16
"""A key or a signature has a few hundred."""


@dataclass(frozen=True)
class Demand:
    """What a model set must prove before it is read. Both None: nothing."""

    digest: str | None = None
    """SHA-256 in hexadecimal, as `vfx-edge models verify` prints it."""
    key: Path | None = None
    """A public key of minisign: it must have signed the manifest, and that of each base."""

    def __bool__(self) -> bool:
        return self.digest is not None or self.key is not None

    def check_signed(self, path: Path, manifest: bytes) -> None:
        """Compare a manifest's bytes with the signature beside it. ModelSetNotTrusted,
        ModelKeyUnusable."""
        if self.key is not None:
            _check_signature(path, manifest, self.key)

    def check_digest(self, name: str, digest: str) -> None:
        """ModelSetNotTheOne where another set lies there than the one demanded."""
        if self.digest is not None and self.digest.lower() != digest:
            raise ModelSetNotTheOne(name, digest, self.digest.lower())


def digest_of(manifest: bytes, base: str | None) -> str:
    """Of a whole model set, in hexadecimal: SHA-256 of its manifest's bytes, followed by its base's
    digest where it has a base. Without one it is what `sha256sum manifest.toml` prints."""
    return hashlib.sha256(manifest + (base or "").encode("ascii")).hexdigest()


def _check_signature(path: Path, manifest: bytes, key: Path) -> None:
    import minisign  # here: with what it needs it takes a twentieth of a second

    try:
        public = minisign.PublicKey.from_bytes(_read(key))
    except OSError as error:
        raise ModelKeyUnusable(key, error.strerror or type(error).__name__) from None
    except minisign.Error as error:
        raise ModelKeyUnusable(key, str(error)) from None
    beside = path.with_name(path.name + SUFFIX)
    try:
        public.verify(manifest, minisign.Signature.from_bytes(_read(beside)))
    except FileNotFoundError:
        raise ModelSetNotTrusted(path, f"is not signed ({beside.name} is missing)") from None
    except OSError as error:
        why = error.strerror or type(error).__name__
        raise ModelSetNotTrusted(path, f"has a signature that can't be read ({why})") from None
    except minisign.Error as error:
        raise ModelSetNotTrusted(path, f"is not signed by {key} ({error})") from None


def _read(path: Path) -> bytes:
    if not path.is_file():  # a named pipe would never answer
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
    with path.open("rb") as file:
        return file.read(MAX_BYTES)
