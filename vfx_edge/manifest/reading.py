"""manifest.toml -> ModelManifest: every field checked, `base` sets merged in."""

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from msgspec.structs import asdict, replace

from vfx_edge.errors import first_line
from vfx_edge.manifest.checking import checked, invalid
from vfx_edge.manifest.classes import TABLE, each_once, meanings, several_problem, table_problem
from vfx_edge.manifest.errors import ModelFileInvalid
from vfx_edge.manifest.files import MANIFEST, find_model_set
from vfx_edge.manifest.moving import NEIGHBOURS, SLICED_ROLES
from vfx_edge.manifest.roles import BACKGROUND, PARAMETERS, JointParameters, RoleParameters
from vfx_edge.manifest.row_input import is_row, row_input
from vfx_edge.manifest.spec import (
    FILES,
    SCHEMA,
    ModelManifest,
    NetworkSpec,
    NetworkTable,
    SetFacts,
    SetTable,
)
from vfx_edge.manifest.trust import Demand, digest_of
from vfx_edge.vocabulary import INTENDED_USES

MAX_MANIFEST_BYTES = 1 << 20
HEIGHT_LOSS_SUSPECTED = 0.20
"""Where neither a set nor its base has one."""


def load_model_set(
    name_or_dir: str | Path = "default", demand: Demand | None = None
) -> ModelManifest:
    """Read and validate a model set's manifest and its bases'. Opens no network and hashes none.

    demand: what the set must prove; None: nothing. Raises ModelError leaves: not found, invalid
    manifest, missing file, cyclic base, not what is demanded; ModelKeyUnusable.
    """
    demand = demand or Demand()
    manifest = _load(find_model_set(name_or_dir), (), demand)
    demand.check_digest(manifest.name, manifest.digest)
    return manifest


def parse_manifest(path: Path) -> ModelManifest:
    """One manifest.toml, without its base. ManifestInvalid names what is wrong and where."""
    return _merged(_read(path, _bytes(path)), path, None)


def _load(folder: Path, visited: tuple[Path, ...], demand: Demand) -> ModelManifest:
    path = folder / MANIFEST
    if folder in visited:
        chain = " -> ".join(p.name for p in (*visited, folder))
        raise invalid(path, f"base sets form a circle ({chain})")
    data = _bytes(path)
    demand.check_signed(path, data)  # the very bytes that are read below
    read = _read(path, data, proven=bool(demand))
    name = read.table.base
    base = None if name is None else _load(find_model_set(name), (*visited, folder), demand)
    return _merged(read, path, base)


@dataclass(frozen=True)
class _Read:
    """One manifest.toml as it stands."""

    data: bytes
    table: SetTable
    own: tuple[NetworkSpec, ...]


def _merged(read: _Read, path: Path, base: ModelManifest | None) -> ModelManifest:
    """The base fills the roles, and the threshold, that the set leaves open."""
    table, own = read.table, read.own
    loss, use, networks = table.fracture.height_loss_suspected, table.intended_use, own
    if base is not None:
        taken = {role for spec in own for role in spec.roles}
        left = [tuple(role for role in spec.roles if role not in taken) for spec in base.networks]
        rest = zip(base.networks, left, strict=True)
        here = path.parent
        borrowed = (replace(one, roles=roles, directory=here) for one, roles in rest if roles)
        networks = (*own, *borrowed)
        loss = loss or base.height_loss_suspected
        # A set is never more cleared than the networks it borrows.
        use = min(use, base.intended_use, key=INTENDED_USES.index)
    return ModelManifest(
        **{key: getattr(table, key) for key in SetFacts.__struct_fields__} | {"intended_use": use},
        directory=path.parent,
        digest=digest_of(read.data, base.digest if base else None),
        height_loss_suspected=loss or HEIGHT_LOSS_SUSPECTED,
        networks=networks,
    )


def _read(path: Path, data: bytes, proven: bool = False) -> _Read:
    """The manifest as it stands, every key of every table checked."""
    values = _toml(path, data)
    if (schema := values.get("schema", SCHEMA)) != SCHEMA:
        raise invalid(path, f"schema is '{schema}', this version reads '{SCHEMA}'")
    given = values.pop("network", [])
    top = checked(values, SetTable, path)
    if not isinstance(given, list) or not all(isinstance(one, dict) for one in given):
        raise invalid(path, "'network' must be [[network]] tables")
    parameters = [one.pop("parameters", {}) for one in given]
    titles = [f"[[network]] '{one.get('name', i)}'" for i, one in enumerate(given, 1)]
    for one, title, its in zip(given, titles, parameters, strict=True):
        if is_row(one):
            one["input"] = row_input(one, its, path, title)
    tables = [
        checked(one, NetworkTable, path, title) for one, title in zip(given, titles, strict=True)
    ]
    taken = [role for table in tables for role in table.roles]
    if twice := [role for role in taken if taken.count(role) > 1]:
        raise invalid(path, f"the role '{twice[0]}' is filled more than once")
    if not taken and top.base is None:
        raise invalid(path, "it holds no [[network]] and names no base")
    facts = {
        "set_name": top.name,
        "manifest_path": path,
        "directory": path.parent,
        "proven": proven,
    }
    return _Read(
        data,
        top,
        tuple(_network(*one, facts) for one in zip(titles, tables, parameters, strict=True)),
    )


