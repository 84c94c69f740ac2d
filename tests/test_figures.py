"""Every figure from small tables: what is drawn, what is said, equal bytes."""

from importlib import import_module
from itertools import combinations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import synthetic
from conftest import REPOSITORY
from einorm import figures
from einorm.__main__ import main
from einorm.analysis import comparisons, published
from einorm.analysis.selection import TOP, as_published
from einorm.analysis.statements import load_rules
from einorm.conditions import CONDITIONS, label
from einorm.figures import FIGURES, style
from einorm.figures.panels import accuracy_limits, of_conditions, say_incomplete
from einorm.records import tables
from einorm.records.tables import layer_mean
from einorm.settings import Settings
from matplotlib.patches import StepPatch

PAPER = [f"fig{i}" for i in range(1, 8)]


PUBLISHED = REPOSITORY / "paper_artifact" / "published"
VALUES = published.load(PUBLISHED)
RULES = REPOSITORY / "paper_artifact" / "claims.yaml"
SHIPPED = load_rules(RULES)
KNOWN = {"published": VALUES, "rules": SHIPPED}


def drawn(name, data):
    return import_module(f"einorm.figures.{name}").draw({"complete": data["runs"]} | data | KNOWN)


def draw(name, data):
    figure, points = drawn(name, data)
    figure.canvas.draw()
    texts = [text.get_text() for text in figure.findobj(plt.Text)]
    plt.close(figure)
    return points, " ".join(" ".join(texts).split())


def save_tables(data, folder):
    runs = data["runs"]
    settings = {"conditions": sorted(set(runs["condition"])), "epsilons": sorted(set(runs["epsilon"]))}
    settings |= {"configs": sorted(map(int, set(runs["config"]))), "epochs": 3}
    for table, frame in data.items():
        tables.write(frame, table, folder / f"{table}.parquet", settings)
    return folder


def test_every_figure_of_the_paper_is_there():
    assert set(PAPER) <= set(FIGURES) and {"learning_curves", "moments_alignment", "lambda_sweep"} <= set(FIGURES)


@pytest.mark.long
@pytest.mark.parametrize("name", FIGURES)
def test_files_are_written_with_equal_bytes_each_time(tmp_path, name):
    folder = save_tables(synthetic.frames(), tmp_path / "tables")
    for out in ("a", "b"):
        where = ("--tables", str(folder), "--published", str(PUBLISHED), "--rules", str(RULES))
        assert main(["figure", name, *where, "--out", str(tmp_path / out)]) == 0
    for kind in ("pdf", "png", "csv"):
        first, second = ((tmp_path / out / f"{name}.{kind}").read_bytes() for out in ("a", "b"))
        assert len(first) > (0 if kind == "csv" else 1000) and first == second


@pytest.mark.parametrize("name", FIGURES)
def test_one_run_and_no_run_are_drawn_and_said(name):
    draw(name, synthetic.frames(conditions=["inorm"], epsilons=(0.5,), configs=1))
    _, texts = draw(name, synthetic.frames(conditions=[], epsilons=()))
    assert "not computed" in texts


ABSENT = {"fig2": "ei_ln", "fig3": "inorm", "fig4": "inorm", "fig5": "e_only_ln", "fig6": "gradnorm_scale"}


@pytest.mark.parametrize(("name", "condition"), [*ABSENT.items(), ("fig7", "lateral_inhibition")])
def test_a_condition_that_was_not_computed_is_named(name, condition):
    tables_of_one = synthetic.frames(conditions=["ei_none"])
    figure, _ = import_module(f"einorm.figures.{name}").draw(
        {"complete": tables_of_one["runs"]} | tables_of_one | KNOWN
    )
    texts = [text.get_text() for text in figure.findobj(plt.Text)]
    plt.close(figure)
    named = [line for text in texts if text.startswith("not computed:") for line in text.splitlines()]
    assert label(condition) in named and label("ei_none") not in named


