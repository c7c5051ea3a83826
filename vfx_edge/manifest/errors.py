"""What can be wrong with a model set."""

from pathlib import Path

from vfx_edge.errors import ModelError, OutputError, UsageError


class ManifestInvalid(ModelError):
    """A manifest that can't be understood or can't be right."""

    def __init__(self, path: Path, what: str) -> None:
        super().__init__(f"{path}: {what}: correct the manifest or reinstall the model set")


class ModelSetNotFound(ModelError):
    """No folder of this name with a manifest in any of the places."""

    def __init__(self, name: str, places: tuple[Path, ...]) -> None:
        super().__init__(
            f"model set '{name}' was not found in {', '.join(map(str, places)) or 'any place'}: "
            "name one that `vfx-edge models list` shows, or give the folder's path"
        )


class ModelFileInvalid(ModelError):
    """A network's file is absent, can't be read, or is not the one that the manifest describes."""

    def __init__(self, path: Path, what: str) -> None:
        super().__init__(
            f"{path} {what}: restore the model set's folder or reinstall vfx-edge "
            "(`vfx-edge models verify` checks every file)"
        )


class RoleMissing(ModelError):
    """The chain needs a role that the set doesn't fill."""

    def __init__(self, set_name: str, role: str, roles: tuple[str, ...]) -> None:
        super().__init__(
            f"model set '{set_name}' has no {role} (it has {', '.join(roles) or 'nothing'}): "
            f'add a [[network]] with roles = ["{role}"] or base = "default" to its manifest'
        )


class ModelSetNotTheOne(ModelError):
    """Another model set lies there than the one that is demanded."""

    def __init__(self, name: str, digest: str, wanted: str) -> None:
        super().__init__(
            f"model set '{name}' is not the one that is demanded (its digest is {digest[:12]}…, "
            f"not {wanted[:12]}…): restore that set or, once you know why it has changed, demand "
            "the digest that `vfx-edge models verify` prints"
        )


class ModelSetNotTrusted(ModelError):
    """A manifest without the signature that is demanded."""

    def __init__(self, path: Path, what: str) -> None:
        super().__init__(
            f"{path} {what}: install the set as its maker signed it, or name its maker's public key"
        )


class ModelKeyUnusable(UsageError):
    """The file that should hold the public key holds none."""

    def __init__(self, path: Path, why: str) -> None:
        super().__init__(
            f"the public key {path} can't be used ({why}): name a file that `minisign -G` wrote"
        )


class SetNotWritten(OutputError):
    """The model set's folder can't be made."""

    def __init__(self, folder: Path, why: str, remedy: str) -> None:
        super().__init__(f"the model set {folder} was not written ({why}): {remedy}")
