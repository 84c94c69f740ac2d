"""Findings of deviations.yaml: numbers come from queries, texts hold none that was typed, pages are in step."""

import re
import runpy
import shutil

import pandas as pd
import pytest
import yaml
from conftest import REPOSITORY
from einorm import config
from einorm.__main__ import main
from einorm.analysis import findings
from einorm.figures import FIGURES
from einorm.records import tables
from einorm.records.archive import KINDS, SHOWN
from einorm.runtime import UserError

ARTIFACT = REPOSITORY / "paper_artifact"
TEXTS = findings.load(ARTIFACT / "deviations.yaml")
FOLDERS = {"--tables": [SHOWN], "--robustness": KINDS["robustness"]}
# Digits that are names and definitions: epsilons, figures, statements, chance, precisions, numbers of the task.
NAMES = re.compile(
    r"epsilon (?:0\.75|0)|(?:at|of) 0\.75|Figs?\. \d(?:(?:, \d)* and \d)?|C\d\.\d+|(?:exactly|at) 10 %|float(?:16|32)"
    r"|far below 1\b|exclude 0\b"
)


@pytest.fixture(scope="module")
def evidence(tmp_path_factory):
    """Folder of evidence.csv of the archive that the pages show."""
    out = tmp_path_factory.mktemp("claims")
    options = [part for name, names in FOLDERS.items() for part in (name, *(f"{ARTIFACT}/archive/{n}" for n in names))]
    places = ["--artifact", str(ARTIFACT), "--published", str(ARTIFACT / "published"), "--out", str(out)]
    assert main(["evidence", *options, *places]) == 0
    return out


def test_every_number_of_a_finding_is_a_query(evidence):
    """No digit is typed in a text, every query is used, and the file names each number with its query."""
    table = pd.read_csv(evidence / "evidence.csv")
    for entry in TEXTS["findings"]:
        texts = " ".join(entry[name] for name in findings.TEXTS if name in entry)
        assert not re.search(r"\d", NAMES.sub("", re.sub(r"{.*?}", "", texts))), entry["id"]
        used = set(re.findall(r"{(\w+)", texts + yaml.safe_dump(entry["evidence"])))
        used |= {word for query in entry["evidence"].values() for word in re.findall(r"\w+", str(query))}
        assert set(entry["evidence"]) <= used, entry["id"]
        assert set(table.loc[table["finding"] == entry["id"], "name"]) == set(entry["evidence"])
        assert entry["status"] in findings.STATUS and entry["figure"] in FIGURES
        assert {"finding", "mechanism", "caveat"} <= set(entry)


def test_texts_are_filled_in_from_the_file(evidence):
    filled = {entry["id"]: entry for entry in findings.read_filled(ARTIFACT, evidence)}
    assert list(filled) == [entry["id"] for entry in TEXTS["findings"]]
    assert "9 of 30" in filled["inorm-at-chance"]["finding"] and "{" not in str([f["finding"] for f in filled.values()])
    (evidence / "evidence.csv").rename(evidence / "moved.csv")
    with pytest.raises(UserError, match="evidence.csv is missing: make it with snakemake evidence"):
        findings.read_filled(ARTIFACT, evidence)
    (evidence / "moved.csv").rename(evidence / "evidence.csv")


def test_pages_are_in_step(tmp_path):
    """`make docs-results` writes what the tracked pages hold."""
    made = runpy.run_path(str(REPOSITORY / "docs" / "archived_results.py"))
    for page in ("docs/deviations.md", "README.md"):
        shutil.copy(REPOSITORY / page, tmp_path)
    made["written_pages"].write_findings(tmp_path / "deviations.md", tmp_path / "README.md")
    made["written_pages"].write_paths(tmp_path / "README.md")
    for page in ("docs/deviations.md", "README.md"):
        assert (tmp_path / (REPOSITORY / page).name).read_text() == (REPOSITORY / page).read_text(), page


RUNS = pd.DataFrame({"condition": ["a"] * 4 + ["b"], "epsilon": [0.0] * 3 + [0.75] * 2, "lr": [3.0, 2, 1, 4, 5]})
SOURCES = {
    "runs": RUNS.assign(test_acc=[80.0, 84, 85, 10, 90]),
    "claim": pd.DataFrame({"id": ["C1"], "effect": [-2.5]}),
}


