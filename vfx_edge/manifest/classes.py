"""[network.classes]: a network's own names of its classes, and what they mean here."""

from collections.abc import Mapping, Sequence

from vfx_edge.level_names import class_level
from vfx_edge.manifest.roles import BACKGROUND, RoleParameters
from vfx_edge.vocabulary import Level

DROPPED = ""
"""The meaning of a class that is never read."""
TABLE = "[network.classes]"


def meanings(
    names: Sequence[str], table: Mapping[str, str], *, with_levels: bool
) -> tuple[str, ...]:
    """What each of a network's names means: by the table, else itself. with_levels: vertebrae
    under any known name ("Th12", "LWK3", "vertebrae_L1", "20") mean their level."""
    return tuple(table.get(name, _known(name) if with_levels else name) for name in names)


def each_once(means: Sequence[str]) -> tuple[str, ...]:
    """The classes that are read of channels that mean this, in the channels' order."""
    return tuple(dict.fromkeys(name for name in means if name != DROPPED))


def unread(
    names: Sequence[str], means: Sequence[str], kinds: Sequence[type[RoleParameters]]
) -> tuple[str, ...]:
    """The network's own names of what no role of it reads; what is background needs no reader."""
    read = {BACKGROUND, *_readable(kinds)}
    return tuple(name for name, meaning in zip(names, means, strict=True) if meaning not in read)


def in_words(names: Sequence[str], means: Sequence[str], unread: Sequence[str]) -> str:
    """ "benign → osteoporotic; never read: sacrum", for people; empty where there is neither."""
    pairs = zip(names, means, strict=True)
    renamed = [f"{name} → {meaning}" for name, meaning in pairs if meaning not in (name, DROPPED)]
    rest = [f"never read: {', '.join(unread)}"] if unread else []
    return "; ".join([", ".join(renamed)] * bool(renamed) + rest)


def table_problem(
    names: Sequence[str], table: Mapping[str, str], kinds: Sequence[type[RoleParameters]]
) -> str:
    """What is wrong with an entry of the table; empty when all is right."""
    known = {DROPPED: None, **_readable(kinds)}
    for name, meaning in table.items():
        if name not in names:
            return f"'{name}' is no class of the network (it has {', '.join(names)})"
        if meaning not in known:
            roles = ", ".join(_shown(kinds))
            return f"'{name}' is '{meaning}' and must be one of {roles}, or \"\" to leave it out"
    return ""


def several_problem(names: Sequence[str], means: Sequence[str], *, whole: bool, joint: bool) -> str:
    """Whether several channels mean one thing that can't be put together; empty when none does.

    whole: whether its probabilities are shares of one whole. joint: where a voxel is given to the
    likeliest channel, only background may be several: what is a vertebra in two channels would win
    too seldom.
    """
    for meaning in each_once(means):
        own = [name for name, what in zip(names, means, strict=True) if what == meaning]
        if len(own) == 1 or (joint and meaning == BACKGROUND):
            continue
        both = f"{' and '.join(map(repr, own))} all mean '{meaning}'"
        if joint:
            return f'{both}, which only one class may: leave the others out with ""'
        if not whole:
            return f"{both}, and probabilities of a sigmoid can't be added: keep one of them"
    return ""


def _known(name: str) -> str:
    level = class_level(name)
    return name if level is None else level.value


def _readable(kinds: Sequence[type[RoleParameters]]) -> dict[str, None]:
    found = dict.fromkeys(name for kind in kinds for name in (*kind.classes, *kind.optional))
    return found | (dict.fromkeys(map(str, Level)) if any(k.a_level for k in kinds) else {})


def _shown(kinds: Sequence[type[RoleParameters]]) -> list[str]:
    names = [name for name in _readable(kinds) if name not in set(Level)]
    return names + ["a level such as L1"] * any(kind.a_level for kind in kinds)
