"""Subcommands from images to tables of runs."""

from argparse import Namespace
from pathlib import Path
from typing import Any

from .. import config
from ..data import DATASETS
from ..settings import TEST_IMAGES, TRAIN_IMAGES
from ..tasks import TASKS
from .arguments import (
    command,
    count_up_to,
    number_between,
    path_or_none,
    positive,
    seed,
    settings_json,
    take_config,
    take_overrides,
    take_paths,
)


def add_prepare(commands: Any) -> None:
    """Arguments of `prepare`."""
    sub = command(commands, prepare, "find or fetch a data set, check it, write it as one file")
    sub.add_argument("--dataset", required=True, choices=DATASETS)
    sub.add_argument("--downloads", required=True, type=Path, help="folder that keeps what was fetched")
    sub.add_argument("--path", type=path_or_none, help="folder with the four IDX files; empty: find or fetch them")
    take_paths(sub, "--out")


def prepare(args: Namespace) -> None:
    """Find or fetch a data set, check it, write it as one file (`data.prepare`)."""
    from ..data import prepare

    prepare(args.dataset, args.out, args.downloads, args.path)


def add_shifts(commands: Any) -> None:
    """Arguments of `shifts`."""
    sub = command(commands, shifts, "write the shift of every image in every epoch")
    sub.add_argument("--task", required=True, choices=TASKS)
    sub.add_argument("--epsilon", required=True, type=number_between(0, 1))
    sub.add_argument("--randomness", default="own", choices=("own", "release"), help="whose random numbers")
    sub.add_argument("--seed", required=True, type=seed)
    sub.add_argument("--epochs", required=True, type=positive)
    for name, largest in (("--train-images", TRAIN_IMAGES), ("--test-images", TEST_IMAGES)):
        sub.add_argument(name, required=True, type=count_up_to(largest))
    take_paths(sub, "--out")


def shifts(args: Namespace) -> None:
    """Write the shift of every image in every epoch (`data.write_shifts`)."""
    from ..data import write_shifts

    sizes = args.epochs, args.train_images, args.test_images
    write_shifts(args.task, args.epsilon, args.seed, *sizes, args.out, args.randomness)


def add_jobs(commands: Any) -> None:
    """Arguments of `jobs`."""
    sub = command(commands, jobs, "write the training jobs of the settings as a job file, for train")
    take_config(sub)
    sub.add_argument("--archive", type=path_or_none, help="leave out the jobs that this archive holds finished")
    take_paths(sub, "--out")
    take_overrides(sub)


def jobs(args: Namespace) -> None:
    """Write the training jobs of the settings that are left as a job file (`jobfile`)."""
    from ..training import jobfile

    planned = jobfile.left(config.load(args.config, overrides=args.overrides), args.archive)
    jobfile.write(planned, args.out)
    print(f"{args.out}: {len(planned)} jobs, {sum(map(len, planned.values()))} runs")


def add_train(commands: Any) -> None:
    """Arguments of `train`."""
    sub = command(commands, train, "train the jobs of a job file, one shard each; finished runs are taken over")
    sub.add_argument("--jobs", required=True, type=Path, metavar="FILE", help="written by: python -m einorm jobs")
    sub.add_argument("--only", nargs="+", metavar="JOB", help="names of jobs; default: all of the file")
    sub.add_argument("--images", required=True, type=Path)
    sub.add_argument("--shifts", required=True, type=Path, help="folder of the shift tables; what is missing is drawn")
    sub.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda"))
    sub.add_argument("--threads", default=1, type=count_up_to(256), help="of the maths")
    sub.add_argument("--archive", type=path_or_none, help="take over the finished runs of this archive; empty: of none")
    sub.add_argument("--at-once", default=1, type=positive, metavar="N", help="jobs side by side; on a GPU 3")
    sub.add_argument(
        "--deadline", type=number_between(0, 1e9), metavar="SECONDS", help="start no job that would not end by then"
    )
    sub.add_argument("--keep", action="store_true", help="write each shard twice, the second time as JOB.kept.parquet")
    sub.add_argument("--out", required=True, type=Path, help="folder of the shards")


def train(args: Namespace) -> None:
    """Train the jobs of a job file, a batch of runs side by side each (`jobfile.train`)."""
    from ..training import jobfile

    planned = jobfile.read(args.jobs, args.only)
    how = {"at_once": args.at_once, "deadline": args.deadline, "keep": args.keep}
    where = (args.images, args.shifts, args.out, args.device, args.threads, args.archive)
    not_started = jobfile.train(planned, *where, **how)
    if not_started:
        print(f"{len(not_started)} of {len(planned)} jobs were not started, to end within {args.deadline:g} s")


def add_collect(commands: Any) -> None:
    """Arguments of `collect`."""
    sub = command(commands, collect, "put all shards together into epochs.parquet, runs.parquet and costs.parquet")
    sub.add_argument("--settings", required=True, type=settings_json)
    sub.add_argument("--shards", required=True, type=Path, nargs="+")
    take_paths(sub, "--out")


def collect(args: Namespace) -> None:
    """Put all shards together into the tables (`tables.collect`)."""
    from ..records.jobs import jobs
    from ..records.lineage import check_unmixed
    from ..records.runs import run_digest
    from ..records.tables import collect

    digests = [run_digest(run) for batch in jobs(args.settings).values() for run in batch]
    collect(args.shards, digests, args.out, args.settings.science(), check_unmixed)


def add_samples(commands: Any) -> None:
    """Arguments of `samples`."""
    sub = command(commands, samples, "write the sample images of figure 1")
    sub.add_argument("--settings", required=True, type=settings_json)
    sub.add_argument("--images", required=True, type=Path)
    sub.add_argument("--shifts", required=True, type=Path, help="folder of the shift tables")
    take_paths(sub, "--out")


def samples(args: Namespace) -> None:
    """Write the sample images of figure 1 (`samples.write_samples`)."""
    from ..records.runs import shift_table
    from ..records.samples import write_samples

    tables = {
        (task, epsilon): args.shifts / f"{shift_table(args.settings, task, epsilon, args.settings.seed)}.npz"
        for task in args.settings.tasks
        for epsilon in args.settings.epsilons
    }
    write_samples(args.settings, args.images, tables, args.out)


ADD = (add_prepare, add_shifts, add_jobs, add_train, add_collect, add_samples)
