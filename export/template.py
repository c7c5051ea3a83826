"""A manifest to fill in: every key of its role, with its type's own words, as far as is known.

What only a person can say stands as text in <…>, so that the whole is TOML from the start.
"""

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from dataclasses import field as made_field
from typing import Any

from msgspec import NODEFAULT, Struct, inspect

from export.contracts import classes_of
from vfx_edge.errors import UsageError
from vfx_edge.manifest.checking import described
from vfx_edge.manifest.classes import each_once, meanings, unread
from vfx_edge.manifest.moving import NEIGHBOURS, SLICED_ROLES, SlicesSpec, WindowSpec
from vfx_edge.manifest.precision import PrecisionSpec
from vfx_edge.manifest.roles import PARAMETERS, JointParameters, RoleParameters
from vfx_edge.manifest.spec import (
    SCHEMA,
    BatchSpec,
    InputSpec,
    NetworkTable,
    OutputSpec,
    SetTable,
)
from vfx_edge.manifest.writing import toml_key, toml_value
from vfx_edge.vocabulary import Level, Stored

JOINT = "joint"
MOST_CLASSES = 10_000
"""A file that names more is wrong, or made to fill the memory: nobody could name them all."""
KINDS: dict[str, type[RoleParameters]] = {
    **{role: kind for role, kind in PARAMETERS.items() if not kind.of_a_row},
    JOINT: JointParameters,
}
"""What --role takes: a role, or labeller and segmenter in one."""
HEAD = """\
What vfx-edge has to know of {file}. Fill in what stands in <…>, and look at all the rest: a
network that is fed otherwise than in its training answers nonsense, and no error.
"""


@dataclass(frozen=True)
class Facts:
    """What a network's file tells of itself; None and empty: it does not."""

    channels: int | None = None
    patch: tuple[int | None, ...] = (None, None, None)
    batch: int | None = None
    """The only one that it takes; None: any."""
    classes: int | None = None
    voxelwise: bool | None = None
    """Whether it answers for each voxel, or once for the whole patch."""
    slices: bool = False
    """It takes flat images: neighbouring slices are its channels."""
    inputs: tuple[str, ...] = ("image",)
    outputs: tuple[str, ...] = ("answer",)
    activation: str | None = None
    stored: Stored = "fp32"
    class_names: tuple[str, ...] = ()
    licence: str | None = None
    notes: tuple[str, ...] = ()
    """Sentences for the head of the template."""
    known: Mapping[tuple[type, str], Any] = made_field(default_factory=dict)
    """(table, key) -> value, of whatever else it tells."""

    @property
    def roles(self) -> tuple[str, ...]:
        """Those whose contract does not speak against what is known."""
        return tuple(name for name, kind in KINDS.items() if self._suits(kind))

    def _suits(self, kind: type[RoleParameters]) -> bool:
        channels = NEIGHBOURS if self.slices else kind.channels
        flat = tuple(KINDS[role] for role in SLICED_ROLES)
        return (
            self.channels in (None, channels)
            and (not self.slices or kind in flat)
            and self.voxelwise in (None, kind.voxelwise)
            and (self.classes is None or self.classes >= len(kind.classes) + kind.a_level)
        )

    def __str__(self) -> str:
        channels = f"{self.channels or '?'} channel{'s' * (self.channels != 1)}"
        how = {True: " for each voxel", False: " for the whole patch", None: ""}[self.voxelwise]
        return f"{channels}, {self.classes or 'unknown'} classes{how}"


class RoleNotSaid(UsageError):
    """A template is of one role, and none or an impossible one was given."""

    def __init__(self, role: str | None, facts: Facts) -> None:
        what = f"--role {role} is unknown" if role else "a template is of one role"
        fitting = ", ".join(facts.roles) or "none of them, by what the file says"
        super().__init__(
            f"{what}: add --role, one of {', '.join(KINDS)} ({JOINT}: labeller and segmenter in "
            f"one); a network of {facts} can be {fitting}"
        )


def template(file: str, role: str | None, facts: Facts) -> str:
    """The TOML text. RoleNotSaid when the role is none."""
    if role not in KINDS:
        raise RoleNotSaid(role, facts)
    kind = KINDS[role]
    known = _known(role, kind, facts)
    tables: list[tuple[str, type[Struct]]] = [
        ("network.input", InputSpec),
        ("network.output", OutputSpec),
        ("network.batch", BatchSpec),
        ("network.precision", PrecisionSpec),
        *[("network.window", WindowSpec)] * (role == JOINT),
        *[("network.slices", SlicesSpec)] * facts.slices,
        ("network.parameters", kind),
    ]
    warning = (f"Not likely a {role}: the file says {facts}.",) * (role not in facts.roles)
    lines = _comment(" ".join((HEAD.format(file=file).strip(), *facts.notes, *warning)))
    lines += [f"schema = {toml_value(SCHEMA)}", *_keys(SetTable, known)]
    lines += ["", "[[network]]", *_keys(NetworkTable, known)]
    for name, table in tables:
        if table is BatchSpec:
            lines += ["", "[network.classes]", *_comment(_renaming())]
            lines += _unmapped(facts.class_names, kind)
        sees = "neighbouring sagittal slices" if facts.slices else kind.sees
        rows = list(_keys(table, known, classes_of(kind), sees))
        lines += ["", f"[{name}]", *rows] if rows else []
    return "\n".join(lines) + "\n"