@pytest.mark.parametrize(
    ("query", "number"),
    [
        ({"runs": "a", "at": 0}, 84),
        ({"runs": "a", "where": "test_acc > {limit}", "take": "count"}, 2),
        ({"runs": "a", "at": 0, "take": "max"}, 85),
        ({"runs": "a", "at": 0, "take": "correlation", "with": "lr"}, -1),
        ({"runs": "a", "at": 0.75, "where": "test_acc > 50", "take": "count"}, 0),
        ({"claim": "C1"}, -2.5),
        ("limit - 80", 1.5),
        ({"smallest": ["limit"]}, 81.5),
    ],
)
def test_a_query_gives_its_number(query, number):
    evidence = {"level": {"runs": "a", "at": 0, "take": "min"}, "limit": "level + 1.5", "asked": query}
    assert findings.numbers({"id": "x", "evidence": evidence}, SOURCES)["asked"] == pytest.approx(number)


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ({"runs": "c"}, "x, n: no value"),
        ({"claim": "C1", "runs": "a"}, "a query names one of runs"),
        ({"runs": "a", "take": "mode"}, "take must be count"),
        ({"runs": "a", "value": "absent"}, "absent"),
        ("other + 1", "other"),
        ("1 +", "x, n: "),
        ("1 + [", "x, n: "),
        ({"runs": "a", "where": "test_acc >"}, "x, n: "),
        ({"runs": "a", "take": ["median"]}, "x, n: "),
    ],
)
def test_a_wrong_query_is_one_line(query, message):
    with pytest.raises(UserError, match=message):
        findings.numbers({"id": "x", "evidence": {"n": query}}, SOURCES)


def test_findings_of_absent_runs_are_left_out(tmp_path, capsys):
    """So a part of the replication still gives its report."""
    runs, epochs = (pd.read_parquet(ARTIFACT / "archive" / SHOWN / f"{name}.parquet") for name in ("runs", "epochs"))
    settings = config.load(REPOSITORY / "config.yaml", SHOWN, ["epsilons=[0.75]"]).science()
    for name, table in (("runs", runs), ("epochs", epochs)):
        tables.write(table[table["epsilon"] == 0.75], name, tmp_path / "part" / f"{name}.parquet", settings)
    places = ["--artifact", str(ARTIFACT), "--published", str(ARTIFACT / "published"), "--out", str(tmp_path)]
    robustness = [part for name in KINDS["robustness"] for part in ("--robustness", f"{ARTIFACT}/archive/{name}")]
    assert main(["evidence", "--tables", str(tmp_path / "part"), *robustness, *places]) == 0
    said = capsys.readouterr().out
    assert "left out: deviations.yaml, inorm-at-chance, here_0" not in said, "a count of no runs is 0"
    assert "left out: deviations.yaml, learning-rates, " in said
    shown = [entry["id"] for entry in findings.read_filled(ARTIFACT, tmp_path)]
    assert "learning-rates" not in shown


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("findings: []", "the list deviations is missing"),
        (
            "deviations: []\nfindings: [{id: a, title: b, status: open, figure: fig4}]",
            "findings, entry 1: finding is missing",
        ),
        ("deviations: [text]\nfindings: []", "deviations, entry 1: what, original, here, why is missing"),
    ],
)
def test_an_incomplete_deviations_yaml_is_one_line(tmp_path, text, says):
    (tmp_path / "deviations.yaml").write_text(text)
    with pytest.raises(UserError, match=says):
        findings.load(tmp_path / "deviations.yaml")


def test_a_text_that_asks_for_a_number_without_a_query_is_one_line():
    with pytest.raises(UserError, match="x: a text asks for 'a', which its evidence lacks"):
        findings.filled({"id": "x", "finding": "{a} runs"}, {"b": 1})


def test_without_archives_of_short_runs_their_findings_are_left_out_and_counts_stay_whole(tmp_path, capsys):
    places = ["--artifact", str(ARTIFACT), "--published", str(ARTIFACT / "published"), "--out", str(tmp_path)]
    assert main(["evidence", "--tables", str(ARTIFACT / "archive" / SHOWN), *places]) == 0
    assert "left out: deviations.yaml, level, minus_seed" in capsys.readouterr().out
    shown = {entry["id"]: entry for entry in findings.read_filled(ARTIFACT, tmp_path)}
    assert "level" not in shown and "9 of 30 ended" in shown["inorm-at-chance"]["finding"]
