# Index of the workflow: settings, rules, named targets. The science is in workflow/einorm, called as
# `python -m einorm <subcommand>`; what is computed is in config.yaml.
import re
import sys
from pathlib import Path

from snakemake.utils import min_version

min_version("9.0")


# The folder of this file, also where another workflow includes it or uses it as a module.
HERE = Path(str(workflow.current_basedir))
MAIN = Path(workflow.basedir) in (HERE, HERE / "workflow")
CONFIGURATION = HERE / "config.yaml"
if not (HERE / "workflow").is_dir():
    sys.exit(f"einorm: error: {HERE} holds no folder workflow: clone the project, and name the clone's Snakefile")
sys.path.insert(0, str(HERE / "workflow"))

from einorm.config import read
from einorm.planning import dates, plan, profiles, surroundings
from einorm.runtime import UserError
from einorm.tools import status

try:
    SHIPPED = read(CONFIGURATION)
    if MAIN:
        profiles.check_profiles(config)
    surroundings.use_this_clone()
    LOGS = status.written(Path("results/logs"))
except UserError as error:
    sys.exit(f"einorm: error: {error}")


configfile: str(CONFIGURATION)


try:
    EXPERIMENT = plan.experiment(config if "presets" in config else SHIPPED | config)
    if MAIN and "--mode" not in sys.argv:  # not in the jobs of a cluster
        dates.settle(Path("results"))
except UserError as error:
    sys.exit(f"einorm: error: {error}")


include: "workflow/rules/data.smk"
include: "workflow/rules/train.smk"
include: "workflow/rules/tables.smk"
include: "workflow/rules/outputs.smk"
include: "workflow/rules/benchmark.smk"


# Everything: tables, figures, claims, the report and the explorer of the chosen preset.
rule all:
    default_target: True
    input:
        rules.tables.input,
        rules.figures.input,
        rules.claims.output,
        rules.page.output,
        rules.explore.output,
        rules.collapses.output if EXPERIMENT["collapses"] else [],
    localrule: True


onsuccess:
    dates.record(Path("results"))


onstart:
    if MAIN and workflow.non_local_exec:
        try:
            profiles.check_hand_over()
            profiles.check_accounting()
            profiles.check_submission()
        except UserError as error:
            sys.exit(f"einorm: error: {error}")


onerror:
    dates.record(Path("results"))
    print(
        *status.failures(Path("results/logs"), LOGS),
        "einorm: the workflow stopped. Finished runs are kept: correct what the error names and run the same command "
        "again (after a kill: add --rerun-incomplete, and run `snakemake --unlock` first if it says locked).",
        sep="\n",
    )
