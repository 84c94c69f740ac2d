"""Subcommands that judge and draw the tables of runs."""

from argparse import Namespace
from pathlib import Path
from typing import Any

from .arguments import command, path_or_none, take_format, take_paths, take_published, take_rules


def add_figure(commands: Any) -> None:
    """Arguments of `figure`."""
    sub = command(commands, figure, "draw one figure from the tables: PDF, PNG and the plotted points as CSV")
    sub.add_argument("name")
    take_paths(sub, "--tables")
    take_published(sub)
    take_rules(sub)
    text = "folder of what run_by_run or late_effects wrote, for the figures that draw it; empty: none"
    sub.add_argument("--compared", type=path_or_none, help=text)
    take_format(sub)
    take_paths(sub, "--out")


def figure(args: Namespace) -> None:
    """Draw one figure from the tables (`figures.make`)."""
    from ..figures import make

    make(args.name, args.tables, args.published, args.rules, args.out, args.compared, args.format)


def add_claims(commands: Any) -> None:
    """Arguments of `claims`."""
    sub = command(commands, claims, "judge every statement of claims.yaml on the runs")
    take_paths(sub, "--tables")
    take_rules(sub)
    take_published(sub)
    take_paths(sub, "--out")


def claims(args: Namespace) -> None:
    """Judge every statement of claims.yaml on the runs (`claims.write`)."""
    from ..analysis.claims import write
    from ..records.archive import read_runs_and_settings

    write(*read_runs_and_settings(args.tables), args.rules, args.published, args.out)


def add_claim(commands: Any) -> None:
    """Arguments of `claim`."""
    text = "print one statement whole: rule, numbers of both sides, verdicts and the runs behind it"
    sub = command(commands, claim, text)
    sub.add_argument("id", help="of claims.yaml: a statement, for example C5.1, or a claim, for example C5")
    sub.add_argument("--tables", type=Path, help="folder of the tables; default: the archive that the pages show")
    sub.add_argument("--artifact", default="paper_artifact", type=Path, help="folder of claims.yaml and published")


def claim(args: Namespace) -> None:
    """Print one statement whole: both sides' numbers, verdicts, and the runs that are its evidence (`claims.show`)."""
    from ..analysis.claims import show
    from ..records.archive import SHOWN

    folder = args.tables or args.artifact / "archive" / SHOWN
    print(show(args.id, folder, args.artifact / "claims.yaml", args.artifact / "published"))


def add_forest(commands: Any) -> None:
    """Arguments of `forest`."""
    sub = command(commands, forest, "draw published and reproduced effects of all statements in one figure")
    sub.add_argument("--claims", required=True, type=Path, help="folder of claims.csv")
    take_rules(sub)
    take_format(sub)
    take_paths(sub, "--out")


def forest(args: Namespace) -> None:
    """Draw all statements in one figure (`forest.write`)."""
    from ..figures.forest import write

    write(args.claims, args.rules, args.out, args.format)


def add_run_by_run(commands: Any) -> None:
    """Arguments of `run_by_run`."""
    sub = command(commands, run_by_run, "compare the accuracies of single runs with those of the published runs")
    take_both(sub)
    take_published(sub)
    take_paths(sub, "--out")


def run_by_run(args: Namespace) -> None:
    """Compare single runs with the published ones (`run_by_run.write`)."""
    from ..analysis.run_by_run import OWN, RELEASE, write

    write({RELEASE: args.release, OWN: args.own}, args.published, args.out)


def take_both(sub: Any) -> None:
    """Arguments for the folders of tables with either kind of random numbers."""
    for name, whose in (("release", "the published runs' random numbers"), ("own", "random numbers of our own")):
        sub.add_argument(f"--{name}", type=path_or_none, help=f"folder of tables of runs with {whose}; empty: none")


def add_late_effects(commands: Any) -> None:
    """Arguments of `late_effects`."""
    sub = command(commands, late_effects, "compare effects of the last epoch with those of the mean over the last ten")
    take_both(sub)
    take_rules(sub)
    take_published(sub)
    take_paths(sub, "--out")


def late_effects(args: Namespace) -> None:
    """Compare effects of the last epoch with those of the last ten (`late_effects.write`)."""
    from ..analysis.late_effects import write
    from ..analysis.run_by_run import OWN, RELEASE

    write({RELEASE: args.release, OWN: args.own}, args.rules, args.published, args.out)


def add_side_by_side(commands: Any) -> None:
    """Arguments of `side_by_side`."""
    sub = command(commands, side_by_side, "judge every statement by reproduction, replication and robustness")
    for name in ("reproduction", "replication"):
        sub.add_argument(f"--{name}", type=path_or_none, help="folder of tables; empty: none")
    sub.add_argument("--robustness", nargs="*", default=[], type=Path, help="folders of tables of presets robustness_*")
    take_rules(sub)
    take_published(sub)
    take_paths(sub, "--out")


def side_by_side(args: Namespace) -> None:
    """Judge every statement by reproduction, replication and robustness (`side_by_side.write`)."""
    from ..analysis.side_by_side import write

    folders = {"reproduction": args.reproduction, "replication": args.replication}
    write(folders, args.robustness, args.rules, args.published, args.out)


def add_evidence(commands: Any) -> None:
    """Arguments of `evidence`."""
    sub = command(commands, evidence, "compute the numbers of the findings in deviations.yaml, each with its query")
    sub.add_argument("--tables", type=path_or_none, help="folder of tables that the findings are about; empty: none")
    sub.add_argument("--robustness", nargs="*", default=[], type=Path, help="folders of tables of presets robustness_*")
    sub.add_argument("--artifact", required=True, type=Path, help="folder of claims.yaml and deviations.yaml")
    take_published(sub)
    take_paths(sub, "--out")


def evidence(args: Namespace) -> None:
    """Compute the numbers of the findings in deviations.yaml (`findings.write`)."""
    from ..analysis.findings import write

    write(args.tables, args.robustness, args.artifact, args.published, args.out)


def add_collapses(commands: Any) -> None:
    """Arguments of `collapses`."""
    sub = command(commands, collapses, "count the runs at chance with the release's casts, beside the published counts")
    take_paths(sub, "--tables")
    take_published(sub)
    take_paths(sub, "--out")


def collapses(args: Namespace) -> None:
    """Count and list the runs with the release's casts (`collapses.write`)."""
    from ..analysis.collapses import write

    write(args.tables, args.published, args.out)


ADD = (
    *(add_figure, add_claims, add_claim, add_forest, add_run_by_run, add_late_effects),
    *(add_side_by_side, add_evidence, add_collapses),
)