def _known(role: str, kind: type[RoleParameters], facts: Facts) -> dict[tuple[type, str], Any]:
    """(table, key) -> value or words to put there; without one, the type's default stands."""
    count = facts.classes or 0
    if not 0 < count <= MOST_CLASSES:
        count = len(kind.classes) + kind.a_level
    formats = {"fp32": ("fp32", "bf16", "fp16"), "fp16": ("fp32", "fp16"), "int8": ("fp32",)}
    known: dict[tuple[type, str], Any] = {
        (SetTable, "base"): "default",
        (SetTable, "licence"): facts.licence,
        (NetworkTable, "roles"): ("labeller", "segmenter") if role == JOINT else (role,),
        (InputSpec, "name"): _one_of(facts.inputs),
        (InputSpec, "channels"): facts.channels or kind.channels,
        (InputSpec, "patch_zyx"): tuple(n or "<voxels>" for n in facts.patch),
        (InputSpec, "hu_clip"): ("<lowest HU>", "<highest HU>"),
        (OutputSpec, "name"): _one_of(facts.outputs),
        (OutputSpec, "classes"): facts.class_names
        or tuple(f"<class {i + 1}>" for i in range(count)),
        (OutputSpec, "activation"): facts.activation,
        (PrecisionSpec, "stored"): facts.stored,
        (PrecisionSpec, "allowed"): formats[facts.stored],
        (kind, "levels"): (f"<{Level.T1}>", f"<{Level.T2}>"),
    }
    if facts.batch:
        known |= {(BatchSpec, key): facts.batch for key in ("min", "opt", "max")}
    if facts.slices:
        known[InputSpec, "orientation"] = "<L or R first: LIP has rows to the feet, then the back>"
    if role == JOINT:
        known[InputSpec, "spacing_mm"] = ("<mm along z>", "<mm along y>", "<mm along x>")
    return {**{key: value for key, value in known.items() if value is not None}, **facts.known}


def _renaming() -> str:
    """What [network.classes] is for, by its type's own words."""
    fields: Any = inspect.type_info(NetworkTable)
    about = next(f.type for f in fields.fields if f.name == "renamed").extra_json_schema
    return f"{about['description']}. A level needs no line: Th12, LWK3 or vertebrae_L1 are known."


def _unmapped(names: Sequence[str], kind: type[RoleParameters]) -> Iterator[str]:
    """A line to fill in for each name that means nothing here, where the role can't do so."""
    means = meanings(names, {}, with_levels=kind.a_level)
    if names and kind.problem_of(each_once(means)):
        words = ", ".join((*kind.classes, *kind.optional, *("a level",) * kind.a_level))
        for name in unread(names, means, (kind,)):
            yield f"{toml_key(name)} = {toml_value(f'<one of {words}, or nothing>')}"


def _one_of(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"<one of {', '.join(names)}>"


def _keys(
    table: type[Struct],
    known: Mapping[tuple[type, str], Any],
    classes: str = "",
    sees: str = "",
) -> Iterator[str]:
    """A comment and a line for each key that a person may set. classes: what the role demands;
    sees: what its channels hold."""
    info: Any = inspect.type_info(table)
    for field in info.fields:
        about = getattr(field.type, "extra_json_schema", None)
        if about is None or field.name == "renamed":
            continue  # a table of its own, or what the export fills in
        key, meaning, rule = field.encode_name, about["description"], described(field.type)
        plain = rule.startswith("a text")
        value = known.get((table, key), field.default)
        if value is NODEFAULT:
            value = f"<{meaning if plain else rule}>"
        elif not plain:
            meaning = f"{meaning}: {rule}"
        if (table, key) == (OutputSpec, "classes"):
            meaning = (
                f"the network's own names, {about['description']}. Read are, under these names or "
                f"by a line of [network.classes]: {classes}"
            )
        if (table, key) == (InputSpec, "channels") and sees:
            meaning = f"{meaning}: {sees}"
        yield from _comment(meaning)
        yield f"{key} = {toml_value(value)}"


def _comment(text: str) -> list[str]:
    return textwrap.wrap(
        text, 100, initial_indent="# ", subsequent_indent="# ", break_on_hyphens=False
    )
