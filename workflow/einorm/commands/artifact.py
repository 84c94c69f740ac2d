"""Subcommands that hand results over: archives, pages, the bundle."""

from argparse import Namespace
from pathlib import Path
from typing import Any

from .. import config
from .arguments import command, started_json, take_config, take_overrides, take_paths


def add_archive(commands: Any) -> None:
    """Arguments of `archive`."""
    sub = command(commands, archive, "archive every finished run of the settings, the ones archived before included")
    take_config(sub)
    sub.add_argument("--results", default="results", type=Path, help="folder of the workflow's results")
    sub.add_argument("--out", type=Path, help="folder of the archive; default: paper_artifact/archive/<preset>")
    merge = sub.add_argument("--merge", action="append", default=[], type=Path, metavar="FOLDER")
    merge.help = "take in another archive's runs, too"
    take_overrides(sub)


def archive(args: Namespace) -> None:
    """Archive every finished run of the settings (`archiving.write`)."""
    from ..artifact.archiving import write

    raw = config.complete(args.config, args.overrides)
    settings, preset = config.check(raw), raw["preset"]
    out = args.out or Path("paper_artifact/archive") / preset
    samples, images = args.results / "tables" / "samples.parquet", args.results / "data" / f"{settings.dataset}.npz"
    manifest = write(settings, preset, args.results / "runs", samples, out, images, args.merge)
    finished, planned = (sum(cell[name] for cell in manifest["cells"]) for name in ("finished", "planned"))
    print(f"{out}: {finished} of {planned} runs")
    for cell in manifest["left_out"]:
        where = f"{cell['condition']} at epsilon {cell['epsilon']:g} ({cell['variant']}, {cell['task']})"
        commit = " or ".join(cell["commits"]) or "not recorded"
        print(f"left out: {cell['runs']} runs of {where}, code {cell['code']}, commit {commit}: {cell['why']}")
    if manifest["left_out"]:
        print("to count them where they give today's results: python -m einorm lineage COMMIT")


def add_methods(commands: Any) -> None:
    """Arguments of `methods`."""
    sub = command(commands, methods, "print a paragraph on how the runs of an archive were made, and BibTeX")
    folder = sub.add_mutually_exclusive_group()
    folder.add_argument("archive", nargs="?", type=Path, help="its folder; default: the archive that the pages show")
    folder.add_argument("--tables", type=Path, help="the same folder, as of claim and explore")
    sub.add_argument("--artifact", default="paper_artifact", type=Path, help="folder of the archives")


def methods(args: Namespace) -> None:
    """Print a paragraph for a methods section, and BibTeX (`methods.describe`)."""
    from ..artifact.methods import describe
    from ..records.archive import SHOWN

    print(describe(args.archive or args.tables or args.artifact / "archive" / SHOWN))


def add_report(commands: Any) -> None:
    """Arguments of `report`."""
    sub = command(commands, report, "write the report, one page that stands alone")
    take_paths(sub, "--tables", "--claims", "--figures", "--artifact", "--out")


def report(args: Namespace) -> None:
    """Write the report (`report.write`)."""
    from ..artifact.report import write

    write(args.tables, args.claims, args.figures, args.artifact, args.out)


def add_explore(commands: Any) -> None:
    """Arguments of `explore`."""
    sub = command(commands, explore, "write the explorer, one page with every run in panels that are linked")
    sub.add_argument("--tables", type=Path, help="folder of the tables; default: the archive that the pages show")
    take_paths(sub, "--out")


def explore(args: Namespace) -> None:
    """Write the explorer (`explorer.write`)."""
    from ..artifact.explorer import write
    from ..records.archive import SHOWN

    write(args.tables or Path("paper_artifact/archive") / SHOWN, args.out)


def add_bundle(commands: Any) -> None:
    """Arguments of `bundle`."""
    sub = command(commands, bundle, "write the bundle, a zip ready for a DOI")
    take_paths(sub, "--project", "--tables", "--claims", "--figures", "--report", "--explorer", "--out")
    sub.add_argument("--started", required=True, type=started_json, help="what the workflow ran with (config.record)")


def bundle(args: Namespace) -> None:
    """Write the bundle (`bundle.write`)."""
    from ..artifact.bundle import write

    pages = {"report.html": args.report, "explore.html": args.explorer}
    write(args.project, args.tables, args.claims, args.figures, pages, args.started, args.out)


def add_verify(commands: Any) -> None:
    """Arguments of `verify`."""
    sub = command(commands, verify, "check a bundle: one line per fault, exit code 1 if there is one")
    sub.add_argument("zip", type=Path)


def verify(args: Namespace) -> int:
    """Check a bundle (`verify.check`); 1 if there is a fault."""
    from ..artifact.verify import check

    return check(args.zip)


ADD = (add_archive, add_methods, add_report, add_explore, add_bundle, add_verify)
