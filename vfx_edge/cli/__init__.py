"""The command line: parse, call the library, print. The only place with exit codes and printing.

Heavy libraries are imported inside the commands, so that --help and --version answer at once.
"""

import sys
from typing import Annotated

import typer
from typer.core import TyperGroup

from vfx_edge import __version__
from vfx_edge.cli import doctor, models, phantom, run
from vfx_edge.errors import VfxError

STOPPED = 130


class _ErrorBorder(TyperGroup):
    """Expected failures become one sentence and their exit code; bugs keep their traceback."""

    def invoke(self, ctx: typer.Context) -> object:
        try:
            return super().invoke(ctx)
        except VfxError as error:
            print(f"vfx-edge: {' '.join(str(error).split())}", file=sys.stderr)
            raise typer.Exit(error.exit_code) from None
        except KeyboardInterrupt:
            print("vfx-edge: stopped", file=sys.stderr)
            raise typer.Exit(STOPPED) from None


app = typer.Typer(
    name="vfx-edge",
    cls=_ErrorBorder,
    help="Finds vertebral fractures in CT and triages them. Not a medical device.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(asked: bool) -> None:
    if asked:
        print(f"vfx-edge {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool,
        typer.Option("--version", help="Show the version.", callback=_version, is_eager=True),
    ] = False,
) -> None:
    """Finds vertebral fractures in CT and triages them. Not a medical device."""


app.command("run")(run.run)
app.command("doctor")(doctor.doctor)
app.add_typer(models.app, name="models")
app.command("phantom")(phantom.phantom)


def main() -> None:
    """The console script `vfx-edge`."""
    for stream in (sys.stdout, sys.stderr):
        # A Windows console in an old code page must not turn a finished triage into a bug.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    app()
