"""The report in a real browser, from the disk: it loads alone, reads on a phone, sorts, describes its pictures."""

import itertools
import re
import shutil

import pandas as pd
import pytest
from conftest import REPOSITORY
from einorm import config
from einorm.analysis.judging import VERDICTS
from einorm.artifact import report, report_figures, wording
from einorm.records import costs, tables
from einorm.records.archive import SHOWN
from einorm.runtime import UserError


@pytest.fixture(scope="module")
def path(redrawn):
    return redrawn[0] / "paper_artifact" / "bundle" / "report.html"


def test_it_loads_alone_from_the_disk(open_page, path):
    page = open_page()
    page.evaluate("window.scrollTo(0, document.body.scrollHeight)")
    page.wait_for_load_state("networkidle")
    assert page.complaints == []
    assert [url for url in page.requests if not url.startswith("data:")] == [path.as_uri()]
    assert path.stat().st_size <= 3e6
    assert not re.search(r'(src|href)="(?!data:|#|explore.html")', path.read_text()), "no external resource"


def test_every_image_is_there_with_its_alternative_text(open_page):
    page = open_page()
    images = page.evaluate(
        "Promise.all([...document.images].map(async i => { i.loading = 'eager'; await i.decode();"
        " return [i.alt, i.naturalWidth, i.closest('figure').id]; }))"
    )
    assert len(images) >= 15 and all(width > 300 for _, width, _ in images)
    for alt, _, name in images:
        assert len(alt) > 60 and ("plotted values" in alt or "not computed" in alt), name
    assert len({alt for alt, *_ in images}) == len(images)


def test_alternative_texts_come_from_the_plotted_points(open_page, redrawn):
    alt = open_page().locator("#fig4 img").get_attribute("alt")
    points = pd.read_csv(redrawn[0] / "figures" / "fig4.csv")
    assert f"{len(points)} plotted values" in alt
    first = points[points["panel"] == points["panel"].iloc[0]].groupby("epsilon")[["x", "y"]].median()
    for epsilon, medians in first.iterrows():
        assert f"epsilon {epsilon:g}, medians {wording.number(medians['x'])} (x)" in alt


def column(page, name):
    return page.locator(f"#statements tbody tr > :nth-child({name})").all_inner_texts()


def by_number(name):
    """C8.10 comes after C8.9."""
    return [int(number) for number in re.findall(r"\d+", name)]


def test_the_table_of_statements_sorts(open_page):
    page = open_page()
    ids = column(page, 1)
    order = ("not reproduced", "inconclusive", "partly", "reproduced", "not computed")
    assert sorted(order) == sorted(VERDICTS)
    ranks = [next(i for i, v in enumerate(order) if text.endswith(f" {v}")) for text in column(page, 2)]
    assert len(ids) >= 25 and ranks == sorted(ranks), "what did not reproduce, and what is undecided, comes first"
    assert len({*ranks}) > 2 and ranks[-1] == 4
    effect = page.locator("#statements thead th:nth-child(4)")
    effect.get_by_role("button").click()
    assert effect.get_attribute("aria-sort") == "ascending"
    values = [float(text.replace("−", "-")) for text in column(page, 4) if text != "–"]
    assert values == sorted(values) and len(set(values)) > 5 and sorted(column(page, 1)) == sorted(ids)
    page.keyboard.press("Enter")  # the button has the focus: a keyboard sorts, too
    values = [float(text.replace("−", "-")) for text in column(page, 4) if text != "–"]
    assert values == sorted(values, reverse=True) and effect.get_attribute("aria-sort") == "descending"
    page.locator("#statements thead th:nth-child(1) button").click()
    assert column(page, 1) == sorted(ids, key=by_number) and effect.get_attribute("aria-sort") is None


def test_it_fits_the_width_of_a_printed_page(open_page):
    page = open_page(width=round((210 - 2 * 12) / 25.4 * 96))  # A4 without its margins, in CSS pixels
    page.emulate_media(media="print")
    right = "Math.max(...[...document.querySelectorAll('table, figure, p')].map(e => e.getBoundingClientRect().right))"
    assert page.evaluate(right) <= page.viewport_size["width"]