def test_missing_runs_are_named_above_the_figure():
    data = synthetic.frames(["e_only_ln", "inorm", "ei_ln"], epsilons=(0.0, 0.75))
    runs = data["runs"]
    runs = runs[(runs["condition"] != "inorm") | (runs["epsilon"] == 0.75) & (runs["config"] < 3)]
    planned = Settings(conditions=["e_only_ln", "inorm", "ei_ln"], epsilons=[0, 0.25, 0.75], configs=4, epochs=3)
    figure, points = import_module("einorm.figures.fig4").draw(data | {"runs": runs})
    say_incomplete(figure, points, runs, planned)
    assert " ".join(figure.get_suptitle().split()) == (
        "Incomplete: no run of LN+ (E only) at ε 0.25; no run of I-Norm at ε 0, 0.25; 3 of 4 runs of I-Norm at ε 0.75."
    )
    planned = Settings(conditions=["e_only_ln"], epsilons=[0, 0.75], configs=4, epochs=3)
    complete, points = import_module("einorm.figures.fig4").draw(data | {"runs": runs})
    say_incomplete(complete, points, runs, planned)
    assert complete.get_suptitle() == ""


def test_a_condition_has_one_colour_and_an_epsilon_one_marker():
    """No colour is used twice, and neither depends on what else is drawn."""
    assert {*style.LOOKS} == {*CONDITIONS}
    assert len({colour for colour, _ in style.LOOKS.values()}) == len(CONDITIONS)
    looks = [style.epsilon_style(epsilon) for epsilon in (0, 0.25, 0.5, 0.75)]
    assert len({look["marker"] for look in looks}) == len({look["color"] for look in looks}) == 4


def test_all_missing_conditions_are_named_in_one_word():
    data = synthetic.frames(["e_only_ln", "inorm"], epsilons=(0.75,))
    figure, points = import_module("einorm.figures.fig4").draw(data)
    planned = Settings(conditions=["e_only_ln", "inorm"], epsilons=[0.25, 0.5, 0.75], configs=4, epochs=3)
    say_incomplete(figure, points, data["runs"], planned)
    assert figure.get_suptitle() == "Incomplete: no run at ε\xa00.25, 0.5."
    planned = Settings(conditions=["e_only_ln", "inorm"], epsilons=[0.75], configs=5, epochs=3)
    say_incomplete(figure, points, data["runs"], planned)
    assert figure.get_suptitle() == "Incomplete: 4 of 5 runs of each condition at ε\xa00.75."
    plt.close(figure)


@pytest.mark.parametrize(
    ("names", "count", "words"),
    [
        (["A"], "no run", " of A"),
        (["A", "B", "C"], "no run", " of A, B or C"),
        (["A", "B"], "1 of 2 runs", " each of A and B"),
    ],
)
def test_conditions_whose_runs_are_missing_are_named_in_words(names, count, words):
    assert of_conditions(names, {"A", "B", "C", "D"}, count) == words


def test_the_points_of_a_figure_without_runs_can_be_read(tmp_path):
    style.save(plt.figure(), pd.DataFrame(), tmp_path / "empty")
    assert not len(pd.read_csv(tmp_path / "empty.csv"))


def test_text_of_an_svg_is_text(tmp_path):
    folder = save_tables(synthetic.frames(), tmp_path / "tables")
    where = ("--tables", str(folder), "--published", str(PUBLISHED), "--rules", str(RULES), "--out", str(tmp_path))
    assert main(["figure", "fig4", *where, "--format", "svg"]) == 0
    assert ">alignment with LN (cosine)</text>" in (tmp_path / "fig4.svg").read_text()
    assert not (tmp_path / "fig4.pdf").exists()
    assert main(["figure", "fig4", *where]) == 0
    assert (tmp_path / "fig4.pdf").exists() and not (tmp_path / "fig4.svg").exists(), "it would show an older figure"


def texts_of(figure):
    """The texts that are drawn, with their extents in pixels."""
    found = [*figure.texts]
    for ax in figure.axes:
        found += [*ax.texts, ax.title, ax.xaxis.label, ax.yaxis.label]
        legend = ax.get_legend()
        found += [*legend.get_texts(), legend.get_title()] if legend else []
        for axis in (ax.xaxis, ax.yaxis):
            low, high = sorted(axis.get_view_interval())
            found += [tick.label1 for tick in axis.get_major_ticks() if low <= tick.get_loc() <= high]
    return [(text.get_text(), text.get_window_extent()) for text in found if text.get_text().strip()]


