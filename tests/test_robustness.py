"""Variants of the training: what the robustness table and figures say of them, and the presets that ask."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import synthetic
import yaml
from conftest import REPOSITORY, copy_project, snakemake
from einorm import config, figures
from einorm.analysis.robustness import BY_TEST, BY_VALIDATION, robustness
from einorm.figures import robustness as figure
from einorm.planning.training import describe
from einorm.records import archive
from einorm.records.jobs import jobs
from einorm.records.runs import run_digest
from einorm.variants import COLLAPSE, DALE, QUESTIONS, VARIANTS, asked

CONDITIONS = ("e_only_ln", "inorm", "gradnorm_full")


def runs_of(question, lower_by=1.0, configs=12, conditions=CONDITIONS, collapsed=("inorm", 0)):
    """Invented runs of a question's variants, each `lower_by` points below the one before; one collapsed."""
    parts = []
    for i, variant in enumerate(QUESTIONS[question]):
        runs = synthetic.frames(conditions, epsilons=(0.75,), configs=configs, collapsed=collapsed)["runs"]
        finished = runs["status"] == "finished"
        runs = runs.assign(variant=variant, digest=runs["digest"] + variant, epochs=10)
        runs["seed"] = VARIANTS[variant].get("seed", 0)
        parts.append(runs.assign(test_acc=runs["test_acc"] - lower_by * i * finished, validation_acc=runs["test_acc"]))
    return pd.concat(parts, ignore_index=True)


def test_changes_and_distances_are_paired_within_configurations():
    table = robustness(runs_of("order")).set_index(["variant", "condition"])
    row = table.loc["shuffled", "gradnorm_full"]
    assert row[["change", "change_low", "change_high"]].tolist() == pytest.approx([-1, -1, -1])
    assert np.isnan(table.loc["paper", "gradnorm_full"]["change"]), "the paper's way is not compared with itself"
    runs = runs_of("order").query("variant == 'shuffled'").pivot(index="config", columns="condition", values="test_acc")
    d = np.sort((runs["gradnorm_full"] - runs["e_only_ln"]).to_numpy())
    assert d[0] < row["versus_ln_low"] < row["versus_ln"] < row["versus_ln_high"] < d[-1]
    assert np.isnan(table.loc["shuffled", "e_only_ln"]["versus_ln"]), "LN+ is not compared with itself"


def test_runs_of_one_configuration_are_pairs_though_their_seeds_differ():
    row = robustness(runs_of("seed")).set_index(["variant", "condition"]).loc["seed2", "gradnorm_full"]
    assert row[["change", "change_low", "change_high"]].tolist() == pytest.approx([-2, -2, -2])


def test_runs_of_another_seed_are_trained_on_shifts_of_their_own():
    settings = config.load(REPOSITORY / "config.yaml", "robustness_seed")
    for batch in jobs(settings).values():
        seed = VARIANTS[batch[0].get("variant", "paper")].get("seed", 0)
        assert all(run["seed"] == seed for run in batch) and len({run_digest(run) for run in batch}) == len(batch)
        (table,) = describe(settings, batch)["shifts"]
        assert f"-seed{seed}-" in table


def test_collapsed_runs_are_counted_and_stay_in():
    table = robustness(runs_of("precision")).set_index(["variant", "condition"])
    assert (table["collapsed"].xs("inorm", level="condition") == 1).all() and (table["n"] == 12).all()
    assert (table["collapsed"].xs("gradnorm_full", level="condition") == 0).all()


def test_the_best_by_held_out_images_are_chosen_by_them_alone():
    runs = runs_of("validation", configs=14)
    runs["validation_acc"] = -runs["test_acc"]  # as misleading as can be
    table = robustness(runs).set_index(["selection", "condition"])
    accuracies = runs[runs["condition"] == "e_only_ln"]["test_acc"].sort_values()
    assert table.loc[BY_TEST, "e_only_ln"]["median_test_acc"] == pytest.approx(accuracies[-10:].median())
    assert table.loc[BY_VALIDATION, "e_only_ln"]["median_test_acc"] == pytest.approx(accuracies[:10].median())
    assert table.loc[BY_TEST, "e_only_ln"]["overlap"] == 10 and table.loc[BY_VALIDATION, "e_only_ln"]["overlap"] == 6


def test_runs_of_the_paper_alone_ask_nothing():
    assert robustness(synthetic.frames()["runs"]).empty and asked(["paper"]) == []
    assert figures.names(["luminosity"]) == figures.FIGURES


@pytest.mark.parametrize("question", QUESTIONS)
def test_the_figure_shows_every_run_and_group(question):
    runs = runs_of(question)
    drawn, points = figure.draw({"runs": runs}, question)
    legend = [text.get_text() for text in drawn.legends[0].get_texts()]
    plt.close(drawn)
    a = points[points["panel"] == "a"]
    assert len(a[a["rule"] == "all"]) == len(runs) and a["group"].nunique() == len(figure.groups(question, runs))
    assert legend == list(a["group"].unique()) and (points["panel"] == "b").any()


