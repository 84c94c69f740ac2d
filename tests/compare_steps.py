"""Is a training step faster than an earlier commit's? Both codes train in turn, in one process each on one thread.

`python tests/compare_steps.py COMMIT` prints a line per condition: the torch calls of a step, and the CPU time of
today's step over that of the commit's, as the median of some rounds and their middle half. Where other jobs run, only
such ratios tell something; a commit compared with itself (HEAD) shows how much.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
from einorm.conditions import CONDITIONS
from einorm.learning import build, smooth_targets, train_step
from einorm.network import initial_network
from torch.utils._python_dispatch import TorchDispatchMode

PIXELS, BATCH = 784, 32


def prepared(condition, runs, width):
    """The arguments of a training step: a network, images, targets."""
    weights = [initial_network(CONDITIONS[condition].layer, PIXELS, width, r) for r in range(runs)]
    network = build(condition, weights, [{"lr": 1e-3, "lr_wix": 1e-2, "lr_wei": 1e-4, "lambda": 0.01}] * runs)
    return network, torch.rand(BATCH, PIXELS), smooth_targets(torch.randint(0, 10, (BATCH,)), 10)


class Counter(TorchDispatchMode):
    calls = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.calls += 1
        return function(*args, **(kwargs or {}))


def calls_of_step(condition, runs=2, width=16):
    """How many operators of torch a training step calls, views included."""
    arguments = prepared(condition, runs, width)
    train_step(*arguments)
    with Counter() as counter:
        train_step(*arguments)
    return counter.calls


def serve(condition, runs, width, steps):
    """Print the calls of a step; then, for each line on stdin, the CPU time (s) of some steps."""
    torch.set_num_threads(1)
    arguments = prepared(condition, runs, width)
    print(calls_of_step(condition), flush=True)
    for _ in sys.stdin:
        started = time.process_time()
        for _ in range(steps):
            train_step(*arguments)
        print(time.process_time() - started, flush=True)


def compare(trees, rounds, options):
    """Calls of a step of the package in each of two folders, and sorted ratios (rounds) of their CPU times."""
    command = [sys.executable, "-P", __file__, "--serve", *options]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    workers = [subprocess.Popen(command, env=os.environ | {"PYTHONPATH": str(tree)}, **pipes) for tree in trees]
    calls = [int(worker.stdout.readline()) for worker in workers]
    ratios = []
    for turn in range(rounds + 1):  # the first warms up
        times = {}
        for worker in workers if turn % 2 else workers[::-1]:
            print(file=worker.stdin, flush=True)
            times[worker] = float(worker.stdout.readline())
        ratios.append(times[workers[1]] / times[workers[0]])
    for worker in workers:
        worker.communicate()
    return calls, sorted(ratios[1:])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("commit", nargs="?", help="git's name of the earlier commit")
    parser.add_argument("--conditions", nargs="+", default=("e_only_ln", "ei_ln", "inorm", "gradnorm_full"))
    parser.add_argument("--runs", type=int, default=4, help="side by side")
    parser.add_argument("--width", type=int, default=256, help="hidden units of each")
    parser.add_argument("--steps", type=int, default=50, help="of a round")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.serve:
        return serve(args.conditions[0], args.runs, args.width, args.steps)
    from einorm.runtime import PACKAGE
    from einorm.tools.lineage_proof import check_out

    options = [f"--runs={args.runs}", f"--width={args.width}", f"--steps={args.steps}"]
    with tempfile.TemporaryDirectory() as folder:
        check_out(args.commit, Path(folder))
        trees = (Path(folder) / "workflow", PACKAGE.parent)
        for condition in args.conditions:
            (then, now), ratios = compare(trees, args.rounds, ["--conditions", condition, *options])
            low, median, high = (ratios[len(ratios) * quarter // 4] for quarter in (1, 2, 3))
            print(
                f"{condition:16} {then} -> {now} calls, {median:.2f} of the time ({low:.2f} to {high:.2f})", flush=True
            )


if __name__ == "__main__":
    main()