def marks_of(ax):
    """Centres of an axes' marks and upper corners of its bars, in pixels."""
    places = [collection.get_offset_transform().transform(collection.get_offsets()) for collection in ax.collections]
    for patch in ax.patches:
        places.append(patch.get_transform().transform(patch.get_path().vertices))
    return np.concatenate([place for place in places if len(place)])


REPLICATION = REPOSITORY / "paper_artifact" / "archive" / "replication" / "runs.parquet"


@pytest.mark.parametrize("points", [8, 12])
@pytest.mark.parametrize("name", ["fig2", "fig4", "published_fig2", "published_fig4", "published_fig5"])
def test_one_edit_of_the_font_size_gives_a_figure_without_overlaps(name, points):
    """Texts neither overlap one another nor are cut, and no legend covers a mark."""
    runs = as_published(tables.read(REPLICATION, "runs"))
    with plt.rc_context({"font.size": points}):
        figure, _ = import_module(f"einorm.figures.{name}").draw({"runs": runs, "complete": runs} | KNOWN)
        figure.canvas.draw()
    texts = texts_of(figure)
    assert {"a", "b"} <= {text for text, _ in texts}
    for (text, box), (other, there) in combinations(texts, 2):
        assert not box.padded(-1).overlaps(there.padded(-1)), (text, other)
    for text, box in texts:
        assert box.x0 >= 0 and box.y0 >= 0 and box.x1 <= figure.bbox.x1 and box.y1 <= figure.bbox.y1, text
    for ax in figure.axes:
        if legend := ax.get_legend():
            assert not legend.get_window_extent().padded(-1).count_contains(marks_of(ax)), ax.get_title()
    plt.close(figure)


def test_all_sizes_of_text_follow_one_line_of_the_style():
    lines = [line.split("#")[0] for line in figures.STYLE.read_text().splitlines()]
    sizes = dict(
        line.split(": ", 1) for line in lines if "size:" in line and not line.startswith(("figure.figsize", "lines"))
    )
    texts = {key: value.strip() for key, value in sizes.items() if ".m" not in key}
    assert texts.pop("font.size") == "8" and len(texts) > 7 and set(texts.values()) == {"medium"}


def test_the_style_file_has_palette_marks_and_width():
    with plt.rc_context({"lines.markersize": 10, "figure.figsize": (10, 1), "font.size": 16}):
        assert style.area(0.5) == 50 and style.size(2) == (20, 4)
    assert plt.rcParams["axes.prop_cycle"].by_key()["color"] == style.PALETTE


def test_a_scatter_plots_legend_has_a_frame():
    """Without one, with few runs, its marks look like runs."""
    data = synthetic.frames(["e_only_ln", "inorm"])
    for name in ("fig4", "published_fig4"):
        figure, _ = import_module(f"einorm.figures.{name}").draw(data | KNOWN)
        assert figure.axes[0].get_legend().get_frame_on(), name
        plt.close(figure)


def test_no_bin_of_an_alignment_reaches_beyond_1():
    data = synthetic.frames(["e_only_ln", "inorm"], epsilons=(0.75,))
    data["runs"] = data["runs"].assign(output_alignment0=1 + 1e-7, output_alignment1=1 + 1e-7)
    figure, _ = import_module("einorm.figures.published_fig4").draw(data | KNOWN)
    (ours,) = [patch for patch in figure.axes[2].patches if isinstance(patch, StepPatch)]
    assert ours.get_data().edges.max() == 1 and ours.get_data().values.sum() == pytest.approx(1), "no run is lost"
    assert (np.diff(ours.get_data().edges) > 0).all()
    plt.close(figure)


def test_runs_far_below_leave_the_axis_to_the_others():
    runs = pd.DataFrame({"test_acc": [10.0, 10, 80, 85, 86], "status": "finished"})
    assert accuracy_limits(runs)[0] > 75


@pytest.mark.long
def test_no_text_is_smaller_than_8_points_at_the_printed_width():
    assert style.size(3) == pytest.approx((17 / 2.54, 3), abs=1e-3)
    data = synthetic.frames()
    for name in FIGURES:
        figure, _ = import_module(f"einorm.figures.{name}").draw(
            data | {"published": VALUES, "rules": SHIPPED, "complete": data["runs"]}
        )
        assert min(text.get_fontsize() for text in figure.findobj(plt.Text) if text.get_text()) >= 8, name
        plt.close(figure)


