"""Snakemake's command line and profiles: no profile decides results, and the jobs of a cluster get what was given."""

import shlex
import shutil
import subprocess
import sys
from argparse import Namespace
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from .. import config
from ..runtime import UserError
from ..settings import NOT_SCIENCE


def check_profiles(given: Iterable[str], command: list[str] = sys.argv) -> None:
    """Refuse profiles that decide results: they say how to run, never what to compute.

    Snakemake finds and merges profiles in many ways. So this asks for the outcome: which keys has Snakemake been given
    that its command line does not name?

    Parameters
    ----------
    given : Snakemake's config before config.yaml is read
    command : how this process was started; where it is not Snakemake's command line there is no profile

    Raises
    ------
    UserError
        If a key that decides results comes from a profile, or as `check_named`.
    """
    program = Path(command[0])
    if program.stem != "snakemake" and program.parts[-2:] != ("snakemake", "__main__.py"):
        return
    options = command_line(command)
    named = {entry.partition("=")[0] for entry in options.config or ()}
    for profile in (*(options.profile or ()), options.workflow_profile):
        check_named(profile, options)
    for path in options.configfile or ():
        if not Path(path).is_file():  # a pipe, which can be read only once
            return
        named |= set(config.read(path))
    for key in sorted(set(given) - named - set(NOT_SCIENCE)):
        raise UserError(
            f"a profile sets {key!r}; a profile says how to run, never what to compute: "
            f"move {key!r} to config.yaml or to --config"
        )


def check_named(profile: str | None, options: Namespace) -> None:
    """Refuse a workflow profile that is not there, and a --configfile that would take the place of a profile's own.

    Without the one, and without the other, Snakemake would run everything here, on a CPU, and say nothing.

    Parameters
    ----------
    profile : as a command line names it
    options : `command_line`

    Raises
    ------
    UserError
        If the profile is missing, or its configfile not among those that are named.
    """
    if profile is None or profile == "none" or not (options.directory is None or Path(profile).is_absolute()):
        return  # with --directory this is no longer the folder in which the command was given
    path, keys = read_profile(profile)
    if path is None and profile == options.workflow_profile:
        raise UserError(f"there is no profile in {profile}: name a folder like workflow/profiles/slurm")
    own = keys.get("configfile") or []
    own = [own] if isinstance(own, str) else own
    if options.configfile and not set(own) <= set(map(str, options.configfile)):
        both = " ".join(map(str, [*own, *options.configfile]))
        raise UserError(f"--configfile takes the place of the one in {path}: name both, --configfile {both}")


def read_profile(named: str | None) -> tuple[Path | None, dict[str, Any]]:
    """The file of a profile, and its keys; None and no keys where there is none in the folder that is named.

    A template has no keys here: Snakemake fills it in.
    """
    folder = Path(named or "")
    files = sorted(path for name in ("config*.yaml", "profile*.yaml") for path in folder.glob(name)) if named else []
    files = [folder] if folder.is_file() else files
    if not files:
        return None, {}
    keys = config.read(files[0])
    return files[0], {} if "__use_yte__" in keys else keys


def check_hand_over(command: list[str] = sys.argv) -> None:
    """Refuse a --config that the jobs of a cluster would not get as it was given.

    Snakemake writes it into their command lines as a literal of Python. A shell reads the literal differently where it
    holds both kinds of quotes, and takes what follows a $ or ` between double quotes for a command of its own.

    Raises
    ------
    UserError
        If a shell would not read the same.
    """
    for entry in command_line(command).config or ():
        literal = repr(entry)
        try:
            same = shlex.split(literal) == [entry] and not (literal.startswith('"') and set("$`") & set(entry))
        except ValueError:
            same = False
        if not same:
            raise UserError(
                f"Snakemake cannot hand --config {entry} over to the jobs of a cluster: write it to config.yaml, "
                "or to a file that you name with --configfile"
            )


def check_accounting(command: list[str] = sys.argv) -> None:
    """Refuse to ask a SLURM cluster for accounts that it does not keep: no job would ever be seen to end.

    This looks at the workflow profile that the command line names.

    Raises
    ------
    UserError
        If the profile asks sacct for the state of jobs, and sacct does not answer.
    """
    profile, given = read_profile(command_line(command).workflow_profile)
    if given.get("executor") != "slurm" or given.get("slurm-status-command", "sacct") != "sacct":
        return
    try:
        answer = subprocess.run(["sacct", "--noheader", "--allocations"], capture_output=True, text=True)
    except FileNotFoundError:
        return  # no SLURM here: its plugin says so
    if answer.returncode:
        raise UserError(
            f"sacct cannot tell when jobs end here ({' '.join((answer.stderr or answer.stdout).split())}): "
            f"set slurm-status-command and slurm-no-account in {profile}, as its comments say"
        )


def check_submission(command: list[str] = sys.argv) -> None:
    """Refuse a profile whose command to submit jobs is not installed here. Raises UserError."""
    profile, given = read_profile(command_line(command).workflow_profile)
    submit = given.get("cluster-generic-submit-cmd")
    if submit and not shutil.which(shlex.split(submit)[0]):
        raise UserError(
            f"{shlex.split(submit)[0]} is not installed here: run where your cluster's jobs are submitted, or edit "
            f"cluster-generic-submit-cmd in {profile}"
        )


def command_line(command: list[str]) -> Namespace:
    """Snakemake's options as its command line alone gives them, without profiles."""
    from snakemake.cli import get_argument_parser  # loaded where Snakemake runs, and slow elsewhere

    options: Namespace = get_argument_parser().parse_args(command[1:])
    return options
