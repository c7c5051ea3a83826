"""How many examples a property is shown: all in the thorough run, a quarter in the default one."""

from typing import Any

from hypothesis import settings


def examples(many: int, **more: Any) -> settings:
    """`many` at the profile's measure, 100 for all of them; `more`: as `hypothesis.settings`."""
    return settings(max_examples=max(5, many * settings().max_examples // 100), **more)
