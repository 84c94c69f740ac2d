"""The bundle: equal each time, described by its crate, and no fault or trick passes `verify`."""

import hashlib
import importlib.metadata
import io
import json
import random
import re
import stat
import subprocess
import sys
import zipfile

import pytest
from conftest import REPOSITORY
from einorm import config
from einorm.__main__ import main
from einorm.artifact import crate, sources, verify
from einorm.figures import FIGURES
from einorm.records import provenance
from einorm.records.tables import TABLES
from einorm.settings import Settings


@pytest.fixture(scope="module")
def path(bundled):
    return bundled / "paper_artifact" / "bundle" / "einorm-quick.zip"


@pytest.fixture(scope="module")
def files(path):
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


@pytest.fixture(scope="module")
def graph(files):
    return {entity["@id"]: entity for entity in json.loads(files[verify.CRATE])["@graph"]}


def test_it_holds_what_it_should(files):
    expected = {f"figures/{n}.{kind}" for n in FIGURES for kind in ("pdf", "png", "csv")}
    expected |= {f"results/tables/{name}.parquet" for name in TABLES}
    expected |= {
        "report.html",
        "explore.html",
        "config.yaml",
        "envs/requirements.lock",
        "LICENSE",
        "CITATION.cff",
        "Snakefile",
    }
    expected |= {"results/claims/claims.csv", "results/claims/claims.parquet", "results/claims/oddities.csv"}
    expected |= {verify.SUMS, verify.CRATE, "paper_artifact/claims.yaml", "paper_artifact/published/README.md"}
    assert expected <= set(files) and not any("__pycache__" in name or name.startswith("/") for name in files)


def test_it_holds_every_picture_that_its_pages_show():
    held = sources.files(REPOSITORY)
    shown = {
        (REPOSITORY / name).parent.joinpath(picture).resolve().relative_to(REPOSITORY).as_posix()
        for name in held
        if name.endswith(".md")
        for picture in re.findall(r"!\[[^]]*\]\(([\w./-]+)\)", (REPOSITORY / name).read_text(encoding="utf-8"))
    }
    assert len(shown) > 15 and shown <= set(held)


def test_the_checklist_names_files_of_the_bundle():
    text = (REPOSITORY / "paper_artifact" / "checklist.md").read_text()
    names = set(re.findall(r"`([\w./-]+\.\w+|[\w./-]+/[\w.-]+|LICENSE|Makefile|Snakefile)`", text))
    assert len(names) > 20 and names <= set(sources.files(REPOSITORY))


def test_sha256sums_is_read_by_sha256sum(files, tmp_path):
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(content)
    done = subprocess.run(
        ["sha256sum", "--check", "--strict", "--quiet", verify.SUMS], cwd=tmp_path, capture_output=True
    )
    assert done.returncode == 0, done.stderr
    assert len(files[verify.SUMS].splitlines()) == len(files) - 1


def test_the_crate_is_a_workflow_run_crate(graph, files):
    root, descriptor = graph["./"], graph["ro-crate-metadata.json"]
    assert {"@id": "https://w3id.org/ro/crate/1.1"} in as_list(descriptor["conformsTo"])
    assert descriptor["about"]["@id"] == "./"
    profiles = {entry["@id"] for entry in root["conformsTo"]}
    assert {f"https://w3id.org/ro/wfrun/{kind}/0.5" for kind in ("process", "workflow")} <= profiles
    assert (
        root["@type"] == "Dataset"
        and root["name"]
        and root["description"]
        and root["datePublished"]
        and root["license"]
    )
    main = graph[root["mainEntity"]["@id"]]
    assert {"File", "SoftwareSourceCode", "ComputationalWorkflow"} <= set(main["@type"])
    assert graph[main["programmingLanguage"]["@id"]]["@type"] == "ComputerLanguage"
    (run,) = [e for e in graph.values() if e["@type"] == "CreateAction" and e["instrument"]["@id"] == main["@id"]]
    assert {entry["@id"] for entry in root["mentions"]} == {"#run", "#training-1"}
    inputs, outputs = ids(run["object"]), ids(run["result"])
    assert "config.yaml" in inputs and "report.html" in outputs
    assert {f"figures/{name}.png" for name in FIGURES} <= outputs and inputs | outputs <= set(graph)
    assert all(name in files and graph[name]["sha256"] for name in outputs)
    described = {name for name, entity in graph.items() if "sha256" in entity}
    assert described == set(files) - {verify.SUMS, verify.CRATE}


