# Index of the workflow: settings, rules, named targets. The science is in workflow/einorm, called as
# `python -m einorm <subcommand>`; what is computed is in config.yaml.
import re
import sys
import time
from pathlib import Path

from snakemake.utils import min_version

min_version("9.0")


STARTED = time.time()
CONFIGURATION = Path(workflow.basedir) / "config.yaml"
sys.path.insert(0, str(Path(workflow.basedir) / "workflow"))

from einorm import plan, status

try:
    plan.check_start(CONFIGURATION)
except plan.UserError as error:
    sys.exit(f"einorm: error: {error}")


configfile: str(CONFIGURATION)


plan.use_this_clone()
try:
    EXPERIMENT = plan.experiment(config)
except plan.UserError as error:
    sys.exit(f"einorm: error: {error}")


include: "workflow/rules/data.smk"
include: "workflow/rules/train.smk"
include: "workflow/rules/tables.smk"
include: "workflow/rules/outputs.smk"
include: "workflow/rules/benchmark.smk"


# Everything: tables, figures, claims and the report of the chosen preset.
rule all:
    default_target: True
    input:
        rules.tables.input,
        rules.figures.input,
        rules.claims.output,
        rules.page.output,
    localrule: True


onerror:
    print(
        *status.failures(Path("results/logs"), STARTED),
        "einorm: the workflow stopped. Finished runs are kept: correct what the error names and run the same command "
        "again (after a kill: add --rerun-incomplete, and run `snakemake --unlock` first if it says locked).",
        sep="\n",
    )