@pytest.mark.long
@pytest.mark.parametrize("width", [360, 1280])
def test_it_fits_a_phone_and_a_desk(open_page, width, tmp_path):
    page = open_page(width)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    cut = "[...document.querySelectorAll('.scroll')].filter(e => e.scrollWidth > e.clientWidth).map(e => e.ariaLabel)"
    assert page.evaluate(cut) == [], "no column is cut off"
    smallest = page.evaluate(
        "Math.min(...[...document.querySelectorAll('p, li, td, figcaption')]"
        ".map(e => parseFloat(getComputedStyle(e).fontSize)))"
    )
    assert smallest >= 12
    page.screenshot(path=tmp_path / "page.png", full_page=True)


def test_figures_keep_their_size_on_a_phone_and_scroll_sideways(open_page):
    """At the width of the screen, text of 8 points would be 4 points high."""
    wide = """[...document.querySelectorAll('figure:not(.again)')].map(figure => {
        const [box, image] = [figure.querySelector('.wide'), figure.querySelector('img')];
        const width = image.getBoundingClientRect().width;
        return [width, box.scrollWidth > box.clientWidth, box.tabIndex, box.ariaLabel]; })"""
    phone, desk = open_page(360).evaluate(wide), open_page(1280).evaluate(wide)
    assert len(phone) >= 15 and len({name for *_, name in phone}) == len(phone)
    assert all(width >= 17 / 2.54 * 96 - 1 and scrolls and index == 0 for width, scrolls, index, _ in phone)
    assert not any(scrolls for _, scrolls, *_ in desk)


