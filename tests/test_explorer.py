"""The explorer: its data and looks, and the page in a real browser, from the disk, with mouse and keyboard."""

import re
import subprocess
import sys
from itertools import pairwise

import einorm
import pytest
from conftest import REPOSITORY
from einorm.__main__ import main
from einorm.artifact import explorer
from einorm.conditions import CONDITIONS
from einorm.records.archive import SHOWN
from test_report import GROUND, contrast

ARCHIVES = REPOSITORY / "paper_artifact" / "archive"
PANELS = ("accuracy", "curves", "alignment")


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    out = tmp_path_factory.mktemp("explorer") / "explore.html"
    assert main(["explore", "--tables", str(ARCHIVES / SHOWN), "--out", str(out)]) == 0
    return out


@pytest.fixture(scope="module")
def runs():
    """The runs that are shown at first."""
    runs = einorm.load(ARCHIVES / SHOWN)["runs"]
    return runs[(runs["epsilon"] == 0.75) & runs["condition"].isin(explorer.FIRST)]


@pytest.fixture
def page(open_page):
    """The page after its panels are drawn; at the end, it must have complained of nothing and asked for nothing."""
    page = open_page()
    wait(page)
    yield page
    assert page.complaints == [] and [url for url in page.requests if not url.startswith("data:")] == [page.url]


def wait(page):
    for panel in PANELS:
        page.locator(f"#{panel} svg").wait_for()


def marks(page, panel="accuracy"):
    """Place on the screen (x, y) and opacity of every mark of a panel, which is scrolled to."""
    page.locator(f"#{panel}").scroll_into_view_if_needed()
    return page.locator(f"#{panel} .mark-symbol path").evaluate_all(
        "es => es.map(e => { const at = e.getScreenCTM(); return [at.e, at.f, +(e.getAttribute('opacity') ?? 1)]; })"
    )


def lines(page):
    """Opacity of every run's learning curve; the medians are the thick ones."""
    of = "es => es.filter(e => e.getAttribute('stroke-width') < 3).map(e => +(e.getAttribute('opacity') ?? 1))"
    return page.locator("#curves .mark-line path").evaluate_all(of)


def cells(page, number):
    return page.locator(f"#rows tbody tr > :nth-child({number})").all_inner_texts()


def chosen(page):
    return page.locator("#configs").evaluate("e => [...e.selectedOptions].map(o => +o.value)")


def told(page, text):
    page.wait_for_function("text => document.getElementById('told').textContent === text", arg=text)


# What is in the page, without a browser.


def test_conditions_of_one_colour_never_share_a_marker_or_dashes():
    looks = explorer.look_of(list(CONDITIONS)).values()
    for kind in ("shape", "dash"):
        assert len({(look["colour"], str(look[kind])) for look in looks}) == len(CONDITIONS)


def test_curves_are_thinned_from_their_end_when_they_would_be_too_long():
    assert explorer.kept_epochs([*range(1, 51)], 3000) == [*range(1, 51)]
    kept = explorer.kept_epochs([*range(1, 51)], 12_000)
    assert kept[-1] == 50 and {b - a for a, b in pairwise(kept)} == {3}
    assert len(kept) * 12_000 <= explorer.CURVE_VALUES


def test_values_are_those_of_the_tables_rounded_and_none_where_not_defined():
    frames = einorm.load(ARCHIVES / "quick")
    runs = frames["runs"].assign(kind=explorer.kinds_of(frames["runs"]))
    held, made = explorer.columns(runs), explorer.curves(runs, frames["epochs"])
    assert held["lr"] == pytest.approx(runs["lr"], rel=5e-4) and held["test_acc"] == pytest.approx(runs["test_acc"])
    for name, blank in (("output_alignment", []), ("gradient_alignment", ["ei_ln", "e_only_ln"])):
        empty = runs[name].isna() | runs["condition"].isin(blank)
        assert [value is None for value in held[name]] == empty.tolist() and 0 < empty.sum() < len(runs)
        assert [{*curve} == {None} for curve in made["curves"][name]] == empty.tolist()
    last = [curve[-1] for curve in made["curves"]["test_acc"]]
    assert last == pytest.approx(runs["test_acc"], abs=0.051) and made["epochs"][-1] == 20


