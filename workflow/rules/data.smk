# Images and shift tables are what their name says, whenever they are made: every start gives them a fixed date
# (`dates.settle`), so that a copy makes nothing run again. (Not ancient(): Snakemake then forgets jobs after a kill.)
rule prepare:
    output:
        "results/data/{dataset}.npz",
    log:
        "results/logs/prepare-{dataset}.log",
    localrule: True
    conda:
        "../../envs/einorm.yaml"
    resources:
        # where from, not what: a resource never makes a finished job run again; empty: find or fetch them
        folder=EXPERIMENT["data_path"],
    shell:
        "python -m einorm prepare --dataset {wildcards.dataset:q} --path={resources.folder:q}"
        " --downloads results/downloads --out {output:q} > {log:q} 2>&1"


# Of networks whose configurations share them; in the release's random numbers, I-Norm jobs draw their own.
rule shifts:
    output:
        "results/shifts/{task}/eps{epsilon}-seed{seed}{release}-{epochs}x{train}+{test}.npz",
    log:
        "results/logs/shifts/{task}/eps{epsilon}-seed{seed}{release}-{epochs}x{train}+{test}.log",
    wildcard_constraints:
        seed="[0-9]+",
        release="(-release)?",
    conda:
        "../../envs/einorm.yaml"
    params:
        code=lambda wildcards: EXPERIMENT["shift_codes"][wildcards.release].get(wildcards.task),
        randomness=lambda wildcards: "release" if wildcards.release else "own",
    shell:
        "python -m einorm shifts --task {wildcards.task:q} --epsilon {wildcards.epsilon:q} --seed {wildcards.seed:q}"
        " --randomness {params.randomness:q} --epochs {wildcards.epochs:q} --train-images {wildcards.train:q}"
        " --test-images {wildcards.test:q} --out {output:q} > {log:q} 2>&1"
