"""Command line: ``python -m einorm <subcommand>``. The workflow's rules call it with paths; it runs by hand, too."""

import sys

if __name__ == "__main__" and not sys.flags.safe_path:
    sys.path.pop(0)  # the working folder, whose own random.py or json.py would be imported

import argparse
import json
import os
from pathlib import Path

from . import MISSING_PACKAGE

try:
    from . import config
    from .conditions import CONDITIONS
    from .runtime import PACKAGE, UserError
except ModuleNotFoundError as error:
    sys.exit(f"einorm: error: {MISSING_PACKAGE.format(error.name)}")

# Heavy modules (torch, matplotlib) are imported by the subcommand that needs them.


def prepare(args):
    """Find or fetch a data set, check it, write it as one file (`data.prepare`)."""
    from .data import prepare

    prepare(args.dataset, args.out, args.downloads, args.path)


def shifts(args):
    """Write the shift of every image in every epoch (`data.write_shifts`)."""
    from .data import write_shifts

    sizes = args.epochs, args.train_images, args.test_images
    write_shifts(args.task, args.epsilon, args.seed, *sizes, args.out, args.randomness)


def jobs(args):
    """Write the training jobs of the settings that are left as a job file (`jobfile`)."""
    from . import jobfile

    planned = jobfile.left(config.load(args.config, overrides=args.overrides), args.archive)
    jobfile.write(planned, args.out)
    print(f"{args.out}: {len(planned)} jobs, {sum(map(len, planned.values()))} runs")


def train(args):
    """Train the jobs of a job file, a batch of runs side by side each (`jobfile.train`)."""
    from . import jobfile

    planned = jobfile.read(args.jobs, args.only)
    how = {"at_once": args.at_once, "deadline": args.deadline, "keep": args.keep}
    where = (args.images, args.shifts, args.out, args.device, args.threads, args.archive)
    not_started = jobfile.train(planned, *where, **how)
    if not_started:
        print(f"{len(not_started)} of {len(planned)} jobs were not started, to end within {args.deadline:g} s")


def collect(args):
    """Put all shards together into the tables (`tables.collect`)."""
    from .lineage import check_unmixed
    from .runs import jobs, run_digest
    from .tables import collect

    digests = [run_digest(run) for batch in jobs(args.settings).values() for run in batch]
    collect(args.shards, digests, args.out, args.settings.science(), check_unmixed)


def samples(args):
    """Write the sample images of figure 1 (`samples.write_samples`)."""
    from .runs import shift_table
    from .samples import write_samples

    tables = {
        (task, epsilon): args.shifts / f"{shift_table(args.settings, task, epsilon, args.settings.seed)}.npz"
        for task in args.settings.tasks
        for epsilon in args.settings.epsilons
    }
    write_samples(args.settings, args.images, tables, args.out)


def figure(args):
    """Draw one figure from the tables (`figures.make`)."""
    from .figures import make

    make(args.name, args.tables, args.published, args.rules, args.out, args.run_by_run, args.format)


def archive(args):
    """Archive every finished run of the settings (`archive.write`)."""
    from .artifact.archive import write

    raw = config.read(args.config, args.overrides)
    settings, preset = config.settings(raw), raw["preset"]
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


def lineage(args):
    """Prove that a commit's training code gives today's results (`lineage_proof`); 1 if a condition is refused."""
    from .tools.lineage_proof import print_lineage, prove_and_enter

    if args.commit is None:
        return print_lineage()
    return int(prove_and_enter(args.commit, args.images, args.conditions, args.epochs) > 0)


def claims(args):
    """Judge every statement of claims.yaml on the runs (`claims.write`)."""
    from . import tables
    from .analysis.claims import write

    path = args.tables / "runs.parquet"
    write(tables.read(path, "runs"), tables.settings_of(path), args.rules, args.published, args.out)


def claim(args):
    """Print one statement whole: both sides' numbers, verdicts, and the runs that are its evidence (`claims.show`)."""
    from .analysis.claims import show
    from .artifact.archive import SHOWN

    folder = args.tables or args.artifact / "archive" / SHOWN
    print(show(args.id, folder, args.artifact / "claims.yaml", args.artifact / "published"))


