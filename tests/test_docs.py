"""What the documents say is there, and what is there is documented."""

import re
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import typer

from export import contracts
from vfx_edge.cli import app
from vfx_edge.manifest import load_model_set, parse_manifest
from vfx_edge.service.settings import Destination, Settings, Tls

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text("utf-8")
COMMANDS_PAGE = (ROOT / "docs" / "commands.md").read_text("utf-8")
SHOWN = README + COMMANDS_PAGE
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
ARCHITECTURE = (ROOT / "ARCHITECTURE.md").read_text("utf-8")
DEFAULT = ROOT / "models" / "default"
CARD = (DEFAULT / "card.md").read_text("utf-8")
RECIPES = (ROOT / "models" / "recipes" / "README.md").read_text("utf-8")


def commands(group: Any, above: tuple[str, ...] = ()) -> dict[tuple[str, ...], Any]:
    """Every command and group below `group`, by the words that call it."""
    found = {}
    for name, command in group.commands.items():
        found[(*above, name)] = command
        if hasattr(command, "commands"):
            found |= commands(command, (*above, name))
    return found


COMMANDS = commands(typer.main.get_command(app))


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_every_command_has_help_for_itself_and_its_options(words: tuple[str, ...]) -> None:
    command = COMMANDS[words]
    assert (command.help or "").strip()
    for parameter in command.params:
        assert getattr(parameter, "help", None), f"{' '.join(words)} {parameter.name} has no help"


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_every_command_is_in_the_documents(words: tuple[str, ...]) -> None:
    top, *below = words
    row = re.search(rf"^\| `vfx-edge {top}\b.*$", COMMANDS_PAGE, re.MULTILINE)
    assert row, f"docs/commands.md has no row for vfx-edge {top}"
    assert all(f"`{word}`" in row[0] or f"{top} {word}`" in row[0] for word in below)


def test_no_command_or_option_is_named_that_is_not_there() -> None:
    named = set(re.findall(r"`?vfx-edge ([a-z]+)\b", SHOWN)) - {"is"}
    assert named <= {words[0] for words in COMMANDS}
    options = {name for command in COMMANDS.values() for p in command.params for name in p.opts}
    own = re.sub(r"^python -m export .*$", "", SHOWN, flags=re.MULTILINE)  # another program
    ours = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", own))
    assert ours <= options | {"--help", "--version"}


def test_make_targets_in_the_documents_exist() -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    for target in re.findall(r"(?:^|`)make ([a-z]+)\b", SHOWN + CONTRIBUTING, re.MULTILINE):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), f"make {target}"


@pytest.mark.parametrize(
    "page",
    [
        *("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "docs/commands.md", "docs/python.md"),
        *("docs/integration.md", "docs/conformance.md", "docs/export.md", "docs/correcting.md"),
        "docs/radiomics.md",
        "docs/evaluation.md",
        "docs/scale.md",
        "docs/containers.md",
        *("models/default/card.md", "models/recipes/README.md"),
    ],
)
def test_files_that_are_named_exist(page: str) -> None:
    text = re.sub(r"<!--.*?-->", "", (ROOT / page).read_text("utf-8"), flags=re.DOTALL)
    for name in re.findall(r"\]\((?!http)([^)#]+)\)", text):
        assert ((ROOT / page).parent / name).exists(), name
    for name in re.findall(r"`((?:vfx_edge|export|tests|models|docs)/[\w./-]+)`", text):
        assert (ROOT / name).exists(), name


def test_every_stage_is_in_the_plan() -> None:
    for path in (ROOT / "vfx_edge" / "spine").glob("*.py"):
        assert re.search(rf"\b{path.stem}\b", ARCHITECTURE), path.name


def test_the_readme_is_one_page() -> None:
    assert README.count("\n") <= 120


def test_the_manifest_that_the_documents_show_can_be_read(tmp_path: Path) -> None:
    (shown,) = re.findall(r"```toml\n(.*?)```", COMMANDS_PAGE, re.DOTALL)
    path = tmp_path / "manifest.toml"
    path.write_text(shown, encoding="utf-8")
    assert parse_manifest(path).base == "default"


def test_the_table_of_the_roles_is_what_the_types_say() -> None:
    page = (ROOT / "docs" / "export.md").read_text("utf-8")
    assert contracts.HEAD in page
    assert page == contracts.replaced(page), "run python -m export.contracts"


def test_the_card_tells_of_every_network() -> None:
    for spec in load_model_set(DEFAULT).networks:
        mm, size = f"{spec.input.spacing_mm:g} mm", "×".join(map(str, spec.input.patch_zyx))
        row = re.search(rf"^\| {spec.roles[0]} \| `{spec.path.name}` \|.*$", CARD, re.MULTILINE)
        assert row, spec.name
        assert mm in row[0], f"{spec.name} works at {mm}"
        cube = f"{spec.input.patch_zyx[0]}³"
        assert size in row[0] or cube in row[0], f"{spec.name} takes {size}"


def test_every_recipe_is_in_their_readme() -> None:
    for path in (ROOT / "models" / "recipes").glob("*.py"):
        assert path.name == "__init__.py" or f"`{path.name}`" in RECIPES, path.name


def test_every_part_of_the_house_is_in_its_plan() -> None:
    for path in (ROOT / "vfx_edge").iterdir():
        named = path.name + "/" if any(path.glob("*.py")) else path.name
        if not path.name.startswith("_") and (path.suffix == ".py" or named.endswith("/")):
            assert f"`{named}`" in ARCHITECTURE, f"{named} is not in the plan"


def test_every_setting_of_the_service_is_in_its_page_and_no_other() -> None:
    page = (ROOT / "docs" / "integration.md").read_text("utf-8")
    table = page.split("## Settings")[1].split("\n## ")[0]
    named = {
        word
        for row in re.findall(r"^\| (`.*?`|\[`?\[?.*?) \|", table, re.MULTILINE)
        for word in re.findall(r"`([a-z_]+)`", row)
    } | set(re.findall(r"\[([a-z]+)\]", table))
    known = {field.name for one in (Settings, Destination, Tls) for field in fields(one)}
    assert named >= {field.name for field in fields(Settings)}
    assert named <= known