def contrast(colour, ground):
    """WCAG contrast of two colours "rgb(r, g, b)"."""

    def luminance(text):
        parts = [int(v) / 255 for v in re.findall(r"\d+", text)[:3]]
        r, g, b = (v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in parts)
        return 0.2126 * r + 0.7152 * g + 0.0722 * b

    light, dark = sorted((luminance(colour), luminance(ground)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


GROUND = """e => { const colour = getComputedStyle(e).color;
    while (e && /, 0\\)$/.test(getComputedStyle(e).backgroundColor)) e = e.parentElement;
    return [colour, e ? getComputedStyle(e).backgroundColor : 'rgb(255, 255, 255)']; }"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_light_and_dark_are_readable(open_page, scheme):
    page = open_page(color_scheme=scheme)
    text, ground = page.locator("body").evaluate(GROUND)
    assert (contrast(ground, "rgb(0, 0, 0)") < 4) == (scheme == "dark"), "the ground follows the reader's choice"
    for selector in (
        "main p",
        "nav a",
        "td.text",
        "th button",
        "figcaption",
        "footer",
        ".note",
        *(f".verdict.{v}" for v in shown(page)),
    ):
        text, ground = page.locator(selector).first.evaluate(GROUND)
        assert contrast(text, ground) >= 4.5, (selector, text, ground)


def shown(page):
    return sorted({name.split()[1] for name in page.locator(".verdict").evaluate_all("es => es.map(e => e.className)")})


def test_it_can_be_read_with_a_keyboard_and_a_screen_reader(open_page):
    page = open_page()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.getAttribute('href')") == "#summary", "skip link first"
    levels = page.locator("h1, h2, h3").evaluate_all("es => es.map(e => +e.tagName[1])")
    assert levels.count(1) == 1 and all(b - a <= 1 for a, b in itertools.pairwise(levels))
    assert page.locator("html").get_attribute("lang") == "en" and page.title()
    for role in ("banner", "navigation", "main", "contentinfo"):
        assert page.get_by_role(role).count() == 1
    broken = page.evaluate(
        "[...document.querySelectorAll('a[href^=\"#\"]')].filter(a => !document.getElementById(a.hash.slice(1))).length"
    )
    ids = page.evaluate("[...document.querySelectorAll('[id]')].map(e => e.id)")
    assert broken == 0 and len(ids) == len(set(ids))
    assert page.locator("th:not([scope])").count() == 0
    regions = page.locator(".scroll").evaluate_all(
        "es => es.length > 0 && es.every(e => e.tabIndex === 0 && e.getAttribute('aria-label'))"
    )
    assert regions, "what scrolls can be reached and is named"


def test_the_head_says_which_runs_the_page_shows(open_page):
    head = open_page().locator("header").inner_text()
    assert "It shows the reproduction: 80 runs with the random numbers of the published ones." in head
    assert "A reproduction of" not in head


@pytest.mark.parametrize(("value", "text"), [(-0.001, "0.00"), (-0.01, "−0.01"), (float("nan"), "–"), (3, "3.00")])
def test_numbers_for_reading(value, text):
    assert wording.number(value) == text


def test_what_was_not_computed_by_the_published_rule_has_no_numbers(open_page, redrawn):
    cells = column(open_page(), 9)
    claims = pd.read_csv(redrawn[0] / "results" / "claims" / "claims.csv").query("selection != 'all'")
    computed = claims["verdict"] != "not computed"
    assert 0 < computed.sum() < len(claims)
    assert sum("(" in text for text in cells) == computed.sum()
    assert cells.count("– not computed") == len(claims) - computed.sum()


def test_verdicts_made_with_other_rules_are_refused_with_one_line(redrawn, tmp_path):
    folder = redrawn[0]
    claims = shutil.copytree(folder / "results" / "claims", tmp_path / "claims")
    judged = pd.read_csv(claims / "claims.csv")
    judged[judged["id"] != "C5.1"].to_csv(claims / "claims.csv", index=False)
    where = folder / "paper_artifact" / "archive" / "quick", claims, folder / "figures", folder / "paper_artifact"
    with pytest.raises(UserError, match=r"claims.csv lacks the statement C5.1: make it again"):
        report.write(*where, tmp_path / "report.html")


def test_missing_runs_are_named_on_top(redrawn, tmp_path):
    folder = redrawn[0]
    archive = folder / "paper_artifact" / "archive" / "quick"
    runs = tables.read(archive / "runs.parquet", "runs")
    tables.write(runs.iloc[3:], "runs", tmp_path / "runs.parquet", runs.attrs["settings"])
    shutil.copy(archive / "costs.parquet", tmp_path)
    made = (folder / "results" / "claims", folder / "figures", folder / "paper_artifact")
    report.write(tmp_path, *made, tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text()
    assert f"{len(runs) - 3} of {len(runs)} planned runs are finished" in page and "1 of 4 (incomplete)" in page


def test_core_hours_and_gpu_hours_are_shown_apart(redrawn, tmp_path):
    """All runs of GradNorm as if they had taken half an hour of a GPU each."""
    folder = redrawn[0]
    held = {
        name: tables.read(folder / f"paper_artifact/archive/quick/{name}.parquet", name) for name in ("runs", "costs")
    }
    settings, chosen = held["runs"].attrs["settings"], {n: f["condition"] == "gradnorm_full" for n, f in held.items()}
    others = costs.hours(
        held["runs"].merge(held["costs"], on=[*tables.KEYS])[lambda f: f["condition"] != "gradnorm_full"]
    )
    held["runs"].loc[chosen["runs"], "device"] = "cuda"
    held["costs"].loc[chosen["costs"], "seconds"] = 1800.0
    for name, frame in held.items():
        tables.write(frame, name, tmp_path / f"{name}.parquet", settings)
    made = (folder / "results" / "claims", folder / "figures", folder / "paper_artifact")
    report.write(tmp_path, *made, tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text()
    assert f"{others['core_hours']:.2f} core-hours and 4.00 GPU-hours in all, 80 runs" in page
    assert page.count("4.000 GPU-hours<") == 1 and "4.000 core-hours" not in page


def test_a_link_to_a_statement_opens_all_that_is_known_of_it(open_page, redrawn):
    page = open_page()
    claims = pd.read_csv(redrawn[0] / "results" / "claims" / "claims.csv").set_index("id")
    assert not page.locator("[id='C5.1']").is_visible()
    page.locator("#statements a[href='#C5.1']").click()
    told = page.locator("[id='C5.1']")
    told.wait_for(state="visible")
    text = told.inner_text()
    for word in ("+0.39 (+0.22 to +0.53)", claims.loc["C5.1", "reason"], "python -m einorm claim C5.1", "fig5"):
        assert word in text
    shown = set(page.locator("details dl").evaluate_all("es => es.map(e => e.id)"))
    assert shown == set(claims.index)


def test_effects_that_change_their_verdict_by_the_median_say_so(open_page, redrawn):
    claims = pd.read_csv(redrawn[0] / "results" / "claims" / "claims.csv", keep_default_na=False)
    rows = claims[(claims["selection"] == "all") & (claims["verdict"] != "not computed")]
    expected = [
        "–" if not row.median_verdict else "the same" if row.median_verdict == row.verdict else row.median_verdict
        for row in rows.itertuples()
    ]
    shown = open_page().locator("#effects tbody tr > :nth-child(5)").all_inner_texts()
    assert [text.split(" ", 1)[-1] if text[0] in "◐✗✓?" else text for text in shown] == expected


def test_it_prints(open_page, tmp_path):
    page = open_page()
    page.emulate_media(media="print")
    assert not page.locator("nav").is_visible()
    page.pdf(path=tmp_path / "report.pdf", format="A4")
    assert (tmp_path / "report.pdf").read_bytes().startswith(b"%PDF")


def test_verdicts_stand_with_their_numbers(open_page, redrawn):
    page, claims = open_page(), pd.read_csv(redrawn[0] / "results" / "claims" / "claims.csv")
    plain = claims[claims["selection"] == "all"]
    waiting = plain["verdict"] == "not computed"
    plain = pd.concat([plain[~waiting], plain[waiting]])
    counts = plain["verdict"].value_counts()
    items = page.locator(".counts li").all()
    assert len(items) == len(VERDICTS)
    for item in items:
        number, verdict = int(item.locator("b").inner_text()), item.locator(".verdict").inner_text().split(" ", 1)[1]
        assert number == counts.get(verdict, 0)
    assert column(page, 10) == plain["reason"].tolist()
    assert [text[2:] for text in column(page, 8)] == plain["size_verdict"].tolist()
    assert "Not the paper's full training" in page.locator("header").inner_text()


def test_less_than_the_papers_training_is_named():
    settings = config.load(REPOSITORY / "config.yaml", "paper", ["train_images=3200", "batch_size=64"])
    assert report.budget(settings) == "3200 of 60000 training images, batches of 64"
    assert report.budget(config.load(REPOSITORY / "config.yaml", "paper")) == ""


def test_the_page_says_which_code_trained_each_cell():
    """The runs of the campaign are of commit 0755b9d; a code of which nothing is known is called older."""
    folder = REPOSITORY / "paper_artifact" / "archive" / SHOWN
    runs = tables.read(folder / "runs.parquet", "runs")
    settings = tables.settings_of(folder / "runs.parquet")
    rows = report.cell_rows(runs, settings)
    assert len(rows) == 20 and all(
        row["code"] == "commit 0755b9d: gives today's results, bit for bit (proved)" for row in rows
    )
    foreign = report.cell_rows(runs.assign(code="foreign code"), settings)
    assert all("not recorded (code foreign)" in row["code"] and "not known" in row["code"] for row in foreign)


def alternative(folder, column, *rows):
    """The alternative text of plotted points: condition, the column's entry, value."""
    pd.DataFrame(rows, columns=["condition", column, "value"]).assign(panel="a").to_csv(folder / "a.csv")
    return report_figures.alternative_text(folder / "a.csv")


def test_alternative_texts_do_not_pool_what_a_figure_compares(tmp_path):
    text = alternative(tmp_path, "group", ("inorm", "float32", 1.0), ("inorm", "float16", 3.0))
    assert "float32, median 1.00" in text and "float16, median 3.00" in text
    rows = ("inorm", "release", 1.0), ("inorm", "chance", 5.0), ("ei_ln", "release", 2.0)
    assert "release, I-Norm, median 1.00" in alternative(tmp_path, "series", *rows)
    text = alternative(tmp_path, "series", ("inorm", "I-Norm", 1.0), ("ei_ln", "E-I LN", 2.0))
    assert "a: I-Norm, median 1.00" in text, "a series that is the condition is named once"
