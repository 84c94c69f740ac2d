# On a CPU a rule trains one job: a few runs of a cell. Long jobs go first, so that cores do not idle at the end: Snakemake
# knows priorities of rules, so there is one rule per class of length. On a GPU a rule trains many cells in one process.
# The job file (training/jobfile.py) says what a job's runs are; a job's name is the digest of its runs, so the file is no input.
if not EXPERIMENT["gpu_jobs"]:
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
                "../../envs/einorm.yaml"
            threads: EXPERIMENT["machine"]["threads"]
            resources:
                # how, not what: a resource never makes a finished job run again; no archive: empty
                device=EXPERIMENT["machine"]["device"],
                maths_threads=EXPERIMENT["machine"]["threads"],
                mem_mb=1500,
                runtime=lambda wildcards: EXPERIMENT["jobs"][wildcards.job]["minutes"],
                archive=EXPERIMENT["reuse"],
            params:
                code=lambda wildcards: EXPERIMENT["jobs"][wildcards.job]["code"],
                title=lambda wildcards: EXPERIMENT["jobs"][wildcards.job]["title"],
            message:
                f"Training (a {length} job) {{params.title}}; log: {{log}}"
            shell:
                "python -m einorm train --jobs results/jobs.json --only {wildcards.job:q} --images {input.images:q}"
                " --shifts results/shifts --device {resources.device:q} --threads {resources.maths_threads}"
                " --archive={resources.archive:q} --out results/runs > {log:q} 2>&1"


for number, jobs in enumerate(EXPERIMENT["gpu_jobs"]):

    rule:
        name:
            f"train_gpu_{number}"
        input:
            images=f"results/data/{EXPERIMENT['dataset']}.npz",
            shifts=sorted({table for job in jobs for table in EXPERIMENT["jobs"][job]["shifts"]}),
        output:
            update(expand("results/runs/{job}.parquet", job=jobs)),
        log:
            f"results/logs/train/gpu-{number}.log",
        benchmark:
            f"results/benchmarks/train/gpu-{number}.tsv"
        conda:
            "../../envs/einorm-gpu.yaml"
        threads: EXPERIMENT["machine"]["threads"]
        resources:
            device=EXPERIMENT["machine"]["device"],
            maths_threads=EXPERIMENT["machine"]["threads"],
            gpu=1,
            mem_mb=16000,
            runtime=EXPERIMENT["gpu_minutes"],
            archive=EXPERIMENT["reuse"],
        params:
            jobs=jobs,
            code=sorted({EXPERIMENT["jobs"][job]["code"] for job in jobs}),
        message:
            "Training many cells on a GPU; log: {log}"
        shell:
            # --keep: what is finished outlives a failure of the others, after which Snakemake removes the output
            "python -m einorm train --jobs results/jobs.json --only {params.jobs:q} --images {input.images:q}"
            " --shifts results/shifts --device {resources.device:q} --threads {resources.maths_threads} --at-once 3"
            " --keep --archive={resources.archive:q} --out results/runs > {log:q} 2>&1"