def as_list(value):
    return value if isinstance(value, list) else [value]


def ids(entries):
    return {entry["@id"] for entry in as_list(entries)}


def values(graph, action):
    """Names and values of the PropertyValues that an action had as objects."""
    given = [graph[name] for name in ids(graph[action]["object"]) if graph[name]["@type"] == "PropertyValue"]
    return {entity["name"]: entity["value"] for entity in given}


def test_the_crate_meets_what_roc_validator_demands(files, graph):
    """The MUSTs that `make crate` found unmet or that are easily lost; `make crate` checks all."""
    context = json.loads(files[verify.CRATE])["@context"]
    assert context == ["https://w3id.org/ro/crate/1.1/context", {"sha256": f"{crate.TERMS}sha256"}]
    assert all(entity["@id"] and entity["@type"] for entity in graph.values())
    references = [reference for entity in graph.values() for value in entity.values() for reference in as_list(value)]
    references = {reference["@id"] for reference in references if isinstance(reference, dict)}
    assert {name for name in references - set(graph) if "://" not in name} == set()
    parameters = ids(graph["Snakefile"]["input"])
    assert len(parameters) == len(Settings.model_fields) + 1
    for name in parameters:
        parameter = graph[name]
        assert parameter["@type"] == "FormalParameter" and parameter["additionalType"] == "Text"
        assert graph[parameter["workExample"]["@id"]]["exampleOfWork"] == {"@id": name}


def test_the_crate_says_what_drew_and_from_which_tables(graph):
    run = graph["#run"]
    assert run["name"] == "snakemake artifact --config results=archive" and "the archive quick" in run["description"]
    tables = {f"results/tables/{name}.parquet" for name in TABLES}
    assert tables <= ids(run["object"]) and not tables & ids(run["result"]) and "location" not in run
    quick = config.load(REPOSITORY / "config.yaml", None, ["results=archive"])
    found = values(graph, "#run")
    assert found.pop("preset") == "quick" and found.pop("archive") == "quick" and found.pop("results") == "archive"
    expected = json.loads(quick.model_dump_json(exclude={"archive", "results", "dataset", "randomness", "format"}))
    assert (found.pop("dataset"), found.pop("randomness")) == ("fashion_mnist", "release")
    assert found.pop("format") == "pdf"
    assert {k: json.loads(v) for k, v in found.items()} == expected
    requirements = {graph[name]["name"]: graph[name]["softwareVersion"] for name in ids(
        graph["Snakefile"]["softwareRequirements"])}  # fmt: skip
    assert requirements["matplotlib"] == importlib.metadata.version("matplotlib")


def test_the_crate_says_what_trained_and_where(bundled, graph):
    folder = bundled / "paper_artifact" / "archive" / "quick"
    manifest = json.loads((folder / "manifest.json").read_text())
    training = graph["#training-1"]
    assert training["name"] == "Training of 80 runs" and values(graph, "#training-1") == {
        "device": "cpu",
        "threads": "1",
    }
    assert training["description"] == f"Took {manifest['core_hours']:.2f} core-hours."
    assert ids(training["result"]) == {f"results/tables/{name}.parquet" for name in ("runs", "epochs", "costs")}
    assert "#fashion_mnist" in ids(training["object"]) and "#fashion_mnist" not in ids(graph["#run"]["object"])
    place = graph[training["location"]["@id"]]
    facts = {graph[name]["name"]: graph[name]["value"] for name in ids(place["additionalProperty"])}
    assert facts == {name: str(value) for name, value in manifest["machine"].items()}
    software = graph[training["instrument"]["@id"]]
    versions = {graph[name]["name"]: graph[name]["softwareVersion"] for name in ids(software["softwareRequirements"])}
    assert versions | {"einorm": software["softwareVersion"]} == manifest["trainings"][0]["versions"]