def methods(args):
    """Print a paragraph for a methods section, and BibTeX (`methods.describe`)."""
    from .artifact.archive import SHOWN
    from .artifact.methods import describe

    print(describe(args.archive or args.artifact / "archive" / SHOWN))


def forest(args):
    """Draw all statements in one figure (`forest.write`)."""
    from .figures.forest import write

    write(args.claims, args.rules, args.out, args.format)


def run_by_run(args):
    """Compare single runs with the published ones (`run_by_run.write`)."""
    from .analysis.run_by_run import OWN, RELEASE, write

    write({RELEASE: args.release, OWN: args.own}, args.published, args.out)


def side_by_side(args):
    """Judge every statement by reproduction, replication and robustness (`side_by_side.write`)."""
    from .analysis.side_by_side import write

    folders = {"reproduction": args.reproduction, "replication": args.replication}
    write(folders, args.robustness, args.rules, args.published, args.out)


def evidence(args):
    """Compute the numbers of the findings in deviations.yaml (`findings.write`)."""
    from .analysis.findings import write

    write(args.tables, args.robustness, args.artifact, args.published, args.out)


def collapses(args):
    """Count and list the runs with the release's casts (`collapses.write`)."""
    from .analysis.collapses import write

    write(args.tables, args.published, args.out)


def report(args):
    """Write the report (`report.write`)."""
    from .artifact.report import write

    write(args.tables, args.claims, args.figures, args.artifact, args.out)


def explore(args):
    """Write the explorer (`explorer.write`)."""
    from .artifact.archive import SHOWN
    from .artifact.explorer import write

    write(args.tables or Path("paper_artifact/archive") / SHOWN, args.out)


def bundle(args):
    """Write the bundle (`bundle.write`)."""
    from .artifact.bundle import write

    pages = {"report.html": args.report, "explore.html": args.explorer}
    write(args.project, args.tables, args.claims, args.figures, pages, args.started, args.out)


def verify(args):
    """Check a bundle (`verify.check`); 1 if there is a fault."""
    from .artifact.verify import check

    return check(args.zip)


def status(args):
    """Print how far a campaign has come (`status.print_status`)."""
    from .tools.status import print_status

    print_status(config.load(args.config, overrides=args.overrides), args.results)


def budget(args):
    """Print what every preset costs on this machine (`budget.print_budget`)."""
    from .tools.budget import print_budget

    print_budget(args.config, args.overrides)


def benchmark(args):
    """Measure the speed of training, or show a measurement (`benchmark.run`)."""
    from .device import choose_device
    from .tools import benchmark, benchmark_gpu

    measure = benchmark_gpu.run if choose_device(args.device) == "cuda" else lambda: benchmark.run(args.threads)
    result = json.loads(args.show.read_text()) if args.show else measure()
    (benchmark_gpu if "device" in result else benchmark).print_table(result)
    if args.json:
        benchmark.write_json(result, args.json)
    if args.figure:
        from .tools.roofline import draw

        draw(result, args.figure)


def golden(args):
    """Replay golden vectors (`golden.print_replay`); 1 above the tolerance."""
    from .tools.golden import print_replay

    return print_replay(args.folder, args.device, args.step)


def path_or_none(text):
    """The path of a folder or file, or None for an empty text."""
    return Path(text) if text else None