def test_every_weight_of_a_sweep_is_a_kind_of_its_own():
    runs = einorm.load(ARCHIVES / "quick")["runs"]
    chosen = runs[runs["condition"] == "inorm"].head(4)
    swept = chosen.assign(condition="inorm_lambda", lambda_=[1e-4, 1e-4, 0.1, 1e-5])
    swept["kind"] = explorer.kinds_of(swept)
    kinds = explorer.describe_kinds(swept)
    assert [kind["label"].split(" (")[1] for kind in kinds] == ["λ = 1e-05)", "λ = 0.0001)", "λ = 0.1)"]
    assert all(kind["first"] for kind in kinds), "without the paper's three conditions, all are shown at first"


def test_an_archive_of_variants_gives_a_choice_of_them():
    runs = einorm.load(ARCHIVES / "robustness_seed")["runs"]
    assert explorer.choices(runs["variant"])["first"] == "paper"
    assert [name for name, _ in explorer.choices(runs["variant"])["options"]] == ["paper", "seed1", "seed2", "seed3"]
    assert explorer.choices(runs["epsilon"]) == {"options": [(0.75, "0.75")], "first": 0.75}


def test_equal_tables_give_equal_bytes(tmp_path, monkeypatch):
    monkeypatch.setattr(explorer, "libraries", lambda: "")
    for name in "ab":
        explorer.write(ARCHIVES / "quick", tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_missing_tables_are_named_in_one_line(tmp_path, capsys):
    assert main(["explore", "--tables", str(tmp_path), "--out", str(tmp_path / "explore.html")]) == 1
    error = capsys.readouterr().err
    assert "runs.parquet is missing" in error and len(error.splitlines()) == 1
    assert not (tmp_path / "explore.html").exists()


def test_a_missing_page_is_named_with_the_command_that_makes_it():
    command = [sys.executable, "tests/axe.py", "axe.min.js", "absent.html"]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (2, "absent.html: no such page; make view first\n")


def test_it_is_one_small_file(path):
    text = path.read_text(encoding="utf-8")
    assert path.stat().st_size <= 3e6 and "/work/" not in text
    body = re.sub(r"<script.*?</script>", "", text, flags=re.S)
    assert not re.search(r'(src|href)="(?!data:|#|report.html")', body), "no external resource"


# In a browser.


def test_it_first_shows_accuracy_against_learning_rate_of_the_three_main_conditions(page, runs):
    told(page, "90 runs of 30 configurations.")
    assert [len(marks(page)), len(lines(page)), len(marks(page, "alignment"))] == [90, 90, 60]
    assert page.locator("h1").inner_text() == page.title() == "Replication of arXiv:2603.17676: every run"
    medians = runs.groupby("condition")["test_acc"].median()
    for condition in explorer.FIRST:
        text = page.locator(f"#kinds label:has([value={condition}])").inner_text()
        assert f"30 runs, median {medians[condition]:.1f} %" in text
    assert [float(text) for text in cells(page, 3)] == sorted(runs["test_acc"].round(2), reverse=True)
    rates = {round(x, 2) for x, *_ in marks(page)}
    assert len(rates) == runs["lr"].nunique() and "Learning rate" in page.locator("#accuracy").inner_text()


def test_a_brush_in_any_panel_highlights_its_configurations_everywhere(page, runs):
    """Drawn from the left edge to the gap after the third of the learning rates: it must choose the lowest three."""
    rates = sorted({round(x, 2) for x, *_ in marks(page)})
    heights = [y for _, y, _ in marks(page)]
    drag(page, (rates[0] - 4, min(heights) - 6), ((rates[2] + rates[3]) / 2, max(heights) + 6))
    lowest = runs[runs["lr"] <= sorted(runs["lr"].unique())[2]]
    expected = sorted(lowest["config"].unique())
    told(page, f"{len(lowest)} runs of 3 configurations are selected.")
    assert chosen(page) == expected and {int(text) for text in cells(page, 2)} == {*expected}
    for panel, of in (("accuracy", lowest), ("alignment", lowest[lowest["condition"] != "e_only_ln"])):
        assert sum(opacity > 0.5 for *_, opacity in marks(page, panel)) == len(of)
    assert sum(opacity > 0.1 for opacity in lines(page)) == len(lowest)
    assert f"3 runs, median {lowest[lowest['condition'] == 'inorm']['test_acc'].median():.1f} %" in (
        page.locator("#kinds label:has([value=inorm])").inner_text()
    )
    aligned = sorted(marks(page, "alignment"))[:30]
    heights = [y for _, y, _ in aligned]
    drag(page, (aligned[0][0] - 4, min(heights) - 6), (aligned[-1][0] + 8, max(heights) + 6))
    told(page, "90 runs of 30 configurations are selected.")  # the runs of I-Norm, which align less
    assert page.locator("#accuracy .brush_brush path").evaluate("e => e.getBoundingClientRect().width") == 0
    page.locator("#clear").click()
    told(page, "90 runs of 30 configurations.")
    assert chosen(page) == [] and page.locator("#alignment .brush_brush path").evaluate("e => e.getBBox().width") == 0


def drag(page, start, end):
    page.mouse.move(*start)
    page.mouse.down()
    page.mouse.move(*end, steps=4)
    page.mouse.up()


def test_a_gradient_alignment_that_says_nothing_is_not_defined(page):
    """E-I LN and LN+ are measured without their LN: in LN+ the number would be 0 by construction."""
    note = "Not defined: LN+ (E only)."
    assert page.locator("#alignment-note").inner_text() == note
    rows = zip(cells(page, 1), cells(page, 8), cells(page, 9), strict=True)
    assert {name for name, gradient, _ in rows if gradient == "not defined"} == {"LN+ (E only)"}
    assert "not defined" not in cells(page, 9)
    page.locator("#curves-by").select_option("gradient_alignment")
    page.wait_for_function("text => document.getElementById('curves-note').textContent === text", arg=note)
    page.locator("#alignment-by").select_option("output_alignment")
    page.wait_for_function("document.getElementById('alignment-note').textContent === ''")
    wait(page)


def test_a_mouse_over_a_mark_tells_the_runs_hyperparameters(page, runs):
    worst = runs.loc[runs["test_acc"].idxmin()]
    x, y, _ = max(marks(page), key=lambda mark: mark[1])
    page.mouse.move(x, y)
    page.locator("#tip").wait_for(state="visible")
    check_tip(page, worst)
    page.mouse.move(5, 5)
    page.locator("#tip").wait_for(state="hidden")


def check_tip(page, run):
    text = page.locator("#tip").inner_text()
    names = [f"{CONDITIONS[run['condition']].label}, configuration {run['config']}", f"{run['test_acc']:.2f} %"]
    names += [f"{run['hidden_width']} hidden units", "epsilon 0.75"]
    for name in names + [f"{run[rate]:.4g}" for rate in ("lr", "lr_wei", "lr_wix")]:
        assert name in text, (name, text)


def test_a_keyboard_reaches_and_works_every_control(page, runs):
    reached = []
    for _ in range(60):
        page.keyboard.press("Tab")
        e = "(e => e.id || e.value || e.className || e.textContent)(document.activeElement)"
        reached.append(page.evaluate(e))
        if reached[-1] == "Status":
            break
    controls = page.locator("main select, main input, main button, main .plot").evaluate_all(
        "es => es.filter(e => !e.closest('[hidden]')).map(e => e.id || e.value || e.textContent)"
    )
    assert {*controls} <= {*reached} and len(controls) > 25
    page.locator("#kinds input[value=ei_none]").focus()
    page.keyboard.press("Space")
    told(page, "120 runs of 30 configurations.")
    page.keyboard.press("Space")
    page.locator("#accuracy").focus()
    page.keyboard.press("ArrowRight")
    lowest = runs[runs["lr"] == runs["lr"].min()]
    check_tip(page, lowest.iloc[0])  # conditions in the order of the table
    page.keyboard.press("Enter")
    told(page, "3 runs of 1 configurations are selected.")
    assert chosen(page) == [lowest["config"].iloc[0]]
    page.keyboard.press("End")
    check_tip(page, runs[runs["lr"] == runs["lr"].max()].iloc[-1])
    page.keyboard.press("Escape")
    told(page, "90 runs of 30 configurations.")
    page.locator("#configs").focus()
    page.keyboard.press("ArrowDown")
    told(page, "3 runs of 1 configurations are selected.")
    page.locator("#clear").focus()
    page.keyboard.press("Enter")
    told(page, "90 runs of 30 configurations.")
    page.locator("#rows thead button").first.focus()
    page.keyboard.press("Enter")
    names = cells(page, 1)
    assert names == sorted(names, key=str.lower) and len({*names}) == 3
    page.locator("#accuracy-by").focus()
    page.keyboard.press("ArrowDown")
    page.get_by_text("Learning rate of Wei", exact=True).first.wait_for()


def test_epsilon_and_pairs_can_be_chosen(page, runs):
    page.locator("#accuracy-by").select_option("paired ei_ln")
    page.locator("#accuracy").get_by_text("Test accuracy of E-I LN (%)").wait_for()
    other = einorm.load(ARCHIVES / SHOWN)["runs"].query("condition == 'ei_ln' and epsilon == 0.75")
    assert len(marks(page)) == 90 and len({round(x, 2) for x, *_ in marks(page)}) == other["test_acc"].nunique()
    labels = "es => es.map(e => [...e.querySelectorAll('text')].map(t => t.textContent).sort())"
    axes = page.locator("#accuracy .role-axis-label").evaluate_all(labels)
    assert len(axes) == 2 and axes[0] == axes[1], "paired accuracies have equal axes"
    page.locator("#epsilon").select_option("0")
    plain = einorm.load(ARCHIVES / SHOWN)["runs"].query("condition == 'gradnorm_full' and epsilon == 0")
    shown = f"median {plain['test_acc'].median():.1f} %"
    assert shown in page.locator("#kinds label:has([value=gradnorm_full])").inner_text()
    for condition in explorer.FIRST:
        page.locator(f"#kinds input[value={condition}]").uncheck()
    told(page, "0 runs of 0 configurations.")
    assert "No run to draw" in page.locator("#accuracy").inner_text()


@pytest.mark.long
@pytest.mark.parametrize("width", [360, 1280])
def test_it_fits_a_phone_and_a_desk(open_page, width):
    page = open_page(width)
    wait(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    tops = {page.locator(f"#{panel}").bounding_box()["y"] for panel in PANELS}
    assert len(tops) == (3 if width == 360 else 1), "side by side at a desk"
    table = page.locator("#table .scroll").evaluate("e => [e.scrollWidth, e.clientWidth]")
    assert width == 360 or table[0] <= table[1], "no column is cut off at a desk"
    smallest = page.evaluate(
        "Math.min(...[...document.querySelectorAll('p, label, small, td, text')]"
        ".map(e => parseFloat(getComputedStyle(e).fontSize)))"
    )
    assert smallest >= 12
    cut = page.locator("main select").evaluate_all(
        """es => es.filter(e => { const whole = e.cloneNode(true);
        whole.style.cssText = 'display: inline-block; position: absolute; width: max-content; max-width: none';
        e.after(whole); const width = whole.offsetWidth; whole.remove(); return e.offsetWidth < width; })
        .map(e => e.id)"""
    )
    assert cut == [], "no choice is cut by its arrow"


def test_on_a_phone_every_cell_of_the_table_names_its_column(open_page):
    page = open_page(360)
    wait(page)
    headings = page.locator("#rows thead th").evaluate_all("es => es.map(e => e.textContent)")
    rows = page.locator("#rows tbody tr").evaluate_all("es => es.map(e => [...e.cells].map(c => c.dataset.label))")
    assert len(rows) == 90 and all(row == headings for row in rows)
    first = page.locator("#rows tbody tr").first.locator("td")
    labels = first.evaluate_all("es => es.map(e => getComputedStyle(e, '::before').content)")
    assert labels[0] == '"Configuration: "'
    roles = page.locator("#rows, #rows *:not(button)").evaluate_all("es => [...new Set(es.map(e => e.role))].sort()")
    assert roles == ["cell", "columnheader", "row", "rowgroup", "rowheader", "table"]


@pytest.mark.long
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_light_and_dark_are_readable(open_page, scheme):
    page = open_page(color_scheme=scheme)
    wait(page)
    page.locator("#accuracy").focus()
    page.keyboard.press("ArrowRight")
    for selector in ("header p", "a[href='report.html']", "small", "th button", "td.n", ".mute", "#tip div", "footer"):
        text, ground = page.locator(selector).first.evaluate(GROUND)
        assert contrast(text, ground) >= 4.5, (selector, text, ground)
