# Long jobs go first, so that cores do not idle at the end: Snakemake knows priorities of rules, so there is one rule per class
# of length.
for priority, (length, jobs) in enumerate(EXPERIMENT["lengths"].items()):

    rule:
        name:
            f"train_{length}"
        input:
            images=f"results/data/{EXPERIMENT['dataset']}.npz",
            shifts=lambda wildcards: EXPERIMENT["jobs"][wildcards.job]["shifts"],
        output:
            # update: not deleted before the job, which takes over what an earlier, interrupted start of it finished
            update("results/runs/{job}.parquet"),
        log:
            "results/logs/train/{job}.log",
        benchmark:
            "results/benchmarks/train/{job}.tsv"
        wildcard_constraints:
            job="|".join(map(re.escape, jobs)),
        priority: priority
        conda:
            f"../../envs/{EXPERIMENT['environment']}.yaml"
        threads: EXPERIMENT["machine"]["threads"]
        resources:
            # how, not what: a resource never makes a finished job run again; no archive: empty
            device=EXPERIMENT["machine"]["device"],
            maths_threads=EXPERIMENT["machine"]["threads"],
            mem_mb=1500,
            runtime=lambda wildcards: EXPERIMENT["jobs"][wildcards.job]["minutes"],
            archive=EXPERIMENT["reuse"],
        params:
            runs=lambda wildcards: EXPERIMENT["jobs"][wildcards.job]["runs"],
            code=lambda wildcards: EXPERIMENT["jobs"][wildcards.job]["code"],
            title=lambda wildcards: EXPERIMENT["jobs"][wildcards.job]["title"],
        message:
            f"Training (a {length} job) {{params.title}}; log: {{log}}"
        shell:
            "python -m einorm train --runs {params.runs:q} --images {input.images:q} --shifts={input.shifts:q}"
            " --device {resources.device:q} --threads {resources.maths_threads} --archive={resources.archive:q}"
            " --out {output:q} > {log:q} 2>&1"