def positive(text):
    """A whole number of at least 1; raises ValueError, which argparse reports."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not at least 1")
    return number


def json_value(text):
    """The value of a JSON text; raises ArgumentTypeError if it is none."""
    try:
        return json.loads(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text[:40]!r} is no JSON") from None


def settings_json(text):
    """Checked settings from the JSON of `config.Settings.science`; raises ArgumentTypeError if it is none."""
    try:
        return config.Settings(**json_value(text))
    except (TypeError, ValueError):
        raise argparse.ArgumentTypeError(f"{text[:40]!r} are no settings: see workflow/rules/tables.smk") from None


def started_json(text):
    """What `config.record` gives, from its JSON; raises ArgumentTypeError if it is none."""
    started = json_value(text)
    try:
        config.Settings(**started["settings"])
        return {key: started[key] for key in ("preset", "settings", "overrides")}
    except (TypeError, ValueError, KeyError):
        raise argparse.ArgumentTypeError(f"{text[:40]!r} is no start: see workflow/rules/outputs.smk") from None


class Parser(argparse.ArgumentParser):
    """A parser that complains in one line, too."""

    def error(self, message):
        self.exit(2, f"einorm: error: {message} (see {self.prog} --help)\n")


def parser():
    """The parser of all subcommands."""
    top = Parser(prog="python -m einorm", description="Inhibitory normalization of error signals, reproduced")
    commands = top.add_subparsers(required=True, metavar="subcommand")

    def command(function, text):
        sub = commands.add_parser(function.__name__, help=text, description=text)
        sub.set_defaults(function=function)
        return sub

    sub = command(prepare, "find or fetch a data set, check it, write it as one file")
    sub.add_argument("--dataset", required=True, choices=config.DATASETS)
    sub.add_argument("--downloads", required=True, type=Path, help="folder that keeps what was fetched")
    sub.add_argument("--path", type=path_or_none, help="folder with the four IDX files; empty: find or fetch them")
    sub.add_argument("--out", required=True, type=Path)

    sub = command(shifts, "write the shift of every image in every epoch")
    sub.add_argument("--task", required=True, choices=config.TASKS)
    sub.add_argument("--epsilon", required=True, type=float)
    sub.add_argument("--randomness", default="own", choices=("own", "release"), help="whose random numbers")
    for name in ("--seed", "--epochs", "--train-images", "--test-images"):
        sub.add_argument(name, required=True, type=int)
    sub.add_argument("--out", required=True, type=Path)

    sub = command(jobs, "write the training jobs of the settings as a job file, for train")
    sub.add_argument("--config", default="config.yaml", type=Path)
    sub.add_argument("--archive", type=path_or_none, help="leave out the jobs that this archive holds finished")
    sub.add_argument("--out", required=True, type=Path)
    sub.add_argument("overrides", nargs="*", metavar="key=value", help="as in snakemake --config")

    sub = command(train, "train the jobs of a job file, one shard each; finished runs are taken over")
    sub.add_argument("--jobs", required=True, type=Path, metavar="FILE", help="written by: python -m einorm jobs")
    sub.add_argument("--only", nargs="+", metavar="JOB", help="names of jobs; default: all of the file")
    sub.add_argument("--images", required=True, type=Path)
    sub.add_argument("--shifts", required=True, type=Path, help="folder of the shift tables; what is missing is drawn")
    sub.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda"))
    sub.add_argument("--threads", default=1, type=int, help="of the maths")
    sub.add_argument("--archive", type=path_or_none, help="take over the finished runs of this archive; empty: of none")
    sub.add_argument("--at-once", default=1, type=positive, metavar="N", help="jobs side by side; on a GPU 3")
    sub.add_argument("--deadline", type=float, metavar="SECONDS", help="start no job that would not end by then")
    sub.add_argument("--keep", action="store_true", help="write each shard twice, the second time as JOB.kept.parquet")
    sub.add_argument("--out", required=True, type=Path, help="folder of the shards")

    sub = command(collect, "put all shards together into epochs.parquet, runs.parquet and costs.parquet")
    sub.add_argument("--settings", required=True, type=settings_json)
    sub.add_argument("--shards", required=True, type=Path, nargs="+")
    sub.add_argument("--out", required=True, type=Path)

    sub = command(samples, "write the sample images of figure 1")
    sub.add_argument("--settings", required=True, type=settings_json)
    sub.add_argument("--images", required=True, type=Path)
    sub.add_argument("--shifts", required=True, type=Path, help="folder of the shift tables")
    sub.add_argument("--out", required=True, type=Path)

    sub = command(figure, "draw one figure from the tables: PDF, PNG and the plotted points as CSV")
    sub.add_argument("name")
    sub.add_argument("--tables", required=True, type=Path)
    sub.add_argument("--published", required=True, type=Path, help="folder of the published values")
    sub.add_argument("--rules", required=True, type=Path, help="claims.yaml")
    sub.add_argument("--format", default="pdf", choices=("pdf", "svg"), help="of the vector graphics, next to PNG")
    sub.add_argument("--run-by-run", type=path_or_none, help="folder that the subcommand run_by_run wrote; empty: none")
    sub.add_argument("--out", required=True, type=Path)

    sub = command(archive, "archive every finished run of the settings, the ones archived before included")
    sub.add_argument("--config", default="config.yaml", type=Path)
    sub.add_argument("--results", default="results", type=Path, help="folder of the workflow's results")
    sub.add_argument("--out", type=Path, help="folder of the archive; default: paper_artifact/archive/<preset>")
    sub.add_argument(
        "--merge", action="append", default=[], type=Path, metavar="FOLDER", help="take in another archive's runs, too"
    )
    sub.add_argument("overrides", nargs="*", metavar="key=value", help="as in snakemake --config")

    sub = command(lineage, "prove that an earlier commit's training code gives today's results, so that its runs count")
    sub.add_argument("commit", nargs="?", help="git's name of the commit; without it: print the codes that count")
    sub.add_argument("--conditions", nargs="+", metavar="ID", choices=sorted(CONDITIONS), help="default: all")
    sub.add_argument("--images", default="results/data/fashion_mnist.npz", type=Path, help="prepared images")
    sub.add_argument("--epochs", default=2, type=int, help="of 101 steps, of every run that is compared")

    sub = command(claims, "judge every statement of claims.yaml on the runs")
    sub.add_argument("--tables", required=True, type=Path)
    sub.add_argument("--rules", required=True, type=Path, help="claims.yaml")
    sub.add_argument("--published", required=True, type=Path, help="folder of the published values")
    sub.add_argument("--out", required=True, type=Path)

    sub = command(claim, "print one statement whole: rule, numbers of both sides, verdicts and the runs behind it")
    sub.add_argument("id", help="of claims.yaml, for example C5.1")
    sub.add_argument("--tables", type=Path, help="folder of the tables; default: the archive that the pages show")
    sub.add_argument("--artifact", default="paper_artifact", type=Path, help="folder of claims.yaml and published")

    sub = command(methods, "print a paragraph on how the runs of an archive were made, and BibTeX")
    sub.add_argument("archive", nargs="?", type=Path, help="its folder; default: the archive that the pages show")
    sub.add_argument("--artifact", default="paper_artifact", type=Path, help="folder of the archives")

    sub = command(forest, "draw published and reproduced effects of all statements in one figure")
    sub.add_argument("--claims", required=True, type=Path, help="folder of claims.csv")
    sub.add_argument("--format", default="pdf", choices=("pdf", "svg"), help="of the vector graphics, next to PNG")
    sub.add_argument("--rules", required=True, type=Path, help="claims.yaml")
    sub.add_argument("--out", required=True, type=Path)

    sub = command(run_by_run, "compare the accuracies of single runs with those of the published runs")
    for name, whose in (("release", "the published runs' random numbers"), ("own", "random numbers of our own")):
        sub.add_argument(f"--{name}", type=path_or_none, help=f"folder of tables of runs with {whose}; empty: none")
    sub.add_argument("--published", required=True, type=Path, help="folder of the published values")
    sub.add_argument("--out", required=True, type=Path)

    sub = command(side_by_side, "judge every statement of claims.yaml by reproduction, replication and robustness")
    for name in ("reproduction", "replication"):
        sub.add_argument(f"--{name}", type=path_or_none, help="folder of tables; empty: none")
    sub.add_argument("--robustness", nargs="*", default=[], type=Path, help="folders of tables of presets robustness_*")
    sub.add_argument("--rules", required=True, type=Path, help="claims.yaml")
    sub.add_argument("--published", required=True, type=Path, help="folder of the published values")
    sub.add_argument("--out", required=True, type=Path)

    sub = command(evidence, "compute the numbers of the findings in deviations.yaml, each with its query")
    sub.add_argument(
        "--tables", type=path_or_none, help="folder of the tables that the findings are about; empty: none"
    )
    sub.add_argument("--robustness", nargs="*", default=[], type=Path, help="folders of tables of presets robustness_*")
    sub.add_argument("--artifact", required=True, type=Path, help="folder of claims.yaml and deviations.yaml")
    sub.add_argument("--published", required=True, type=Path, help="folder of the published values")
    sub.add_argument("--out", required=True, type=Path)

    sub = command(collapses, "count the runs at chance with the release's casts, beside the published counts")
    sub.add_argument("--tables", required=True, type=Path)
    sub.add_argument("--published", required=True, type=Path, help="folder of the published values")
    sub.add_argument("--out", required=True, type=Path)

    sub = command(report, "write the report, one page that stands alone")
    for name in ("--tables", "--claims", "--figures", "--artifact", "--out"):
        sub.add_argument(name, required=True, type=Path)

    sub = command(explore, "write the explorer, one page with every run in panels that are linked")
    sub.add_argument("--tables", type=Path, help="folder of the tables; default: the archive that the pages show")
    sub.add_argument("--out", required=True, type=Path)

    sub = command(bundle, "write the bundle, a zip ready for a DOI")
    for name in ("--project", "--tables", "--claims", "--figures", "--report", "--explorer", "--out"):
        sub.add_argument(name, required=True, type=Path)
    sub.add_argument("--started", required=True, type=started_json, help="what the workflow ran with (config.record)")

    sub = command(verify, "check a bundle: one line per fault, exit code 1 if there is one")
    sub.add_argument("zip", type=Path)

    sub = command(status, "how many runs are done, running, failed and left, and the time left; also while they run")
    sub.add_argument("--config", default="config.yaml", type=Path)
    sub.add_argument("--results", default="results", type=Path, help="folder of the workflow's results")
    sub.add_argument("overrides", nargs="*", metavar="key=value", help="as in snakemake --config")

    sub = command(budget, "runs, jobs and estimated core-hours of every preset on this machine")
    sub.add_argument("--config", default="config.yaml", type=Path)
    sub.add_argument("overrides", nargs="*", metavar="key=value", help="as in snakemake --config")

    sub = command(benchmark, "speed of training against this machine's matrix products, on a quiet machine; minutes")
    sub.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    sub.add_argument("--threads", default=1, type=int, help="threads of the maths, on a CPU")
    sub.add_argument("--json", type=Path, metavar="FILE", help="write the measurements for machines, too")
    sub.add_argument("--show", type=Path, metavar="FILE", help="measure nothing, show what was written to FILE before")
    sub.add_argument("--figure", type=Path, metavar="STEM", help="draw them to STEM.pdf, .png and .csv, too")

    sub = command(golden, "replay golden vectors through the production code; exit code 1 above 1e-8")
    sub.add_argument("folder", type=Path, help="folder of .npz files named after their conditions")
    sub.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    sub.add_argument("--step", default="plain", choices=("plain", "fused"), help="fused: of a GPU, in float32")
    return top


def main(arguments=None):
    """Run a subcommand; its exit code, 1 after a mistake of the user."""
    args = parser().parse_args(arguments)
    if not sys.flags.safe_path:  # by hand: the rules' commands name their code
        say_other_checkout(Path.cwd())
    try:
        return args.function(args) or 0
    except BrokenPipeError:  # of `| head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for what Python writes at its end
        return 0
    except UserError as error:
        return complain(error)
    except ModuleNotFoundError as error:
        return complain(MISSING_PACKAGE.format(error.name))


def say_other_checkout(folder):
    """Print a note where a command in a checkout of this project runs the code of another one."""
    here = folder / "workflow" / PACKAGE.name
    if (folder / "Snakefile").exists() and (here / "__main__.py").exists() and not here.samefile(PACKAGE):
        note = f"this runs the code in {PACKAGE}, not in this folder: pip install --no-deps -e ."
        print(f"einorm: note: {note}", file=sys.stderr)


def complain(error):
    """One line to the terminal or, from a rule, to its log; the exit code."""
    print(f"einorm: error: {error}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")  # a character that a terminal cannot show stops nothing
    sys.exit(main())