def described(files, trainings, *overrides):
    """The crate of a bundle's files, as if the workflow had run with these overrides; its entities."""
    raw, shipped = (config.read(REPOSITORY / "config.yaml", words) for words in (overrides, ()))
    own = {name: content for name, content in files.items() if name not in (verify.SUMS, verify.CRATE)}
    made = [name for name in own if name.startswith(("results/", "figures/")) or name.endswith(".html")]
    text = crate.describe(own, made, config.record(raw, shipped), trainings)
    assert text == crate.describe(own, made, config.record(raw, shipped), trainings), "equal inputs, equal bytes"
    return {entity["@id"]: entity for entity in json.loads(text)["@graph"]}, text.decode()


HERE, THERE = ({"processor": name, "cores": 2, "system": "Linux"} for name in ("a CPU", "another CPU"))


def test_the_crate_of_computed_runs_names_their_machines_and_never_the_one_that_draws(files, monkeypatch):
    monkeypatch.setattr(provenance, "machine", lambda: HERE | {"processor": "the drawing CPU"})
    facts = {"versions": {"einorm": "0.1.0", "torch": "2"}, "threads": 1, "core_hours": 0.0, "gpu_hours": 0.0}
    trainings = [
        facts | {"machine": HERE, "device": "cpu", "runs": 1200, "core_hours": 3.5},
        facts | {"machine": THERE | {"gpu": "a GPU"}, "device": "cuda", "runs": 8, "gpu_hours": 0.25},
        facts | {"machine": None, "device": "cpu", "runs": 1},
        facts | {"machine": HERE, "device": "cpu", "threads": 2, "runs": 5},
    ]
    graph, text = described(files, trainings, "preset=quick", "machine={threads: 2}", "data={path: /home/me/images}")
    run = graph["#run"]
    assert run["name"] == (
        """snakemake artifact --config 'data={"path": "images"}' 'machine={"threads": 2}'"""
    ) and "the archive" not in run["description"]  # fmt: skip
    assert {"results/tables/runs.parquet", "report.html"} <= ids(run["result"]) and "#fashion_mnist" in ids(
        run["object"]
    )
    actions = [graph[f"#training-{i}"] for i in range(1, 5)]
    assert ids(graph["./"]["mentions"]) == {"#run", *(action["@id"] for action in actions)}
    assert [action.get("location", {}).get("@id") for action in actions] == [
        "#machine-1",
        "#machine-2",
        None,
        "#machine-1",
    ]
    assert (
        graph["#machine-2"]["name"] == "another CPU, 2 cores, a GPU" and actions[0]["name"] == "Training of 1,200 runs"
    )
    assert actions[0]["description"] == "Took 3.50 core-hours." and actions[1]["description"] == "Took 0.25 GPU-hours."
    assert values(graph, "#training-2")["device"] == "cuda" and values(graph, "#training-4")["threads"] == "2"
    assert "drawing CPU" not in text and "/home/me" not in text


def test_a_whole_bundle_has_no_fault(path):
    assert verify.faults(path) == []
    done = subprocess.run([sys.executable, "-m", "einorm", "verify", path], capture_output=True, text=True)
    assert done.returncode == 0 and "unchanged" in done.stdout


@pytest.fixture
def alone(files, tmp_path):
    """Run the bundle's own verify.py, alone in a folder, by a Python that finds nothing but its standard library."""
    (tmp_path / "alone").mkdir()
    (tmp_path / "alone" / "verify.py").write_bytes(files["workflow/einorm/artifact/verify.py"])
    return lambda *arguments: subprocess.run(
        [sys.executable, "-I", "-S", "verify.py", *arguments], cwd=tmp_path / "alone", capture_output=True, text=True
    )


