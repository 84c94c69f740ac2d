# `snakemake benchmark --cores 1`: how fast training is on this machine, as a table, JSON and a figure.
rule benchmark:
    input:
        autograd=EXPERIMENT["autograd"],
    output:
        json="results/benchmark.json",
        figure=expand("figures/benchmark.{kind}", kind=["pdf", "png", "csv"]),
    log:
        "results/logs/benchmark.log",
    conda:
        f"../../envs/{EXPERIMENT['environment']}.yaml"
    resources:
        maths_threads=EXPERIMENT["machine"]["threads"],
    params:
        code=EXPERIMENT["benchmark_code"],
    shell:
        "python -m einorm benchmark --threads {resources.maths_threads} --json {output.json:q} --figure figures/benchmark"
        " > {log:q} 2>&1"
