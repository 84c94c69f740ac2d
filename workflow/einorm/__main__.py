"""Command line: ``python -m einorm <subcommand>``. The workflow's rules call it with paths; it runs by hand, too."""

import sys
from typing import NoReturn

if __name__ == "__main__" and not sys.flags.safe_path:
    sys.path.pop(0)  # the working folder, whose own random.py or json.py would be imported

import argparse
import os
from pathlib import Path

from . import MISSING_PACKAGE

try:
    from .commands import analysis, artifact, tools, training
    from .runtime import PACKAGE, UserError
except ModuleNotFoundError as error:
    sys.exit(f"einorm: error: {MISSING_PACKAGE.format(error.name)}")


class Parser(argparse.ArgumentParser):
    """A parser that complains in one line, too."""

    def error(self, message: str) -> NoReturn:
        """Say a mistake in one line, without the usage, and exit with 2."""
        self.exit(2, f"einorm: error: {message} (see {self.prog} --help)\n")


def parser() -> Parser:
    """The parser of all subcommands."""
    top = Parser(prog="python -m einorm", description="Inhibitory normalization of error signals, reproduced")
    commands = top.add_subparsers(required=True, metavar="subcommand")
    for add in (*training.ADD, *analysis.ADD, *artifact.ADD, *tools.ADD):
        add(commands)
    return top


def main(arguments: list[str] | None = None) -> int:
    """Run a subcommand; its exit code, 1 after a mistake of the user."""
    args = parser().parse_args(arguments)
    if not sys.flags.safe_path:  # by hand: the rules' commands name their code
        say_other_checkout(Path.cwd())
    try:
        return args.function(args) or 0
    except BrokenPipeError:  # of `| head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for what Python writes at its end
        return 0
    except KeyboardInterrupt:
        complain("stopped by Ctrl-C: what was finished is kept; run the same command again")
        return 130  # as a shell counts it
    except UserError as error:
        return complain(error)
    except ModuleNotFoundError as error:
        return complain(MISSING_PACKAGE.format(error.name))


def say_other_checkout(folder: Path) -> None:
    """Print a note where a command in a checkout of this project runs the code of another one."""
    here = folder / "workflow" / PACKAGE.name
    if (folder / "Snakefile").exists() and (here / "__main__.py").exists() and not here.samefile(PACKAGE):
        note = f"this runs the code in {PACKAGE}, not in this folder: pip install --no-deps -e ."
        print(f"einorm: note: {note}", file=sys.stderr)


def complain(error: object) -> int:
    """One line to the terminal or, from a rule, to its log; the exit code."""
    print(f"einorm: error: {error}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]  # what a terminal cannot show stops nothing
    sys.exit(main())