def test_the_file_verify_of_a_bundle_needs_only_the_standard_library(path, alone, tmp_path):
    done = alone(path)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{path}: every file is there and unchanged\n", "")
    changed = bytearray(path.read_bytes())
    changed[len(changed) // 2] ^= 1
    (tmp_path / "changed.zip").write_bytes(changed)
    done = alone(tmp_path / "changed.zip")
    assert done.returncode == 1 and done.stdout.startswith(f"{tmp_path}/changed.zip: ") and not done.stderr


@pytest.mark.parametrize("arguments", [(), ("a.zip", "b.zip"), ("--help",)])
def test_the_file_verify_says_how_it_is_called(arguments, alone):
    done = alone(*arguments)
    assert (done.returncode, done.stdout, done.stderr) == (2, "", "usage: python verify.py ZIP\n")


def test_any_changed_byte_is_found(path, tmp_path):
    """At 60 seeded places, and at all places of the last 200 bytes: contents, headers, directory."""
    content, copy = path.read_bytes(), tmp_path / "changed.zip"
    places = random.Random(0).sample(range(len(content)), 60) + list(range(len(content) - 200, len(content), 10))
    for place in places:
        changed = bytearray(content)
        changed[place] ^= 1 << place % 8
        copy.write_bytes(changed)
        assert verify.faults(copy), f"byte {place}"


def stored(name, content=b"x", **attributes):
    info = zipfile.ZipInfo(name)
    for key, value in attributes.items():
        setattr(info, key, value)
    return info, content


LINK = {"create_system": 3, "external_attr": (stat.S_IFLNK | 0o777) << 16}
HOSTILE = {
    "path traversal": ([stored("../../etc/passwd")], "no plain path"),
    "path traversal inside": ([stored("a/../../b")], "no plain path"),
    "absolute path": ([stored("/etc/passwd")], "no plain path"),
    "Windows path": ([stored("C:\\x")], "no plain path"),
    "backslashes": ([stored("..\\x")], "no plain path"),
    "symbolic link": ([stored("link", b"/etc/passwd", **LINK)], "symbolic link"),
    "twice": ([stored("a"), stored("a")], "is there twice"),
    "twice but for case": ([stored("a"), stored("A")], "is there twice"),
    "bomb": ([stored("zeros", bytes(10**7), compress_type=zipfile.ZIP_DEFLATED)], "is compressed"),
    "another file": ([stored("virus.exe")], "SHA256SUMS is missing"),
}


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_zips_are_refused_and_nothing_is_unpacked(kind, tmp_path, monkeypatch):
    entries, says = HOSTILE[kind]
    with zipfile.ZipFile(tmp_path / "hostile.zip", "w") as archive:
        for info, content in entries:
            archive.writestr(info, content)
    monkeypatch.chdir(tmp_path)
    found = verify.faults(tmp_path / "hostile.zip")
    assert found and any(says in fault for fault in found) and not any("\n" in fault for fault in found)
    assert [p.name for p in tmp_path.iterdir()] == ["hostile.zip"]


def changed(files, how):
    """A bundle's files with one thing wrong that its own SHA256SUMS agrees with."""
    files = dict(files)
    if how == "crate tells other hashes":
        files[verify.CRATE] = re.sub(rb'"sha256": "[0-9a-f]', b'"sha256": "z', files[verify.CRATE], count=1)
    elif how == "no run":
        files[verify.CRATE] = files[verify.CRATE].replace(b'"CreateAction"', b'"Action"')
    elif how == "no crate":
        del files[verify.CRATE]
    elif how == "crate is no JSON":
        files[verify.CRATE] = b"{"
    elif how == "crate is a list":
        files[verify.CRATE] = b"[1]"
    elif how == "workflow gone":
        del files["Snakefile"]
    sums = "".join(f"{hashlib.sha256(files[n]).hexdigest()}  {n}\n" for n in sorted(files) if n != verify.SUMS)
    return files | {verify.SUMS: sums.encode()}


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ("crate tells other hashes", "is not the file it describes"),
        ("no run", "not one run"),
        ("no crate", "ro-crate-metadata.json is missing or damaged"),
        ("crate is no JSON", "ro-crate-metadata.json is missing or damaged"),
        ("crate is a list", "ro-crate-metadata.json is missing or damaged"),
        ("workflow gone", "the workflow Snakefile is not in the bundle"),
    ],
)
def test_a_crate_that_does_not_fit_is_found(files, how, says, tmp_path):
    (tmp_path / "b.zip").write_bytes(verify.canonical(changed(files, how)))
    assert any(says in fault for fault in verify.faults(tmp_path / "b.zip"))