def test_alignments_close_to_1_can_be_told_apart():
    assert style.spread([0, 0.9, 0.99]) == pytest.approx([0, 1, 2]) and style.unspread(3) == pytest.approx(0.999)


def test_learning_rates_are_drawn_for_every_run():
    data = synthetic.frames(collapsed=("inorm", 0))
    points, texts = draw("learning_rates", data)
    assert len(points) == len(data["runs"]) and "1 ▾" in texts and "learning rate lr" in texts


def test_an_unknown_figure_and_missing_tables_are_one_line(tmp_path, capsys):
    where = ("--tables", str(tmp_path), "--published", str(PUBLISHED), "--rules", str(RULES))
    assert main(["figure", "fig9", *where, "--out", str(tmp_path)]) == 1
    assert "no figure is called fig9" in capsys.readouterr().err
    assert main(["figure", "fig2", *where, "--out", str(tmp_path)]) == 1
    assert "runs.parquet is missing" in capsys.readouterr().err


@pytest.mark.parametrize(
    "name", ["foo_fig1", "luminosity_fig1", "contrast_published_fig2", "contrast_run_by_run", "robustness_luck", "fig"]
)
def test_a_name_that_no_figure_has_is_refused(name, tmp_path, capsys):
    where = ("--tables", str(tmp_path), "--published", str(PUBLISHED), "--rules", str(RULES), "--out", str(tmp_path))
    assert main(["figure", name, *where]) == 1
    assert f"no figure is called {name}" in capsys.readouterr().err and not list(tmp_path.iterdir())


def test_a_task_may_have_an_underscore_in_its_name(monkeypatch):
    monkeypatch.setitem(figures.TASKS, "low_contrast", figures.TASKS["contrast"])
    assert {"low_contrast_fig1", "low_contrast_lambda_sweep"} <= set(figures.names(["luminosity", "low_contrast"]))
    assert figures.task_and_module("low_contrast_fig1") == ("low_contrast", "fig1")
    assert figures.task_and_module("low_contrast_lambda_sweep") == ("low_contrast", "lambda_sweep")
    assert figures.category("low_contrast_fig1") == "Extension: low_contrast"


def test_samples_are_drawn_at_both_ends_of_epsilon():
    points, texts = draw("fig1", synthetic.frames(epsilons=(0.0, 0.25, 0.75)))
    assert sorted(points["epsilon"].unique()) == [0, 0.75] and len(points) == 20
    assert "ε = 0" in texts and "ε = 0.75" in texts


@pytest.mark.parametrize(
    ("name", "x", "y"),
    [("fig2", "ei_ln", "ei_none"), ("fig4", "e_only_ln", "inorm"), ("fig5", "e_only_ln", "gradnorm_full")],
)
def test_scatters_pair_equal_configurations(name, x, y):
    data = synthetic.frames()
    points, texts = draw(name, data)
    pairs = points[points["panel"] == "a"].dropna(subset="x")
    runs = data["runs"].set_index(["condition", "epsilon", "config"])["test_acc"]
    assert len(pairs) == 8 and "8 pairs" in texts
    for pair in pairs.itertuples():
        assert pair.x == runs[x, pair.epsilon, pair.config] and pair.y == runs[y, pair.epsilon, pair.config]


def test_collapsed_runs_are_drawn_and_counted():
    points, texts = draw("fig4", synthetic.frames())
    assert (points["y"] == 10).sum() == 2
    assert "2 of 8 on the edge, 2 collapsed (10 %)" in texts
    assert "gradient (n = 3, 1 without value)" in texts


def test_fig2_and_fig3_are_drawn_by_both_rules():
    data = synthetic.frames(configs=TOP + 5, collapsed=("ei_none", 3))
    for name, pooled in (("fig2", {"ei_ln", "e_only_ln"}), ("fig3", {"ei_none", "inorm_sub", "inorm"})):
        points, texts = draw(name, data)
        assert "published rule: top 10 per ε by test accuracy" in texts and "all runs" in texts
        boxes = points[points["rule"].notna() & points["condition"].isin(pooled)]
        counts = boxes.groupby(["rule", "condition", "panel"]).size().unstack("rule")
        assert (counts["all runs"] == 2 * (TOP + 5)).all()
        assert (counts.drop(columns="all runs") == 2 * TOP).all().all()


