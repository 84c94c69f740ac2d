rule collect:
    input:
        expand("results/runs/{job}.parquet", job=EXPERIMENT["jobs"]),
    output:
        "results/tables/epochs.parquet",
        "results/tables/runs.parquet",
        "results/tables/costs.parquet",
    log:
        "results/logs/collect.log",
    localrule: True
    conda:
        "../../envs/einorm.yaml"
    params:
        settings=EXPERIMENT["settings"],
        code=EXPERIMENT["collect_code"],
    shell:
        "python -m einorm collect --settings {params.settings:q} --shards {input:q} --out results/tables > {log:q} 2>&1"


rule samples:
    input:
        images=f"results/data/{EXPERIMENT['dataset']}.npz",
        shifts=expand("results/shifts/{table}.npz", table=EXPERIMENT["shift_tables"]),
    output:
        "results/tables/samples.parquet",
    log:
        "results/logs/samples.log",
    localrule: True
    conda:
        "../../envs/einorm.yaml"
    params:
        settings=EXPERIMENT["settings"],
        code=EXPERIMENT["samples_code"],
    shell:
        "python -m einorm samples --settings {params.settings:q} --images {input.images:q} --shifts results/shifts"
        " --out {output:q} > {log:q} 2>&1"


# The tables of the chosen preset: computed here, or an archive's.
rule tables:
    input:
        EXPERIMENT["tables"],
    localrule: True
