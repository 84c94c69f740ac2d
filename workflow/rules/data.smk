# Images and shift tables are what their name says, whenever they are made: they get a fixed date, so that making one again
# makes nothing else run again. (ancient() would do, too, but after a kill Snakemake may forget the jobs behind it.)
rule prepare:
    output:
        "results/data/{dataset}.npz",
    log:
        "results/logs/prepare-{dataset}.log",
    localrule: True
    conda:
        "../../envs/einorm.yaml"
    params:
        source=f"--path '{EXPERIMENT['data_path']}'" if EXPERIMENT["data_path"] else "",
    shell:
        "python -m einorm prepare --dataset {wildcards.dataset} {params.source} --downloads results/downloads"
        " --out {output} > {log}"


rule shifts:
    output:
        "results/shifts/{task}/eps{epsilon}-seed{seed}-{epochs}x{train}+{test}.npz",
    log:
        "results/logs/shifts/{task}/eps{epsilon}-seed{seed}-{epochs}x{train}+{test}.log",
    conda:
        "../../envs/einorm.yaml"
    params:
        code=lambda wildcards: EXPERIMENT["shift_codes"].get(wildcards.task),
    shell:
        "python -m einorm shifts --task {wildcards.task} --epsilon {wildcards.epsilon} --seed {wildcards.seed}"
        " --epochs {wildcards.epochs} --train-images {wildcards.train} --test-images {wildcards.test}"
        " --out {output} > {log}"
