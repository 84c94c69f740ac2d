rule figure:
    input:
        rules.tables.input,
    output:
        "figures/{figure}.pdf",
        report("figures/{figure}.png", caption="../report/{figure}.rst", category="Figures"),
        "figures/{figure}.csv",
    log:
        "results/logs/figures/{figure}.log",
    wildcard_constraints:
        figure="|".join(EXPERIMENT["figures"]),
    conda:
        "../../envs/einorm.yaml"
    params:
        code=lambda wildcards: EXPERIMENT["figures"][wildcards.figure],
    shell:
        "python -m einorm figure {wildcards.figure} --tables results/tables --out figures > {log}"


# All figures of the chosen preset, from its tables.
rule figures:
    input:
        expand("figures/{figure}.{kind}", figure=EXPERIMENT["figures"], kind=["pdf", "png", "csv"]),
