# A rule per figure, named after it (`snakemake fig3 --cores 1`), each with its own caption in the report.
PUBLISHED = expand(f"{EXPERIMENT['artifact']}/published/published_{{table}}.csv", table=["runs", "summary", "tests"])


# Single runs of the reproduction, and of the replication, against the published runs.
rule single_runs:
    input:
        release=EXPERIMENT["compared"]["reproduction"],
        own=EXPERIMENT["compared"]["replication"],
        published=PUBLISHED,
    output:
        expand("results/claims/run_by_run{part}.csv", part=["", "_points", "_cells", "_pairs"]),
    log:
        "results/logs/run_by_run.log",
    localrule: True
    conda:
        "../../envs/einorm.yaml"
    params:
        release=plan.folder_of("release"),
        own=plan.folder_of("own"),
        published=plan.folder_of("published"),
        code=EXPERIMENT["run_by_run_code"],
    shell:
        "python -m einorm run_by_run --release={params.release:q} --own={params.own:q} --published {params.published:q}"
        " --out results/claims > {log:q} 2>&1"


# Effects of the last epoch against those of the last ten, of the reproduction and of the replication.
rule late_effects:
    input:
        release=EXPERIMENT["compared"]["reproduction"],
        own=EXPERIMENT["compared"]["replication"],
        rules=f"{EXPERIMENT['artifact']}/claims.yaml",
        published=PUBLISHED,
    output:
        expand("results/claims/{name}.csv", name=["late_effects", "effects_by_epoch"]),
    log:
        "results/logs/late_effects.log",
    localrule: True
    conda:
        "../../envs/einorm.yaml"
    params:
        release=plan.folder_of("release"),
        own=plan.folder_of("own"),
        published=plan.folder_of("published"),
        code=EXPERIMENT["late_effects_code"],
    shell:
        "python -m einorm late_effects --release={params.release:q} --own={params.own:q} --rules {input.rules:q}"
        " --published {params.published:q} --out results/claims > {log:q} 2>&1"


for figure, facts in EXPERIMENT["figures"].items():

    rule:
        name:
            figure
        input:
            tables=EXPERIMENT["tables"],
            published=PUBLISHED,
            style=EXPERIMENT["style"],
            # their tests are corrected for all tests that the rules name
            rules=f"{EXPERIMENT['artifact']}/claims.yaml" if facts["tests"] else [],
            compared=getattr(rules, facts["made_by"]).output if facts["made_by"] else [],
        output:
            f"figures/{figure}.{EXPERIMENT['format']}",
            report(f"figures/{figure}.png", caption=f"../report/{facts['caption']}", category=facts["category"]),
            f"figures/{figure}.csv",
        log:
            f"results/logs/figures/{figure}.log",
        localrule: True
        conda:
            "../../envs/einorm.yaml"
        params:
            figure=figure,
            format=EXPERIMENT["format"],
            tables=plan.folder_of("tables"),
            published=lambda wildcards: f"{EXPERIMENT['artifact']}/published",
            rules=lambda wildcards: f"{EXPERIMENT['artifact']}/claims.yaml",
            compared=plan.folder_of("compared"),
            code=facts["code"],
        shell:
            "python -m einorm figure {params.figure:q} --tables {params.tables:q} --published {params.published:q}"
            " --rules {params.rules:q} --format {params.format:q} --compared={params.compared:q} --out figures > {log:q} 2>&1"


# Which claims of the paper hold on these tables.
rule claims:
    input:
        tables=EXPERIMENT["tables"],
        rules=f"{EXPERIMENT['artifact']}/claims.yaml",
        published=PUBLISHED,
    output:
        "results/claims/claims.parquet",
        report("results/claims/claims.csv", caption="../report/claims.rst", category="Claims"),
        "results/claims/comparisons.csv",
        "results/claims/oddities.csv",
        "results/claims/published_check.csv",
        "results/claims/robustness.csv",
    log:
        "results/logs/claims.log",
    localrule: True
    conda:
        "../../envs/einorm.yaml"
    params:
        tables=plan.folder_of("tables"),
        published=plan.folder_of("published"),
        code=EXPERIMENT["claims_code"],
    shell:
        "python -m einorm claims --tables {params.tables:q} --rules {input.rules:q} --published {params.published:q}"
        " --out results/claims > {log:q} 2>&1"


# All statements in one figure.
rule forest:
    input:
        claims="results/claims/claims.csv",
        rules=f"{EXPERIMENT['artifact']}/claims.yaml",
        style=EXPERIMENT["style"],
    output:
        f"figures/forest.{EXPERIMENT['format']}",
        report("figures/forest.png", caption="../report/forest.rst", category="Claims"),
        "figures/forest.csv",
    log:
        "results/logs/figures/forest.log",
    localrule: True
    conda:
        "../../envs/einorm.yaml"
    params:
        format=EXPERIMENT["format"],
        code=EXPERIMENT["forest_code"],
    shell:
        "python -m einorm forest --claims results/claims --rules {input.rules:q} --format {params.format:q} --out figures > {log:q} 2>&1"


# All figures of the chosen preset.
rule figures:
    input:
        expand("figures/{figure}.{kind}", figure=EXPERIMENT["figures"], kind=[EXPERIMENT["format"], "png", "csv"]),
        rules.forest.output,
    localrule: True