def test_without_runs_of_the_papers_task_the_figure_says_so():
    drawn, points = figure.draw({"runs": runs_of("order").iloc[:0]}, "order")
    assert len(points) == 0 and "runs that learn the paper's task" in drawn.axes[0].texts[0].get_text()
    plt.close(drawn)


def test_without_ln_the_figure_shows_the_change_from_the_papers_way():
    runs = runs_of("precision", conditions=("inorm", "gradnorm_full"))
    runs["test_acc"] = runs["config"] + 80.0 + (runs["variant"] == "bfloat16")
    _, points = figure.draw({"runs": runs}, "precision")
    b = points[points["panel"] == "b"].set_index(["group", "condition"])["value"]
    assert b["products and gradients rounded to bfloat16", "inorm"] == 1
    assert b["products and gradients rounded to float16", "gradnorm_full"] == 0
    assert np.isnan(b["float32", "inorm"]), "the paper's way has no change"


def test_every_question_has_a_preset_that_asks_it_and_nothing_else():
    presets = yaml.safe_load((REPOSITORY / "config.yaml").read_text())["presets"]
    for question, members in QUESTIONS.items():
        settings = config.load(REPOSITORY / "config.yaml", f"robustness_{question}")
        assert set(settings.variants) == set(members) and asked(settings.variants) == [question]
    assert {name.removeprefix("robustness_") for name in presets if name.startswith("robustness")} == set(QUESTIONS)
    others = {*COLLAPSE, *DALE} - {"paper"}  # presets collapse and error_signals
    assert {v for members in QUESTIONS.values() for v in members} == set(VARIANTS) - others


@pytest.mark.parametrize("question", QUESTIONS)
def test_the_archive_of_every_question_is_whole(question):
    folder = REPOSITORY / "paper_artifact" / "archive" / f"robustness_{question}"
    manifest = archive.check(folder, config.load(REPOSITORY / "config.yaml", f"robustness_{question}"))
    assert manifest["complete"] and not robustness(archive.load(folder)["runs"]).empty


def test_held_out_images_must_be_there(tmp_path):
    done = snakemake(copy_project(tmp_path), "-n", "--config", "preset=smoke", "variants=[validation]")
    lines = [line for line in done.stdout.splitlines() if "einorm: error" in line]
    assert done.returncode == 1 and len(lines) == 1 and "holds out 10000 training images" in lines[0]


@pytest.mark.long
def test_variants_go_from_images_to_table_figure_and_page(tmp_path):
    """Real images, tiny: 320 to train on, the last 10,000 held out."""
    folder = copy_project(tmp_path)
    done = snakemake(
        folder,
        "--config",
        *("preset=smoke", "variants=[shuffled, validation]", "conditions=[e_only_ln, inorm]"),
        *("epochs=1", "train_images=10320", "test_images=10000"),
    )
    assert done.returncode == 0, done.stdout
    table = pd.read_csv(folder / "results" / "claims" / "robustness.csv")
    assert set(table["question"]) == {"order", "validation"} and set(table["condition"]) == {"e_only_ln", "inorm"}
    runs = archive.load(folder / "results" / "tables")["runs"].set_index(["variant", "condition", "config"])
    held_out = runs.loc["validation", "e_only_ln"]
    assert held_out["validation_acc"].between(10, 100).all() and runs.loc["shuffled"]["validation_acc"].isna().all()
    made = {path.name for path in (folder / "figures").glob("*.png")}
    assert made == {"forest.png", "robustness_order.png", "robustness_validation.png"}, (
        "nothing was trained as published"
    )
    page = (folder / "paper_artifact" / "bundle" / "report.html").read_text()
    assert "Do the findings depend on how the networks are trained?" in page and "robustness_order" in page


def test_many_groups_are_all_drawn_and_look_different():
    runs = runs_of("seed")
    more = pd.concat([runs, *(runs.query("variant == 'seed1'").assign(variant=f"seed{i}") for i in range(4, 9))])
    table = pd.DataFrame({"condition": "inorm", "variant": [f"seed{i}" for i in range(9)], "selection": "all"})
    looks = [tuple(look.items()) for _, _, look in figure.columns(table)]
    assert len(looks) == 9 == len(set(looks)) and len(more) > len(runs)


def test_nothing_published_is_drawn_beside_another_data_set():
    drawn = figures.names(["luminosity"], dataset="mnist")
    assert not [name for name in drawn if name.startswith("published_")] and "fig4" in drawn


def test_runs_at_chance_with_finite_losses_are_counted_apart_from_collapsed_ones():
    runs = runs_of("order")
    stuck = (runs["variant"] == "shuffled") & (runs["condition"] == runs["condition"].iloc[0]) & (runs["config"] < 2)
    runs.loc[stuck, ["test_acc", "status"]] = 9.9, "finished"
    rows = robustness(runs).query("variant == 'shuffled' and condition == @runs.condition.iloc[0]")
    assert rows["at_chance"].tolist() == [2] and rows["collapsed"].tolist() == [0]