def test_missing_changed_and_unlisted_files_are_named(files, tmp_path):
    wrong = {name: content for name, content in files.items() if name != "LICENSE"}
    wrong |= {"config.yaml": b"preset: mine\n", "extra.txt": b""}
    (tmp_path / "b.zip").write_bytes(verify.canonical(wrong))
    text = "\n".join(verify.faults(tmp_path / "b.zip"))
    assert "LICENSE is missing" in text and "config.yaml was changed" in text and "extra.txt is not listed" in text


@pytest.mark.parametrize("content", [b"", b"no zip", b"PK\x05\x06" + bytes(18), b"PK\x03\x04" + bytes(100)])
def test_what_is_no_bundle_is_refused(content, tmp_path):
    (tmp_path / "b.zip").write_bytes(content)
    done = subprocess.run(
        [sys.executable, "-m", "einorm", "verify", tmp_path / "b.zip"], capture_output=True, text=True
    )
    assert done.returncode == 1 and done.stdout.startswith(f"{tmp_path}/b.zip: ") and not done.stderr


def test_truncated_prefixed_and_absent_bundles_are_refused(path, tmp_path):
    content, copy = path.read_bytes(), tmp_path / "b.zip"
    for wrong in (content[:-1], content[: len(content) // 2], b"#!/bin/sh\n" + content, content + b"x"):
        copy.write_bytes(wrong)
        assert verify.faults(copy)
    assert "cannot be read" in verify.faults(tmp_path / "absent.zip")[0]
    assert "cannot be read" in verify.faults(tmp_path)[0]


def test_an_encrypted_zip_is_refused(path, tmp_path):
    buffer = io.BytesIO(verify.canonical({"a": b"x"}))
    content = bytearray(buffer.getvalue())
    for mark, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.index(mark) + offset] |= 1
    (tmp_path / "b.zip").write_bytes(content)
    assert any("encrypted" in fault for fault in verify.faults(tmp_path / "b.zip"))


SHIPPED = config.read(REPOSITORY / "config.yaml")
STARTED = json.dumps(config.record(SHIPPED, SHIPPED))


@pytest.mark.parametrize(
    ("started", "says"),
    [
        (STARTED.replace('"epochs": 20', '"epochs": 5'), "was made with other settings (epochs 20 there, 5 here)"),
        (STARTED.replace('"epochs": 20', '"epochs": 0'), "is no start"),
        ('{"preset": "quick"}', "is no start"),
        ("[]", "is no start"),
        ("quick", "is no JSON"),
    ],
)
def test_what_does_not_fit_the_tables_is_refused(bundled, tmp_path, capsys, started, says):
    tables = bundled / "paper_artifact/archive/quick"
    names = ("project", "claims", "figures", "report", "explorer")
    folders = [str(folder) for name in names for folder in (f"--{name}", tmp_path)]
    arguments = ["bundle", *folders, "--tables", str(tables), "--started", started, "--out", str(tmp_path / "b.zip")]
    try:
        code = main(arguments)
    except SystemExit as stopped:
        code = stopped.code
    error = capsys.readouterr().err
    assert code in (1, 2) and says in error and len(error.splitlines()) == 1 and not (tmp_path / "b.zip").exists()


def test_a_missing_file_is_named(bundled, tmp_path):
    arguments = {"--project": REPOSITORY, "--tables": bundled / "paper_artifact/archive/quick", "--started": STARTED}
    arguments |= {"--figures": tmp_path, "--claims": bundled / "results/claims", "--report": tmp_path}
    arguments |= {"--explorer": tmp_path}
    arguments |= {"--out": tmp_path / "b.zip"}
    command = [sys.executable, "-m", "einorm", "bundle", *(part for pair in arguments.items() for part in pair)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1 and "is missing: make it with snakemake artifact" in done.stderr
    assert len(done.stderr.splitlines()) == 1 and not (tmp_path / "b.zip").exists()