def test_the_published_rule_takes_the_best_runs_by_test_accuracy():
    data = synthetic.frames(configs=TOP + 5)
    points, _ = draw("fig2", data)
    ours = points[points["rule"].str.startswith("published", na=False) & (points["condition"] == "ei_ln")]
    for epsilon, group in data["runs"][data["runs"]["condition"] == "ei_ln"].groupby("epsilon"):
        best = group["test_acc"].nlargest(TOP)
        assert sorted(ours[ours["epsilon"] == epsilon]["value"]) == sorted(best)


def test_fig2_says_when_there_are_fewer_runs_than_the_rule_takes():
    _, texts = draw("fig2", synthetic.frames(configs=4))
    assert "(of only 4)" in texts


def test_fig3_shows_the_mean_of_both_layers():
    data = synthetic.frames()
    points, _ = draw("fig3", data)
    chosen = points[(points["panel"] == "var") & (points["rule"] == "all runs") & (points["condition"] == "inorm_sub")]
    runs = data["runs"][data["runs"]["condition"] == "inorm_sub"]
    np.testing.assert_allclose(sorted(chosen["value"]), sorted((runs["var0"] + runs["var1"]) / 2))


@pytest.mark.parametrize(("name", "condition"), [("fig6", "gradnorm_scale"), ("fig7", "lateral_inhibition")])
def test_tests_against_ln_count_every_run(name, condition):
    from scipy.stats import mannwhitneyu

    data = synthetic.frames(configs=12, collapsed=(condition, 0))
    points, texts = draw(name, data)
    assert "Mann-Whitney" in texts and "1 ▾" in texts and "n = 12" in texts
    runs = data["runs"][data["runs"]["epsilon"] == 0.75].set_index("condition")["test_acc"]
    ours = points[(points["condition"] == condition) & (points["epsilon"] == 0.75) & points["p"].notna()]
    assert len(ours) == 12 and (ours["value"] == 10).sum() == 1
    expected = mannwhitneyu(runs[condition], runs["e_only_ln"])
    assert ours["p"].unique() == pytest.approx([expected.pvalue]) and ours["U"].unique() == [expected.statistic]
    table = comparisons.compare_all(SHIPPED, data["runs"], VALUES)
    chosen = (table["x"] == condition) & (table["y"] == "e_only_ln") & (table["epsilon"] == "0.75")
    same = table[chosen & (table["selection"] == "all")]["p_holm"]
    assert ours["p_holm"].unique() == same.unique() and (ours["p_holm"] > ours["p"]).all(), "corrected, as in the file"


def test_stars_are_those_of_the_corrected_p():
    """p is below 0.05 for one condition before the correction of all tests, and for none after it."""
    data = synthetic.frames(configs=12, collapsed=None)
    runs = data["runs"]
    fewer = (runs["condition"] == "gradnorm_full") & (runs["epsilon"] == 0.75)
    level = 80 + 0.25 * runs["config"]
    data["runs"] = runs.assign(test_acc=level.where(~fewer, level + 1.1))
    points, texts = draw("fig6", data)
    ours = points[points["p"].notna() & (points["condition"] == "gradnorm_full") & (points["epsilon"] == 0.75)]
    assert ours["p"].iloc[0] < 0.05 < ours["p_holm"].iloc[0]
    assert " * " not in f" {texts.split('Mann-Whitney')[0]} "


def test_learning_curves_count_collapsed_runs():
    points, texts = draw("learning_curves", synthetic.frames())
    assert "2 of 8 runs collapsed (10 %)" in texts
    assert len(points) == len(synthetic.frames()["epochs"])


def test_moments_are_medians_over_runs():
    data = synthetic.frames(["ei_ln", "inorm"])
    points, texts = draw("moments_alignment", data)
    cell = "condition == 'ei_ln' and epsilon == 0.75 and epoch == 2"
    rows = points.query(cell).set_index("metric")
    runs = data["epochs"].query(cell)
    for metric in ("mu0", "mu1", "var0", "var1"):
        assert rows.loc[metric, "value"] == pytest.approx(np.median(runs[metric])) and rows.loc[metric, "n"] == 4
    aligned = np.median(layer_mean(runs, "output_alignment"))
    assert rows.loc["output_alignment", "value"] == pytest.approx(aligned)
    assert "2 runs have no values" in texts


