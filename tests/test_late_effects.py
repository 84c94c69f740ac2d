"""Effects of the last epoch against those of the last ten: luck of one epoch is told from an effect that lasts."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from conftest import REPOSITORY
from einorm.__main__ import main
from einorm.analysis import claims, late_effects, published, statements
from einorm.analysis.run_by_run import OWN, RELEASE
from einorm.figures.effects_by_epoch import SHOWN, draw
from einorm.records.archive import read_runs_and_settings

ARTIFACT = REPOSITORY / "paper_artifact"
ARCHIVE, RULES, PUBLISHED = ARTIFACT / "archive" / "replication", ARTIFACT / "claims.yaml", ARTIFACT / "published"
LUCK = 0.5  # points


def test_luck_of_the_last_epoch_is_told_from_an_effect_that_lasts():
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 0.01, (30, 30))
    lucky, lasting = pd.DataFrame(noise, columns=range(21, 51)), pd.DataFrame(noise - LUCK, columns=range(21, 51))
    lucky[50] += LUCK
    lucky, lasting = late_effects.late(lucky), late_effects.late(lasting)
    assert lucky["low"] > 0.9 * LUCK and lucky["late_high"] < 0.2 * LUCK
    assert lucky["spread"] == pytest.approx(LUCK / np.sqrt(10), rel=0.05), "one value of ten differs by LUCK"
    assert lasting["high"] < 0 and lasting["late_high"] < 0 and lasting["spread"] < 0.01


def test_a_run_that_collapsed_stays_at_chance_and_a_short_training_has_its_epochs():
    runs = pd.DataFrame({"condition": "a", "epsilon": 0.75, "config": [0, 1], "seed": 0, "test_acc": [80.0, 10.0]})
    runs["epochs"] = 3
    epochs = runs.loc[[0, 0, 0, 1]].assign(epoch=[1, 2, 3, 1], test_acc=[70.0, 75.0, 80.0, 60.0])
    found = late_effects.accuracies(runs, epochs, "a", 0.75)
    assert found.to_numpy().tolist() == [[70, 75, 80], [60, 10, 10]] and list(found) == [1, 2, 3]


def test_the_effect_of_the_last_epoch_is_that_of_the_claims():
    rules, values = statements.load_rules(RULES), published.load(PUBLISHED)
    runs, settings = read_runs_and_settings(ARCHIVE)
    judged = claims.evaluate(rules, runs, settings, values).query("selection == 'all'").set_index("id")
    found = pd.DataFrame(late_effects.of_folder(ARCHIVE, rules, values)["late_effects"]).set_index("id")
    assert len(found) > 20
    for name in (*late_effects.EFFECT, *(f"published_{name}" for name in late_effects.EFFECT)):
        assert found[name].round(9).equals(judged.loc[found.index, name].round(9)), name


def test_equal_conditions_are_asked_once_and_the_sweep_not_at_all():
    asked = late_effects.distinct(statements.load_rules(RULES).statements)
    pairs = [(s.x, s.y, s.epsilon) for s in asked]
    assert len(pairs) == len(set(pairs)) and {"C5.1", "C6.8"} <= {s.id for s in asked}
    assert {s.epsilon for s in asked} == {0, 0.75} and not {"C5.6", "C4.5", "C2.1"} & {s.id for s in asked}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    out = tmp_path_factory.mktemp("late")
    where = ["--own", ARCHIVE, "--release=", "--rules", RULES, "--published", PUBLISHED, "--out", out]
    assert main(["late_effects", *map(str, where)]) == 0
    return out


def test_the_command_writes_both_files(made):
    late, effects = (pd.read_csv(made / f"{name}.csv") for name in ("late_effects", "effects_by_epoch"))
    assert set(late["randomness"]) == set(effects["randomness"]) == {OWN}
    assert set(effects["epoch"]) == set(range(21, 51)) and len(effects) == 30 * len(late)
    last = effects[effects["epoch"] == 50].set_index("id")["effect"]
    assert last.to_dict() == late.set_index("id")["effect"].to_dict()


def shown(tables):
    figure, points = draw(tables)
    figure.canvas.draw()
    texts = " ".join(text.get_text() for text in figure.findobj(plt.Text))
    lines = [line for ax in figure.axes for line in ax.lines if len(line.get_xdata()) == 30]
    plt.close(figure)
    return points, " ".join(texts.split()), lines


def test_the_figure_has_a_line_per_series_and_the_published_effect(made):
    late, effects = (pd.read_csv(made / f"{name}.csv") for name in ("late_effects", "effects_by_epoch"))
    both = {"effects": pd.concat([effects, effects.assign(randomness=RELEASE)]), "late": late}
    points, texts, lines = shown({"effects_by_epoch": both})
    assert len(lines) == 2 * len(SHOWN) and set(points["id"]) == set(SHOWN)
    assert set(points["series"]) == {RELEASE, OWN} and points["panel"].nunique() == len(SHOWN)
    assert "our own random numbers" in texts and "published" in texts and "ε = 0.75" in texts
    drawn = sorted(line.get_ydata()[-1] for line in lines)
    assert drawn == sorted(2 * list(effects[(effects["epoch"] == 50) & effects["id"].isin(SHOWN)]["effect"]))
    points, texts, lines = shown({})
    assert "not computed" in texts and points.empty and not lines


def test_a_file_that_is_not_there_is_one_line(tmp_path, capsys):
    where = ["--tables", ARCHIVE, "--published", PUBLISHED, "--rules", RULES, "--compared", tmp_path, "--out", tmp_path]
    assert main(["figure", "effects_by_epoch", *map(str, where)]) == 1
    assert "effects_by_epoch.csv is missing: make it with snakemake late_effects" in capsys.readouterr().err


def test_the_sentences_of_the_page_hold_in_the_archives():
    rules, values = statements.load_rules(RULES), published.load(PUBLISHED)
    late, effects = {}, {}
    for name in ("paper", "replication"):
        found = late_effects.of_folder(ARTIFACT / "archive" / name, rules, values)
        late[name] = pd.DataFrame(found["late_effects"]).set_index("id")
        effects[name] = pd.DataFrame(found["effects_by_epoch"]).set_index("id")["effect"]
        assert len(effects[name]["C6.8"]) == late_effects.SHOWN and (effects[name]["C6.8"] < 0).all()
        assert late[name].loc["C6.1", "late_high"] < 0, "centering stays behind LN+"
    lead = late["paper"].loc["C5.1"]
    assert lead["low"] > 0 and lead["late_low"] < 0 < lead["late_high"], "GradNorm's lead is that of one epoch"
    by_epoch = effects["paper"]["C5.1"]
    assert by_epoch.iloc[-1] == by_epoch.max()
