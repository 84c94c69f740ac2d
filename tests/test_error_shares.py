"""Shares of error signals in tables: medians, the figure, and the preset that trains the runs."""

import warnings

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import synthetic
from conftest import REPOSITORY, run_documented, train_part
from einorm import config, figures
from einorm.analysis.error_shares import MEANING, PREDICTIONS, comparisons, medians, predictions
from einorm.figures import error_signals
from einorm.records import tables
from einorm.variants import DALE

CONDITIONS = ["inorm", "gradnorm_center", "e_only_ln"]
PAPER, WITHOUT = DALE


def both_ways(**options):
    """Invented rows of table "epochs", with Dale's principle and without it."""
    rows = synthetic.frames(CONDITIONS, **options)["epochs"]
    return pd.concat([rows, rows.assign(variant="no_dale")])


def test_medians_are_taken_per_way_to_train_condition_epsilon_epoch_layer_and_share():
    rows = both_ways(configs=3, epochs=2, collapsed=None)
    found = medians(rows)
    assert len(found) == 2 * 3 * 2 * 2 * 2 * len(tables.SHARES)
    chosen = (rows["variant"] == "no_dale") & (rows["condition"] == "inorm") & (rows["epsilon"] == 0.75)
    values = rows[chosen & (rows["epoch"] == 2)]["h_common1"]
    where = "variant == 'no_dale' and condition == 'inorm' and epsilon == 0.75 and epoch == 2 and layer == 1"
    (row,) = found.query(f"{where} and share == 'h_common'").to_dict("records")
    assert row["value"] == sorted(values)[1] and row["n"] == 3
    assert list(found["condition"].unique()) == ["e_only_ln", "inorm", "gradnorm_center"], "as in conditions.py"


def test_runs_without_shares_count_nowhere():
    """Those that collapsed, and those of before the shares were measured."""
    rows = both_ways(configs=3, epochs=2, collapsed=("inorm", 1))
    found = medians(rows)
    assert set(found[found["condition"] == "inorm"]["n"]) == {2} and set(found["n"]) == {2, 3}
    older = rows.assign(**{f"{share}{layer}": np.nan for share in tables.SHARES for layer in (0, 1)})
    assert medians(older).empty


def text_of(figure):
    figure.canvas.draw()
    texts = [text.get_text() for text in figure.findobj(plt.Text)]
    plt.close(figure)
    return " ".join(" ".join(texts).split())


def test_the_figure_has_a_panel_per_layer_epsilon_and_share():
    rows = both_ways(collapsed=None)
    figure, points = error_signals.draw({"epochs": rows})
    axes = figure.axes
    assert len(axes) == 2 * 2 * len(MEANING)
    (inorm,) = [line for line in axes[4].lines if len(line.get_xdata()) == 3 and line.get_color() == "#009E73"]
    where = "variant == 'paper' and condition == 'inorm' and epsilon == 0.75 and layer == 0 and share == 'g_common'"
    assert inorm.get_ydata().tolist() == points.query(where)["value"].tolist()
    assert set(points["share"]) == set(MEANING) and points["n"].min() == 4
    text = text_of(figure)
    assert "without Dale's principle" in text and "layer 1 ε = 0.75" in text


def test_a_figure_of_a_part_of_the_runs_has_room_for_its_panels(tmp_path):
    """One epsilon, and a condition without runs of one of the two ways."""
    rows = both_ways(collapsed=None)
    part = (rows["epsilon"] == 0.75) & ~((rows["condition"] == "inorm") & (rows["variant"] == WITHOUT))
    figure, _ = error_signals.draw({"epochs": rows[part]})
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # of a layout that was given up
        figure.savefig(tmp_path / "part.png")
    plt.close(figure)


def test_runs_of_before_the_shares_were_measured_are_no_empty_axes():
    rows = both_ways().assign(**{f"{share}{layer}": np.nan for share in tables.SHARES for layer in (0, 1)})
    figure, points = error_signals.draw({"epochs": rows})
    assert "not computed" in text_of(figure) and points.empty


def test_the_figure_is_drawn_where_there_are_runs_with_and_without_dales_principle():
    assert figures.ERROR_SIGNALS in figures.names(["luminosity"], DALE)
    for variants in (["paper"], ["no_dale"], ["paper", "shuffled"]):
        assert figures.ERROR_SIGNALS not in figures.names(["luminosity"], variants)


def test_a_preset_trains_them_with_the_published_random_numbers():
    settings = config.load(REPOSITORY / "config.yaml", "error_signals")
    assert tuple(settings.variants) == DALE and settings.randomness == "release" and settings.epochs == 50
    assert settings.configs == [0, 1, 2, 3] and settings.epsilons == [0, 0.75] and len(settings.conditions) == 6


