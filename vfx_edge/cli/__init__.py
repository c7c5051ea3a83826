"""The command line: parse, call the library, print. The only place with exit codes and printing.

Heavy libraries are imported inside the commands, so that --help and --version answer at once.
"""

import errno
import os
import sys
from typing import Annotated, NoReturn

import typer

from vfx_edge import __version__
from vfx_edge.cli import (
    batch,
    bench,
    bugs,
    calibrate,
    correct,
    doctor,
    evaluate,
    listen,
    models,
    phantom,
    queue,
    run,
    watch,
)
from vfx_edge.cli.show import StandardOutputFailed, tell
from vfx_edge.errors import OutputError, VfxError
from vfx_edge.room import MemoryRanOut, ran_out

WRONG_USAGE = 2
STOPPED = 130
# The common base of all that typer raises about wrong usage; it is not exported by name.
USAGE_ERROR: type[Exception] = typer.BadParameter.__mro__[1]

EXAMPLES = """\b
Examples:
  vfx-edge run /path/to/dicom            triage a CT; the report's place is printed
  vfx-edge phantom ct --fracture L1:wedge:0.35
  vfx-edge run ct                        the same on a synthetic spine
  vfx-edge evaluate dataset -o tables    score it on labelled studies
  vfx-edge doctor                        what is missing, if anything

\b
Exit codes: 0 done, whatever was found; 2 wrong usage; 3 the input, 4 a model,
5 the backend can't be used; 6 an output can't be written; 1 a bug.
"""

app = typer.Typer(
    name="vfx-edge",
    help="Finds vertebral fractures in CT and triages them. Not a medical device.",
    epilog=EXAMPLES,
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
app.command("batch")(batch.batch)
app.command("correct")(correct.correct)
app.command("calibrate")(calibrate.calibrate)
app.command("doctor")(doctor.doctor)
app.add_typer(models.app, name="models")
app.command("phantom")(phantom.phantom)
app.add_typer(bench.app, name="bench")
app.command("evaluate")(evaluate.evaluate)
app.command("listen")(listen.listen)
app.command("watch")(watch.watch)
app.add_typer(queue.app, name="queue")


def main() -> None:
    """The command line as a function: ends in SystemExit."""
    sys.exit(answer(app, "vfx-edge"))


def program() -> NoReturn:
    """The console script `vfx-edge`.

    Everything is written and closed by then. Taking runtimes and a scan apart piece by piece, only
    for the process to end, would take a third of a second; nor is a network waited for that is
    still being opened when the input turned out to be none.
    """
    bugs.keep_words_private()
    try:
        code = answer(app, "vfx-edge")
    except Exception as error:  # noqa: BLE001  whatever it is, it must not print what it says
        code = bugs.say(error)
    try:
        if sys.stdout is not None:  # pythonw has none
            sys.stdout.flush()
    except (OSError, ValueError):
        code = code or _complain("vfx-edge", str(StandardOutputFailed()), OutputError.exit_code)
    os._exit(code)


def answer(command: typer.Typer, name: str) -> int:
    """Run a command line and give its exit code; expected failures become one sentence.

    Anything else is a bug, and raised.
    """
    for stream in (sys.stdout, sys.stderr):
        # A Windows console in an old code page must not turn a finished triage into a bug.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    try:
        code = command(prog_name=name, standalone_mode=False)
        if code == STOPPED:  # typer's own answer to Ctrl-C, without a word
            raise KeyboardInterrupt
    except VfxError as error:
        return _complain(name, str(error), error.exit_code)
    except USAGE_ERROR as error:
        return _complain(name, _usage_sentence(error, name), WRONG_USAGE)
    except (KeyboardInterrupt, typer.Abort):
        return _complain(name, "stopped", STOPPED)
    except SystemExit:  # typer's own answer to a reader that stopped
        return _complain(name, str(StandardOutputFailed()), StandardOutputFailed.exit_code)
    except Exception as error:
        if isinstance(error, FileNotFoundError) and _is_nowhere():
            why = "the folder it was started in has been removed: start it in one that is there"
            return _complain(name, why, WRONG_USAGE)
        if _is_of_a_stream(error):
            return _complain(name, str(StandardOutputFailed()), StandardOutputFailed.exit_code)
        if not ran_out(error):
            raise
        return _complain(name, str(MemoryRanOut()), MemoryRanOut.exit_code)
    return int(code or 0)


def _is_of_a_stream(error: Exception) -> bool:
    """Whether it tells that what was printed could not be; a file's own error has its name."""
    unwritable = (errno.EPIPE, errno.ENOSPC, errno.EFBIG, errno.EIO)
    return isinstance(error, OSError) and error.filename is None and error.errno in unwritable


def _is_nowhere() -> bool:
    try:
        os.getcwd()
    except FileNotFoundError:
        return True
    return False


def _complain(name: str, sentence: str, code: int) -> int:
    # names in a stranger's file may hold a terminal's commands
    shown = "".join(c if c.isprintable() else " " for c in sentence)
    end = "" if shown.endswith("?") else "."
    tell(f"{name}: {' '.join(shown.split()).rstrip('.')}{end}")
    return code


def _usage_sentence(error: BaseException, name: str) -> str:
    """Typer's own words, and where the right ones stand."""
    words = getattr(error, "format_message", error.__str__)().removeprefix("Invalid value: ")
    command = getattr(getattr(error, "ctx", None), "command_path", name)
    return f"{words.rstrip('.')}; see {command} --help"
