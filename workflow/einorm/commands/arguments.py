"""Parts of the command line that subcommands share: how one is added, common arguments, values from texts."""

import argparse
import json
from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..settings import Settings


def command(commands: Any, function: Callable[[Namespace], object], text: str) -> ArgumentParser:
    """Add the subcommand that runs a function and is called like it; its parser, to add arguments to."""
    sub: ArgumentParser = commands.add_parser(function.__name__, help=text, description=text)
    sub.set_defaults(function=function)
    return sub


def take_config(sub: ArgumentParser) -> None:
    """Add the file of the settings to a subcommand's arguments."""
    sub.add_argument("--config", default="config.yaml", type=Path)


def take_overrides(sub: ArgumentParser) -> None:
    """Add overrides of the settings, as the last of a subcommand's arguments."""
    sub.add_argument("overrides", nargs="*", metavar="key=value", help="as in snakemake --config")


def take_rules(sub: ArgumentParser) -> None:
    """Add claims.yaml to a subcommand's arguments."""
    sub.add_argument("--rules", required=True, type=Path, help="claims.yaml")


def take_published(sub: ArgumentParser) -> None:
    """Add the published values to a subcommand's arguments."""
    sub.add_argument("--published", required=True, type=Path, help="folder of the published values")


def take_format(sub: ArgumentParser) -> None:
    """Add the format of figures to a subcommand's arguments."""
    sub.add_argument("--format", default="pdf", choices=("pdf", "svg"), help="of the vector graphics, next to PNG")


def take_paths(sub: ArgumentParser, *names: str) -> None:
    """Add required paths to a subcommand's arguments."""
    for name in names:
        sub.add_argument(name, required=True, type=Path)


def path_or_none(text: str) -> Path | None:
    """The path of a folder or file, or None for an empty text."""
    return Path(text) if text else None


def positive(text: str) -> int:
    """A whole number of at least 1; raises ValueError, which argparse reports."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not at least 1")
    return number


def seed(text: str) -> int:
    """A seed, a whole number from 0 to 2^32 - 1."""
    if not 0 <= int(text) < 2**32:
        raise argparse.ArgumentTypeError(f"{text} is not between 0 and 2^32 - 1")
    return int(text)


def count_up_to(largest: int) -> Callable[[str], int]:
    """A type of arguments: whole numbers from 1 to the largest."""

    def count(text: str) -> int:
        if positive(text) > largest:
            raise argparse.ArgumentTypeError(f"{text} is more than {largest}")
        return int(text)

    return count


def number_between(low: float, high: float) -> Callable[[str], float]:
    """A type of arguments: numbers from low to high."""

    def number(text: str) -> float:
        if not low <= float(text) <= high:
            raise argparse.ArgumentTypeError(f"{text} is not between {low:g} and {high:g}")
        return float(text)

    return number


def json_value(text: str) -> Any:
    """The value of a JSON text; raises ArgumentTypeError if it is none."""
    try:
        return json.loads(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text[:40]!r} is no JSON") from None


def settings_json(text: str) -> Settings:
    """Checked settings from the JSON of `settings.Settings.science`; raises ArgumentTypeError if it is none."""
    try:
        return Settings(**json_value(text))
    except (TypeError, ValueError):
        raise argparse.ArgumentTypeError(f"{text[:40]!r} are no settings: see workflow/rules/tables.smk") from None


def started_json(text: str) -> dict[str, Any]:
    """What `config.record` gives, from its JSON; raises ArgumentTypeError if it is none."""
    started = json_value(text)
    try:
        Settings(**started["settings"])
        return {key: started[key] for key in ("preset", "settings", "overrides")}
    except (TypeError, ValueError, KeyError):
        raise argparse.ArgumentTypeError(f"{text[:40]!r} is no start: see workflow/rules/outputs.smk") from None