def test_no_run_without_values_is_not_said():
    _, texts = draw("moments_alignment", synthetic.frames(["inorm"], collapsed=None))
    assert "epoch (medians)" in texts and "no values" not in texts


LAYER_NORMALIZED = ("ei_ln", "e_only_ln", "ei_ln_detached", "e_only_ln_detached")


def test_gradients_of_conditions_with_ln_are_not_defined_and_their_activity_is_before_it():
    """They are measured as if there were no LN: in LN+, 0 whatever it learns."""
    data = synthetic.frames([*LAYER_NORMALIZED, "ei_none", "inorm", "inorm_sub"], collapsed=None)
    data["epochs"].loc[data["epochs"]["condition"] == "inorm_sub", ["output_alignment0", "output_alignment1"]] = np.nan
    figure, points = import_module("einorm.figures.moments_alignment").draw(data)
    rows = points.groupby(["condition", "metric"])
    for condition in LAYER_NORMALIZED:
        gradients, outputs = (rows.get_group((condition, f"{of}_alignment")) for of in ("gradient", "output"))
        assert gradients["value"].isna().all() and not gradients["n"].any(), condition
        assert set(gradients["measured"]) == {"not defined"} and set(outputs["measured"]) == {"before LN"}
        assert outputs["value"].notna().all(), condition
    for condition in ("ei_none", "inorm"):
        assert rows.get_group((condition, "gradient_alignment"))["value"].notna().all()
    names = [ax.get_ylabel() for ax in figure.axes if ax.get_ylabel()]
    assert sum("(before LN)" in name for name in names) == len(LAYER_NORMALIZED)
    texts = [text.get_text() for ax in figure.axes for text in ax.texts]
    assert texts == ["not\ndefined"] * (len(LAYER_NORMALIZED) + 1), "inorm_sub has no output alignment here"
    plt.close(figure)


def visible(ax):
    """Whether an axes shows a curve: marks, or a line of at least two points."""
    for line in ax.lines:
        shown = np.isfinite(np.asarray(line.get_ydata(), float)).sum()
        marked, joined = line.get_marker() not in ("", "None", None), line.get_linestyle() not in ("", "None")
        if not line.get_label().startswith("_") and ((shown > 1 and joined) or (shown and marked)):
            return True
    return False


@pytest.mark.parametrize("epochs", [1, 2, 50])
@pytest.mark.parametrize("name", ["learning_curves", "moments_alignment"])
def test_curves_of_one_epoch_are_seen_and_their_ticks_are_epochs(name, epochs):
    data = synthetic.frames(["e_only_ln", "inorm"], epochs=epochs, configs=1, collapsed=None)
    figure, _ = import_module(f"einorm.figures.{name}").draw(data)
    figure.canvas.draw()
    panels = [ax for ax in figure.axes if ax.axison and "not\ndefined" not in [text.get_text() for text in ax.texts]]
    assert len(panels) == (2 if name == "learning_curves" else 11) and all(map(visible, panels))
    low, high = panels[0].get_xlim()
    ticks = [tick for tick in panels[0].get_xticks() if low <= tick <= high]
    assert len(ticks) >= min(epochs, 2) and all(tick == round(tick) for tick in ticks)
    plt.close(figure)


def test_no_label_of_one_row_of_curves_is_cut():
    figure, _ = import_module("einorm.figures.learning_curves").draw(synthetic.frames(["e_only_ln", "inorm"]))
    figure.canvas.draw()
    for text in figure.texts:
        box = text.get_window_extent()
        assert box.y0 >= 0 and box.y1 <= figure.bbox.height and box.x0 >= 0 and box.x1 <= figure.bbox.width
    plt.close(figure)


def test_lambda_sweep_puts_inorm_at_its_place():
    data = synthetic.frames(conditions=["inorm", "inorm_lambda"], epsilons=(0.75,), collapsed=("inorm_lambda", 1))
    points, texts = draw("lambda_sweep", data)
    assert sorted(points["lambda_"].unique()) == [1e-5, 1e-4, 1e-3, 0.01, 0.1, 1]
    assert len(points) == 2 * 24 and "5 of 24 runs without value" in texts and "5 of 24 runs collapsed" in texts


