"""Subcommands for a person at work: proofs, progress, cost, speed, golden vectors."""

from argparse import Namespace
from pathlib import Path
from typing import Any

from .. import config
from ..conditions import CONDITIONS
from .arguments import command, positive, take_config, take_overrides


def add_lineage(commands: Any) -> None:
    """Arguments of `lineage`."""
    text = "prove that an earlier commit's training code gives today's results, so that its runs count"
    sub = command(commands, lineage, text)
    sub.add_argument("commit", nargs="?", help="git's name of the commit; without it: print the codes that count")
    sub.add_argument("--conditions", nargs="+", metavar="ID", choices=sorted(CONDITIONS), help="default: all")
    sub.add_argument("--images", default="results/data/fashion_mnist.npz", type=Path, help="prepared images")
    sub.add_argument("--epochs", default=2, type=positive, help="of 101 steps, of every run that is compared")


def lineage(args: Namespace) -> Any:
    """Prove that a commit's training code gives today's results (`lineage_proof`); 1 if a condition is refused."""
    from ..tools.lineage_proof import print_lineage, prove_and_enter

    if args.commit is None:
        return print_lineage()
    return int(prove_and_enter(args.commit, args.images, args.conditions, args.epochs) > 0)


def add_status(commands: Any) -> None:
    """Arguments of `status`."""
    text = "how many runs are done, running, failed and left, and the time left; also while they run"
    sub = command(commands, status, text)
    take_config(sub)
    sub.add_argument("--results", default="results", type=Path, help="folder of the workflow's results")
    take_overrides(sub)


def status(args: Namespace) -> None:
    """Print how far a campaign has come (`status.print_status`)."""
    from ..tools.status import print_status

    print_status(config.load(args.config, overrides=args.overrides), args.results)


def add_budget(commands: Any) -> None:
    """Arguments of `budget`."""
    sub = command(commands, budget, "runs, jobs and estimated core-hours of every preset on this machine")
    take_config(sub)
    take_overrides(sub)


def budget(args: Namespace) -> None:
    """Print what every preset costs on this machine (`budget.print_budget`)."""
    from ..tools.budget import print_budget

    print_budget(args.config, args.overrides)


def add_benchmark(commands: Any) -> None:
    """Arguments of `benchmark`."""
    text = "speed of training against this machine's matrix products, on a quiet machine; minutes"
    sub = command(commands, benchmark, text)
    sub.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    sub.add_argument("--threads", default=1, type=positive, help="threads of the maths, on a CPU")
    sub.add_argument("--json", type=Path, metavar="FILE", help="write the measurements for machines, too")
    sub.add_argument("--show", type=Path, metavar="FILE", help="measure nothing, show what was written to FILE before")
    sub.add_argument("--figure", type=Path, metavar="STEM", help="draw them to STEM.pdf, .png and .csv, too")


def benchmark(args: Namespace) -> None:
    """Measure the speed of training, or show a measurement (`benchmark.run`)."""
    from ..tools import benchmark, benchmark_gpu
    from ..training.device import choose_device

    on_gpu = choose_device(args.device) == "cuda"
    if args.show:
        result = benchmark.read_json(args.show)
    else:
        result = benchmark_gpu.run() if on_gpu else benchmark.run(args.threads)
    (benchmark_gpu if "device" in result else benchmark).print_table(result)
    if args.json:
        benchmark.write_json(result, args.json)
    if args.figure:
        from ..tools.roofline import draw

        draw(result, args.figure)


def add_golden(commands: Any) -> None:
    """Arguments of `golden`."""
    sub = command(commands, golden, "replay golden vectors through the production code; exit code 1 above 1e-8")
    sub.add_argument("folder", type=Path, help="folder of .npz files named after their conditions")
    sub.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    sub.add_argument("--step", default="plain", choices=("plain", "fused"), help="fused: of a GPU, in float32")


def golden(args: Namespace) -> int:
    """Replay golden vectors (`golden.print_replay`); 1 above the tolerance."""
    from ..tools.golden import print_replay

    return print_replay(args.folder, args.device, args.step)


ADD = (add_lineage, add_status, add_budget, add_benchmark, add_golden)