# Reproduction, replication and robustness, side by side per statement: from the archives, whatever the preset.
rule side_by_side:
    input:
        **EXPERIMENT["compared"],
        rules=f"{EXPERIMENT['artifact']}/claims.yaml",
        published=PUBLISHED,
    output:
        "results/claims/side_by_side.csv",
    log:
        "results/logs/side_by_side.log",
    localrule: True
    conda:
        "../../envs/einorm.yaml"
    params:
        reproduction=plan.folder_of("reproduction"),
        replication=plan.folder_of("replication"),
        robustness=plan.folders_of("robustness"),
        published=plan.folder_of("published"),
        code=EXPERIMENT["side_by_side_code"],
    shell:
        "python -m einorm side_by_side --reproduction={params.reproduction:q} --replication={params.replication:q}"
        " --robustness {params.robustness:q} --rules {input.rules:q} --published {params.published:q}"
        " --out results/claims > {log:q} 2>&1"


# The numbers of the findings where results differ: from the archive that the pages show, whatever the preset.
rule evidence:
    input:
        shown=EXPERIMENT["compared"][EXPERIMENT["shown"]],
        robustness=EXPERIMENT["compared"]["robustness"],
        texts=expand(f"{EXPERIMENT['artifact']}/{{name}}.yaml", name=["claims", "deviations"]),
        published=PUBLISHED,
    output:
        "results/claims/evidence.csv",
    log:
        "results/logs/evidence.log",
    localrule: True
    conda:
        "../../envs/einorm.yaml"
    params:
        tables=plan.folder_of("shown"),
        robustness=plan.folders_of("robustness"),
        artifact=plan.folder_of("texts"),
        published=plan.folder_of("published"),
        code=EXPERIMENT["evidence_code"],
    shell:
        "python -m einorm evidence --tables={params.tables:q} --robustness {params.robustness:q}"
        " --artifact {params.artifact:q} --published {params.published:q} --out results/claims > {log:q} 2>&1"


# Runs with the release's casts: which are at chance, beside the published counts, and where they collapsed.
rule collapses:
    input:
        tables=EXPERIMENT["tables"],
        published=PUBLISHED,
    output:
        "results/claims/collapses.csv",
        "results/claims/collapsed_runs.csv",
    log:
        "results/logs/collapses.log",
    localrule: True
    conda:
        "../../envs/einorm.yaml"
    params:
        tables=plan.folder_of("tables"),
        published=plan.folder_of("published"),
        code=EXPERIMENT["collapses_code"],
    shell:
        "python -m einorm collapses --tables {params.tables:q} --published {params.published:q}"
        " --out results/claims > {log:q} 2>&1"


# The page to read first.
rule page:
    input:
        rules.figures.input,
        rules.claims.output,
        rules.side_by_side.output,
        rules.evidence.output,
        rules.single_runs.output,
        tables=EXPERIMENT["tables"],
        manifest=EXPERIMENT["manifest"],
        texts=expand(f"{EXPERIMENT['artifact']}/{{name}}.yaml", name=["claims", "deviations"]),
        captions=EXPERIMENT["captions"],
        page=EXPERIMENT["page"],
        lineage=EXPERIMENT["lineage"],
    output:
        "paper_artifact/bundle/report.html",
    log:
        "results/logs/report.log",
    localrule: True
    conda:
        "../../envs/einorm.yaml"
    params:
        tables=plan.folder_of("tables"),
        artifact=plan.folder_of("texts"),
        code=EXPERIMENT["report_code"],
    shell:
        "python -m einorm report --tables {params.tables:q} --claims results/claims --figures figures"
        " --artifact {params.artifact:q} --out {output:q} > {log:q} 2>&1"


# Every run, in a page to ask questions of.
rule explore:
    input:
        tables=EXPERIMENT["tables"],
        page=EXPERIMENT["explorer_page"],
    output:
        "paper_artifact/bundle/explore.html",
    log:
        "results/logs/explore.log",
    localrule: True
    conda:
        "../../envs/einorm.yaml"
    params:
        tables=plan.folder_of("tables"),
        code=EXPERIMENT["explore_code"],
    shell:
        "python -m einorm explore --tables {params.tables:q} --out {output:q} > {log:q} 2>&1"


# Everything in one zip, ready for a DOI.
rule artifact:
    input:
        rules.figures.input,
        rules.claims.output,
        rules.side_by_side.output,
        rules.evidence.output,
        rules.single_runs.output,
        rules.late_effects.output,
        rules.collapses.output if EXPERIMENT["collapses"] else [],
        rules.page.output,
        rules.explore.output,
        tables=EXPERIMENT["tables"],
        manifest=EXPERIMENT["manifest"],
        sources=EXPERIMENT["sources"],
    output:
        f"paper_artifact/bundle/einorm-{EXPERIMENT['preset']}.zip",
    log:
        "results/logs/bundle.log",
    localrule: True
    conda:
        "../../envs/einorm.yaml"
    params:
        project=lambda wildcards: EXPERIMENT["project"],
        tables=plan.folder_of("tables"),
        started=EXPERIMENT["started"],
        code=EXPERIMENT["bundle_code"],
    shell:
        "python -m einorm bundle --project {params.project:q} --tables {params.tables:q} --claims results/claims --figures figures"
        " --report paper_artifact/bundle/report.html --explorer paper_artifact/bundle/explore.html"
        " --started {params.started:q} --out {output:q} > {log:q} 2>&1"
