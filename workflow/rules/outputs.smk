# A rule per figure, named after it (`snakemake fig3 --cores 1`), each with its own caption in the report.
for figure in EXPERIMENT["figures"]:

    rule:
        name:
            figure
        input:
            rules.tables.input,
        output:
            f"figures/{figure}.pdf",
            report(f"figures/{figure}.png", caption=f"../report/{figure}.rst", category="Figures"),
            f"figures/{figure}.csv",
        log:
            f"results/logs/figures/{figure}.log",
        conda:
            "../../envs/einorm.yaml"
        params:
            figure=figure,
            code=EXPERIMENT["figures"][figure],
        shell:
            "python -m einorm figure {params.figure} --tables results/tables --out figures > {log}"


# All figures of the chosen preset, from its tables.
rule figures:
    input:
        expand("figures/{figure}.{kind}", figure=EXPERIMENT["figures"], kind=["pdf", "png", "csv"]),
