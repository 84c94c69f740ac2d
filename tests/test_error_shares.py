"""Shares of error signals in tables: medians, the figure, and the preset that trains the runs."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import synthetic
from conftest import REPOSITORY
from einorm import config, figures
from einorm.analysis.error_shares import MEANING, medians
from einorm.figures import error_signals
from einorm.records import tables
from einorm.variants import DALE

CONDITIONS = ["inorm", "gradnorm_center", "e_only_ln"]


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


def test_older_tables_are_read_with_empty_shares():
    """Those of the archives, written before there were shares."""
    rows = tables.read(REPOSITORY / "paper_artifact/archive/robustness_order/epochs.parquet", "epochs")
    assert rows[[f"{share}{layer}" for share in tables.SHARES for layer in (0, 1)]].isna().all(axis=None)
    assert list(rows) == tables.EPOCHS.names and rows["local_loss0"].notna().any()