def test_older_tables_are_read_with_empty_shares(tmp_path):
    """A table of before there were shares: it lacks their columns."""
    shares, path = [f"{share}{layer}" for share in tables.SHARES for layer in (0, 1)], tmp_path / "epochs.parquet"
    today = pq.read_table(REPOSITORY / "paper_artifact/archive/robustness_order/epochs.parquet")
    pq.write_table(today.drop_columns(shares), path)
    rows = tables.read(path, "epochs")
    assert rows[shares].isna().all(axis=None)
    assert list(rows) == tables.EPOCHS.names and rows["local_loss0"].notna().any()


def runs_as_predicted():
    """Invented runs of which all predictions are true; in centering a common share of 0.02, elsewhere 0.4 to 0.5."""
    conditions = ["inorm", "gradnorm_center", "gradnorm_scale", "gradnorm_decorrelate"]
    runs = synthetic.frames(conditions, configs=3, collapsed=None)["runs"]
    runs = pd.concat([runs, runs.assign(variant=WITHOUT)], ignore_index=True)
    centered, far = runs["condition"] == "gradnorm_center", runs["epsilon"] == 0.75
    for share in tables.SHARES:
        for layer in (0, 1):
            common = np.where(centered, 0.02, 0.4 + 0.1 * far - 0.1 * layer)
            runs[f"{share}{layer}"] = common if share.endswith("common") else 0.05
    return runs.assign(test_acc=np.where(centered, 86.0, 80.0))


def test_predictions_are_judged_by_their_rules():
    found = predictions(runs_as_predicted()).set_index("id")
    assert [*found.index] == [*PREDICTIONS] and set(found["outcome"]) == {"met"}
    assert found["numbers"]["S1"] == [(0.4, 0.3), (0.5, 0.3)] and found["numbers"]["S10"] == [(6, 3)]
    assert found["numbers"]["S7"] == [pytest.approx((0.5, 0.4)), pytest.approx((0.4, 0.3))]
    words = (REPOSITORY / "paper_artifact" / "predictions_error_signals.md").read_text()
    assert all(f"| {name} |" in words for name in PREDICTIONS)


@pytest.mark.parametrize(
    ("name", "condition", "variant", "column", "value"),
    [
        ("S1", "inorm", PAPER, "g_common0", 0.29),
        ("S2", "gradnorm_center", PAPER, "g_common0", 0.26),
        ("S3", "gradnorm_scale", PAPER, "h_common0", 0.2),
        ("S4", "gradnorm_decorrelate", PAPER, "h_common0", 0.1),
        ("S5", "inorm", PAPER, "h_along0", 0.26),
        ("S6", "gradnorm_center", PAPER, "update_common0", 0.11),
        ("S7", "inorm", PAPER, "g_common1", 0.2),
        ("S8", "inorm", PAPER, "g_common1", 0.51),
        ("S9", "inorm", WITHOUT, "g_common0", 0.19),
        ("S10", "inorm", WITHOUT, "test_acc", 83.5),
    ],
)
def test_a_prediction_that_fails_is_not_met_and_one_without_runs_is_not_computed(
    name, condition, variant, column, value
):
    runs = runs_as_predicted()
    chosen = (runs["condition"] == condition) & (runs["variant"] == variant)
    changed = runs.assign(**{column: runs[column].mask(chosen, value)})
    assert predictions(changed).set_index("id")["outcome"][name] == "not met"
    assert predictions(runs[~chosen]).set_index("id")["outcome"][name] == "not computed"
    assert set(comparisons(runs[~chosen])) == set(PREDICTIONS)


def test_a_prediction_that_fails_at_one_epsilon_is_not_met_whatever_the_other_brings():
    runs = runs_as_predicted().query("epsilon == 0.75")
    assert predictions(runs).set_index("id")["outcome"]["S1"] == "not computed"
    assert predictions(runs.assign(g_common0=0.1)).set_index("id")["outcome"]["S1"] == "not met"


@pytest.mark.long
def test_the_documented_commands_go_from_training_to_the_figure(tmp_path):
    """In a copy whose preset is small: a part of it is trained both ways, archived, and drawn from the archive."""
    folder = train_part(tmp_path, "error_signals", "conditions=[inorm]", "epsilons=[0.75]", "configs=[0]")
    run_documented("docs/error_signals.md", "python -m einorm archive preset=error_signals", folder)
    run_documented(
        "docs/error_signals.md",
        "snakemake error_signals --cores 1 --config preset=error_signals results=archive",
        folder,
    )
    points = pd.read_csv(folder / "figures" / "error_signals.csv")
    assert set(points["variant"]) == set(DALE) and set(points["condition"]) == {"inorm"} and set(points["n"]) == {1}