def test_the_table_of_figures_says_what_the_released_runs_do_not_show():
    runs = tables.read(REPLICATION, "runs")
    assert "inorm_lambda" not in set(runs["condition"]), "then lambda_sweep is not empty: say so on the page"
    (row,) = [line for line in (REPOSITORY / "docs/results.md").read_text().splitlines() if "`lambda_sweep`" in line]
    assert "the preset `paper`" in row and "empty" in row


def test_limits_hold_every_finished_run_that_is_not_far_off():
    runs = pd.DataFrame({"test_acc": [80.0, 85, 86, 10], "status": ["finished"] * 3 + ["collapsed"]})
    low, high = accuracy_limits(runs)
    assert 75 < low < 80 and 86 < high < 90


SIDE_BY_SIDE = [f"published_fig{i}" for i in range(2, 8)]


def test_every_panel_with_published_values_stands_beside_ours():
    assert set(SIDE_BY_SIDE) <= set(FIGURES)
    drawn = {name: draw(name, synthetic.frames(epsilons=(0.0, 0.25, 0.5, 0.75)))[0] for name in SIDE_BY_SIDE}
    for name, points in drawn.items():
        panels = VALUES["summary"].query("figure == @name.removeprefix('published_').capitalize()")["panel"]
        assert set(panels) == set(points["panel"]), name
        for _, part in points.groupby("panel"):
            assert {"published", "here", "distance"} == set(part["source"])


def test_published_points_are_drawn_as_they_were_published():
    points = draw("published_fig2", synthetic.frames(epsilons=(0.0, 0.75)))[0]
    theirs = points.query("source == 'published' and panel == 'a_scatter'")
    runs = VALUES["runs"].query("panel == 'a_scatter' and kind == 'scatter_y'")
    assert len(theirs) == 120 and sorted(theirs["value"]) == sorted(runs["value"])


def test_the_distance_of_equal_distributions_is_nought_and_of_shifted_ones_the_shift():
    data = synthetic.frames(conditions=["e_only_ln", "gradnorm_full"], epsilons=(0.75,), configs=30)
    for condition in ("e_only_ln", "gradnorm_full"):
        theirs = np.sort(published.complete_runs(VALUES, condition, 0.75))
        data["runs"].loc[data["runs"]["condition"] == condition, "test_acc"] = theirs + 2 * (condition == "e_only_ln")
    points = draw("published_fig5", data)[0].query("kind == 'Wasserstein' and panel == 'scatter'")
    distances = points.set_index("condition")["distance"]
    assert distances["gradnorm_full"] == pytest.approx(0, abs=1e-12) and distances["e_only_ln"] == pytest.approx(2)


@pytest.mark.parametrize(("p", "text"), [(0.0009, "***"), (0.009, "**"), (0.04, "*"), (0.06, "n.s."), (np.nan, "")])
def test_stars_have_the_limits_that_the_figure_says(p, text):
    assert import_module("einorm.figures.fig6").stars(p) == text


def test_the_red_line_is_the_median_of_ln_and_alignments_are_those_of_the_largest_epsilon():
    data = synthetic.frames()
    runs = data["runs"] = data["runs"].copy()
    runs.loc[(runs["condition"] == "e_only_ln") & (runs["epsilon"] == 0.75), "test_acc"] = [60.0, 80.0, 81.0, 82.0]
    figure, _ = drawn("fig6", data)
    lines = [line.get_ydata()[0] for ax in figure.axes for line in ax.lines if line.get_color() == style.REFERENCE]
    assert lines[-1] == 80.5, "not the mean"
    figure, points = drawn("fig4", data)
    assert figure.axes[1].get_title() == "ε = 0.75" and set(points.query("panel == 'b'")["epsilon"]) == {0.75}
    plt.close("all")


def test_the_distance_of_boxes_is_the_mean_over_their_quartiles():
    points, _ = draw("published_fig6", synthetic.frames())
    keys = ["source", "condition", "epsilon", "kind"]
    boxes = points[points["kind"].isin(["q1", "median", "q3"])].set_index(keys)["value"]
    said = points[points["kind"] == "quartiles"].set_index(["condition", "epsilon"])["distance"]
    assert len(said) == 8
    for condition, epsilon in said.index:
        apart = (boxes["here", condition, epsilon] - boxes["published", condition, epsilon]).abs()
        assert said[condition, epsilon] == pytest.approx(apart.mean())
