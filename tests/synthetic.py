"""Small tables with invented numbers, for tests of what draws and checks tables. They are no results."""

import numpy as np
import pandas as pd
from einorm.conditions import CONDITIONS
from einorm.records import tables

OTHERS = ("ei_ln_detached", "e_only_none", "e_only_ln_detached", "inorm_lambda")
OURS = ("inorm_div", "gradnorm_sub", "lateral_plastic", "e_error_only")
QUICK = [c for c in CONDITIONS if c not in (*OTHERS, *OURS)]


def frames(conditions=QUICK, epsilons=(0.0, 0.75), configs=4, epochs=3, collapsed=("inorm", 0)):
    """Tables "runs", "epochs" and "samples" as DataFrames; runs of `collapsed` = (condition, config) collapsed."""
    rng = np.random.default_rng(0)
    rows = []
    for condition in conditions:
        for epsilon in epsilons:
            for lam in CONDITIONS[condition].lambdas:
                for config in range(configs):
                    down = (condition, config) == collapsed
                    level = 87 - 8 * epsilon + rng.normal()
                    for epoch in range(1, epochs + 1):
                        metrics = {m: rng.uniform(0.1, 1) for m in tables.METRICS} | {"test_acc": level - 3 / epoch}
                        if down:
                            metrics = dict.fromkeys(tables.METRICS, np.nan) | {"test_acc": 10.0}
                        key = ("luminosity", "fashion_mnist", "paper", "own", condition, epsilon, lam, config, 0)
                        facts = {"lr": 1e-3, "lr_wei": 1e-4, "lr_wix": 1e-2, "hidden_width": 100}
                        facts |= {"seconds": 1.0, "cpu_seconds": 0.9}
                        facts |= {"status": "collapsed" if down else "finished", "collapsed_step": 5 if down else -1}
                        facts |= {
                            "collapsed_in": "",
                            "device": "cpu",
                            "threads": 1,
                            "versions": "{}",
                            "code": "c",
                            "digest": "-".join(map(str, key)),
                        }
                        rows.append(dict(zip(tables.KEYS, key, strict=True)) | facts | {"epoch": epoch} | metrics)
    shard = pd.DataFrame(rows, columns=tables.SHARD.names)
    runs = shard[shard["epoch"] == epochs].rename(columns={"epoch": "epochs"})
    costs = runs[tables.COSTS.names]
    return {
        "runs": runs[tables.RUNS.names],
        "costs": costs,
        "epochs": shard[tables.EPOCHS.names],
        "samples": samples(epsilons),
    }


def samples(epsilons):
    rows = [
        ("luminosity", "fashion_mnist", epsilon, 2 * label, label, epsilon / 2, np.full(784, label / 10, np.float32))
        for epsilon in epsilons
        for label in range(10)
    ]
    return pd.DataFrame(rows, columns=tables.SAMPLES.names)