def _bytes(path: Path) -> bytes:
    """Read once: what is hashed and what a signature is compared with is what is understood."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_MANIFEST_BYTES + 1)
    except OSError as error:
        raise invalid(path, f"it can't be read ({error.strerror})") from error
    if len(data) > MAX_MANIFEST_BYTES:
        raise invalid(path, "it is larger than a manifest ever is")
    return data


def _toml(path: Path, data: bytes) -> dict[str, Any]:
    try:
        return tomllib.loads(data.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise invalid(path, "it is not UTF-8 text") from error
    except ValueError as error:  # no TOML, or a number of thousands of digits
        raise invalid(path, f"it is no valid TOML ({first_line(error)})") from error
    except RecursionError:
        raise invalid(path, "it is no valid TOML (nested too deep)") from None


def _network(
    where: str, table: NetworkTable, parameters: Any, facts: dict[str, Any]
) -> NetworkSpec:
    path: Path = facts["manifest_path"]
    problems = (_window_problem, _slices_problem, _calibration_problem)
    if problem := next(filter(None, (of(table) for of in problems)), ""):
        raise invalid(path, problem, where)
    for key in FILES:
        name = getattr(table, key)
        if name is not None and _leaves_folder(name):
            what = f"{key} '{name}' must be a path inside the model set's folder"
            raise invalid(path, what, where)
        if name is not None and not (path.parent / name).is_file():
            raise ModelFileInvalid(path.parent / name, "is missing")
    by_role = _parameters(table, parameters, path, where)
    return NetworkSpec(**asdict(table), **facts, parameters=by_role)


def _window_problem(table: NetworkTable) -> str:
    """What does not suit the way the network is moved over the scan; empty when all does."""
    if table.window is None:
        several = len(set(table.input.spacing_zyx_mm)) > 1
        return "spacing_mm must be one number where there is no [network.window]" * several
    if set(table.roles) != {"labeller", "segmenter"}:
        return "[network.window] is for the roles labeller and segmenter together"
    return ""


def _slices_problem(table: NetworkTable) -> str:
    """What does not suit slices of a crop; empty when all does."""
    if table.slices is None:
        return ""
    if not set(table.roles) <= set(SLICED_ROLES):
        return f"[network.slices] is for the roles {' and '.join(SLICED_ROLES)}"
    given, reach = table.input, table.slices.reach_mm
    if given.orientation[given.transpose[0]] not in "LR":
        return "patch_zyx must begin with the axis from side to side (L or R)"
    inside = (given.patch_zyx[0] - 1) / 2 * given.spacing_mm
    if reach > inside + 1e-6:
        return (
            f"the slices reach {reach:g} mm to each side, the crop {inside:g}: widen it, or take "
            "fewer or closer slices"
        )
    return ""


def _calibration_problem(table: NetworkTable) -> str:
    if table.calibration is None or "classifier" in table.roles:
        return ""
    return "[network.calibration] is for the role classifier"


def _leaves_folder(name: str) -> bool:
    """Whether the path leads out of its folder, by either system's rules."""
    windows = PureWindowsPath(name)
    outside = ".." in windows.parts or windows.drive or windows.root
    return bool(outside) or PurePosixPath(name).is_absolute()


def _parameters(
    table: NetworkTable, given: Any, path: Path, where: str
) -> tuple[RoleParameters, ...]:
    """Of all the network's roles: each takes the keys it knows, and no key may be left over."""
    kinds = [PARAMETERS[role] for role in table.roles] if not table.window else [JointParameters]
    if len({kind.voxelwise for kind in kinds}) > 1:
        what = "one of its roles wants an answer for each voxel, another one for the whole patch"
        raise invalid(path, f"{what}: give each a network of its own", where)
    for kind in kinds:
        wanted, sees = kind.channels, kind.sees
        if table.slices is not None:
            wanted, sees = NEIGHBOURS, "the neighbouring slices"
        if (count := table.input.channels) != wanted and not kind.of_a_row:
            what = f"'channels' is {count} and must be {wanted} ({sees})"
            raise invalid(path, what, f"{where} [input]")
    _check_classes(table, kinds, path, where)
    where = f"{where} [parameters]"
    if not isinstance(given, dict):
        raise invalid(path, "they must be a table", where)
    known = {key: None for kind in kinds for key in kind.__struct_fields__}
    if unknown := [key for key in given if key not in known]:
        what = f"'{unknown[0]}' is unknown (known: {', '.join(sorted(known)) or 'none'})"
        raise invalid(path, what, where)
    return tuple(
        checked({k: given[k] for k in kind.__struct_fields__ if k in given}, kind, path, where)
        for kind in kinds
    )


def _check_classes(
    table: NetworkTable, kinds: Sequence[type[RoleParameters]], path: Path, where: str
) -> None:
    """Every role finds its classes, under the names that [network.classes] gives them."""
    names, renamed = table.output.classes, table.renamed
    if problem := table_problem(names, renamed, kinds):
        raise invalid(path, problem, f"{where} {TABLE}")
    means = meanings(names, renamed, with_levels=any(kind.a_level for kind in kinds))
    whole, joint = table.output.activation != "sigmoid", table.window is not None
    if problem := several_problem(names, means, whole=whole, joint=joint):
        raise invalid(path, problem, f"{where} {TABLE}")
    if joint and table.output.activation == "sigmoid":
        means = (BACKGROUND, *means)  # of regions, what none covers: no channel stands for it
    for kind in kinds:
        if problem := kind.problem_of(each_once(means)):
            how = f"; say in {TABLE} what its own names mean" * (not renamed)
            raise invalid(path, f"'classes' {problem}{how}", f"{where} [output]")
