"""The command line: parse, call the library, print.

Results go to stdout, everything else to stderr. An error is one line there, and an exit code of
`edge_adder.errors.ExitCode`. The module of a command is imported when the command is called.
"""

from __future__ import annotations

import errno
import importlib
import io
import os
import re
import signal
import sys
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperGroup
from typer.main import get_command

from edge_adder import __version__
from edge_adder.cli.output import say, say_traceback
from edge_adder.errors import EdgeAdderError, ExitCode

COMMANDS = (
    *("predict", "score", "serve", "info", "bench", "evaluate", "compare", "doctor"),
    *("networks", "data", "train", "export", "adopt"),
)
"""Names of the commands; each is a function in a module of its name, beside an ``EXAMPLE``."""

INTERRUPTED = 130
"""Exit code after Ctrl-C: 128 + SIGINT, as in shells."""


class CommandGroup(TyperGroup):
    """All commands; each is loaded when it is needed."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        self.commands = dict.fromkeys(COMMANDS)  # type: ignore[assignment]  # names alone

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002  click's signature
        """Return the command of this name; None if there is none."""
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"edge_adder.cli.{cmd_name}")
        single = typer.Typer(add_completion=False, rich_markup_mode=None)
        single.command(cmd_name, epilog=f"Example: {module.EXAMPLE}")(getattr(module, cmd_name))
        return get_command(single)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write each command's first sentence as a whole; click would cut it to a line."""
        rows = [(name, self.get_command(ctx, name).get_short_help_str(1000)) for name in COMMANDS]
        with formatter.section("Commands"):
            formatter.write_dl(rows)


app = typer.Typer(
    name="edge-adder",
    cls=CommandGroup,
    help="Read a handwritten digit from a picture and add a number to it.",
    epilog="Example: edge-adder predict examples/seven.png 5",
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)


def _print_version(requested: bool) -> None:
    if requested:
        print(f"edge-adder {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Print a traceback with an error; in any position.")
    ] = False,
) -> None:
    """Declare the options of all commands; `main` handles --debug, wherever it stands."""


def main(argv: list[str] | None = None) -> NoReturn:
    """Run the command line and exit.

    Args:
        argv: The arguments after the program's name; None for this process's own.
    """
    arguments, debug = _take_debug(_own_arguments() if argv is None else argv)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # not if it is closed
            stream.reconfigure(errors="backslashreplace")
    if sys.stdout is None:
        say("error: standard output is closed: expected it open, for the answer")
        sys.exit(ExitCode.FILE)
    interrupts = _watch_interrupts()
    if hasattr(signal, "SIGPIPE"):  # end quietly when the reader, such as head, has enough
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    try:
        code = app(
            args=arguments or ["--help"], prog_name="edge-adder", standalone_mode=False, obj=debug
        )
        sys.stdout.flush()  # a full disk shows here, not in a traceback at the end
    except (KeyboardInterrupt, typer.Abort):
        code = INTERRUPTED
    except SystemExit:  # click's, of a broken pipe
        code = _drop_output()
    except Exception as error:  # noqa: BLE001  one line, whatever happened
        if debug:
            say_traceback(error)
        code, message = _describe(error, arguments, debug)
        if not (interrupts or _has_no_reader(error)):
            say(f"error: {message}")
    sys.exit(INTERRUPTED if interrupts else int(code or 0))


def _watch_interrupts() -> list[int]:
    """Return the list of Ctrl-C's, which is empty until one comes.

    An extension module that is being loaded turns `KeyboardInterrupt` into another error, or drops
    it. A second Ctrl-C ends the process at once.
    """
    interrupts: list[int] = []

    def interrupt(number: int, _: object) -> NoReturn:
        interrupts.append(number)
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        raise KeyboardInterrupt

    signal.signal(signal.SIGINT, interrupt)
    return interrupts


def _own_arguments() -> list[str]:
    """Return this process's arguments; on Windows, where no shell does it, expand wildcards."""
    arguments = sys.argv[1:]
    if sys.platform == "win32":
        from glob import glob

        for place, argument in reversed([*enumerate(arguments)]):
            if "*" in argument or "?" in argument:
                names = glob(argument.replace("[", "[[]"))  # noqa: PTH207  relative or absolute
                arguments[place : place + 1] = sorted(names) or [argument]
    return arguments


def _take_debug(arguments: list[str]) -> tuple[list[str], bool]:
    """Return the arguments without ``--debug``, which may stand anywhere, and whether it did."""
    end = arguments.index("--") if "--" in arguments else len(arguments)
    options = [argument for argument in arguments[:end] if argument != "--debug"]
    return options + arguments[end:], len(options) < end


def _describe(error: Exception, arguments: list[str], debug: bool) -> tuple[int, str]:
    """Return the exit code and the message for an error."""
    if isinstance(error, EdgeAdderError):
        return error.exit_code, str(error)
    if hasattr(error, "format_message"):  # click's; where that is depends on the version of typer
        return ExitCode.USAGE, _usage_message(error, arguments)
    if isinstance(error, OSError):
        if error.filename is None:
            _drop_output()
        where = error.filename or "standard output"
        return ExitCode.FILE, f"cannot read or write {where}: {error.strerror or error}"
    hint = "" if debug else "; --debug prints the traceback"
    return ExitCode.INTERNAL, f"internal fault: {type(error).__name__}: {error}{hint}"


def _has_no_reader(error: Exception) -> bool:
    """Check whether the reader of stdout, such as head, has enough, where no SIGPIPE says so."""
    numbers = (errno.EPIPE, errno.EINVAL) if sys.platform == "win32" else (errno.EPIPE,)
    return isinstance(error, OSError) and error.filename is None and error.errno in numbers


def _drop_output() -> ExitCode:
    """Leave unwritten what is still in stdout's buffer, and return the exit code for that."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    return ExitCode.FILE


def _usage_message(error: Any, arguments: list[str]) -> str:
    """Return click's message, but ours for a file or a negative number taken for an option."""
    message = str(error.format_message())
    option = getattr(error, "option_name", None)
    argument = next((a for a in arguments if a.startswith(option)), None) if option else None
    if argument is None:
        return message
    if _looks_like_a_file(argument):
        command = arguments[0] if arguments[0] in COMMANDS else "predict"
        files = " ".join([argument, *(a for a in arguments if re.fullmatch("[0-9]", a))])
        hint = f"put -- before a file of such a name: edge-adder {command} -- {files}"
        return f"{message.rstrip('.')}; {hint}"
    if re.match(r"-[0-9]", argument):
        from edge_adder.cli.predict import describe_wrong_number

        return describe_wrong_number(argument)
    return message


def _looks_like_a_file(argument: str) -> bool:
    """Check whether an argument names a file that exists, or is named as a picture."""
    from edge_adder.evaluation.datasets import SUFFIXES

    is_file = os.path.isfile(argument)  # noqa: PTH113  never raises
    return is_file or argument.lower().endswith(tuple(SUFFIXES))
