"""What others find on GitHub and in the Snakemake workflow catalogue: its files are whole and say what is true."""

import re

import pytest
import yaml
from conftest import REPOSITORY
from einorm.settings import Settings

GITHUB = REPOSITORY / ".github"
FORMS = sorted(path for path in (GITHUB / "ISSUE_TEMPLATE").glob("*.yml") if path.name != "config.yml")
KINDS = {"markdown", "input", "textarea", "dropdown", "checkboxes"}


def read(path):
    return yaml.safe_load(path.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def usage():
    return read(REPOSITORY / ".snakemake-workflow-catalog.yml")["usage"]


def test_the_catalogue_is_told_how_the_workflow_is_used(usage):
    assert set(usage) == {"mandatory-flags", "software-stack-deployment", "report"}
    assert set(usage["mandatory-flags"]) == {"desc", "flags"} and usage["mandatory-flags"]["flags"] == []
    deployment = usage["software-stack-deployment"]
    assert {"conda", "apptainer", "apptainer+conda"} <= set(deployment)
    assert all(isinstance(value, bool) for value in deployment.values())


def test_every_rule_that_runs_something_declares_its_environment(usage):
    assert usage["software-stack-deployment"]["conda"]
    paths = list((REPOSITORY / "workflow" / "rules").glob("*.smk"))
    assert paths
    for path in paths:
        rules = re.split(r"^ *rule\b", path.read_text(), flags=re.M)[1:]
        running = [rule for rule in rules if re.search(r"^ +shell:", rule, re.M)]
        of_the_device = re.escape("{EXPERIMENT['environment']}")  # einorm, or einorm-gpu where a GPU is asked for
        declared = rf'^ +conda:\n +f?"../../envs/(einorm|einorm-gpu|{of_the_device}).yaml"$'
        assert running and all(re.search(declared, rule, re.M) for rule in running), path


def test_reports_are_offered_and_have_captions(usage):
    assert usage["report"] and usage["software-stack-deployment"]["report"]
    rules = (REPOSITORY / "workflow" / "rules" / "outputs.smk").read_text()
    assert len(re.findall(r"\breport\(", rules)) == len(re.findall(r"\breport\([^()]+, caption=", rules)) == 3


def test_the_crawler_finds_the_words_and_the_rules_it_looks_for():
    text = (REPOSITORY / "README.md").read_text(encoding="utf-8").lower()
    assert "snakemake" in text and "workflow" in text and (REPOSITORY / "workflow" / "Snakefile").is_file()
    assert list((REPOSITORY / "workflow" / "rules").glob("*.smk"))


def test_the_page_of_the_configuration_names_every_key():
    text = (REPOSITORY / "config" / "README.md").read_text(encoding="utf-8")
    assert {"preset", "presets", *Settings.model_fields} <= set(re.findall(r"`(\w+)`", text))
    assert read(REPOSITORY / "config" / "config.yaml") == {"preset": "quick"}, "which Snakedeploy copies"
    assert "../docs/reference/config.md" in text and "../config.yaml" in text


def test_github_runs_what_ci_runs_and_keeps_the_pages():
    workflow = read(GITHUB / "workflows" / "ci.yml")
    (job,) = workflow["jobs"].values()
    checkout, run, kept = job["steps"]
    assert checkout["uses"].startswith("actions/checkout@") and run == {"run": "bash .ci/run"}
    names = {path.rpartition("/")[2] for path in kept["with"]["path"].split()}
    assert kept["uses"].startswith("actions/upload-artifact@") and names == {"report.html", "explore.html"}
    assert job["container"]["image"] == "python:${{ matrix.python }}-bookworm" and workflow["permissions"] == {
        "contents": "read"
    }
    assert {"push", "pull_request"} == set(workflow[True])  # YAML reads the key `on` as a boolean


def test_there_is_a_form_for_a_bug_a_claim_and_an_extension():
    assert [path.stem for path in FORMS] == ["bug_report", "claim", "extension"]
    assert read(GITHUB / "ISSUE_TEMPLATE" / "config.yml") == {"blank_issues_enabled": True}


@pytest.mark.parametrize("path", FORMS, ids=lambda path: path.stem)
def test_a_form_has_what_github_requires(path):
    form = read(path)
    assert {"name", "description", "body"} <= set(form) <= {"name", "description", "body", "labels", "title"}
    assert all(isinstance(form[key], str) and form[key].strip() for key in ("name", "description"))
    ids = [field["id"] for field in form["body"]]
    assert len(set(ids)) == len(ids) and all(re.fullmatch(r"[\w-]+", one) for one in ids)
    for field in form["body"]:
        assert field["type"] in KINDS and field["attributes"]["label"] and field["validations"]["required"] is True
        options = field["attributes"].get("options", [])
        assert (field["type"] == "dropdown") == bool(options) and len(set(options)) == len(options)
        assert all(isinstance(option, str) for option in options)


def test_files_that_the_forms_name_exist():
    """The outputs of the workflow are not among them."""
    text = "\n".join(path.read_text(encoding="utf-8") for path in FORMS)
    names = set(re.findall(r"\b(?:docs|paper_artifact|tests)/[\w/.-]*\w", text))
    assert {"docs/extend.md", "paper_artifact/claims.yaml", "tests/golden"} <= names
    assert not {name for name in names if not (REPOSITORY / name).exists()}
