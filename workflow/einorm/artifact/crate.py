"""The RO-Crate of a bundle: what trained, where; what drew, from which configuration; and every file with its hash.

Two kinds of actions are described. ``#run`` is the run of the workflow that drew figures and verdicts. ``#training-1``
and so on are the trainings behind its tables, done by it or, with results=archive, before it and elsewhere.
"""

import json
import mimetypes
import shlex
import tempfile
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import yaml
from rocrate.model.contextentity import ContextEntity
from rocrate.rocrate import ROCrate

from ..data import checksums
from ..records import provenance
from ..records.costs import hours_in_words
from ..settings import Settings

Files = dict[str, bytes]  # of a bundle, by name
# Of the project's files, with the published values, the inputs of the run.
INPUTS = ("config.yaml", "paper_artifact/claims.yaml")
HYPERPARAMETERS = "workflow/einorm/hyperparameters.csv"
TABLES = "results/tables/"
TRAINED = tuple(f"{TABLES}{name}.parquet" for name in ("runs", "epochs", "costs"))
PROFILES = {
    "https://w3id.org/ro/wfrun/process/0.5": "Process Run Crate",
    "https://w3id.org/ro/wfrun/workflow/0.5": "Workflow Run Crate",
    "https://w3id.org/workflowhub/workflow-ro-crate/1.0": "Workflow RO-Crate",
}
TERMS = "https://w3id.org/ro/terms/workflow-run#"
BIOSCHEMAS = "https://bioschemas.org/profiles"
HOMES = {
    "matplotlib": "https://matplotlib.org",
    "numpy": "https://numpy.org",
    "pandas": "https://pandas.pydata.org",
    "pyarrow": "https://arrow.apache.org",
    "python": "https://www.python.org",
    "scipy": "https://scipy.org",
    "seaborn": "https://seaborn.pydata.org",
    "snakemake": "https://snakemake.github.io",
    "torch": "https://pytorch.org",
}
LICENSES = {"MIT": ("https://spdx.org/licenses/MIT", "MIT License")}
COMPLETED = "http://schema.org/CompletedActionStatus"
TYPES = {
    ".md": "text/markdown",
    ".parquet": "application/vnd.apache.parquet",
    ".smk": "text/x-snakemake",
    ".lock": "text/plain",
    ".rst": "text/x-rst",
}


def describe(files: Files, made: list[str], started: dict[str, Any], trainings: list[provenance.Facts]) -> bytes:
    """The RO-Crate metadata of a bundle (Workflow Run Crate 0.5 on RO-Crate 1.1), as bytes.

    Parameters
    ----------
    files : mapping name -> bytes
    made : names of the tables and of what was drawn from them; the other files are the project's own
    started : preset, settings and overrides that the workflow ran with (`config.record`)
    trainings : what trained the runs of the tables (`provenance.trainings`)
    """
    citation = yaml.safe_load(files["CITATION.cff"])
    crate = ROCrate(version="1.1")
    crate.metadata.extra_terms["sha256"] = f"{TERMS}sha256"  # RO-Crate 1.1 itself has no such term
    entities = add_files(crate, files)
    workflow = crate.mainEntity
    about_the_root(crate, citation, started["preset"], entities)
    about_the_workflow(crate, workflow, citation)
    dataset = started["settings"]["dataset"]
    images = add(crate, f"#{dataset}", "Dataset", name=dataset, description=json.dumps(checksums(dataset)))
    data = [images, entities[HYPERPARAMETERS]]
    run = add_run(crate, entities, made, started, data)
    crate.root_dataset["mentions"] = [run, *add_trainings(crate, entities, trainings, data)]
    metadata = crate.metadata.generate()
    metadata["@graph"].sort(key=lambda entity: entity["@id"])
    return (json.dumps(metadata, indent=1, sort_keys=True) + "\n").encode()


def add_files(crate: ROCrate, files: Files) -> dict[str, Any]:
    """Add every file; name -> entity. The Snakefile becomes the crate's workflow."""
    with tempfile.NamedTemporaryFile() as stand_in:  # rocrate wants a source; the zip is written by `verify.canonical`
        kind = {"main": True, "lang": "snakemake", "properties": facts("Snakefile", files)}
        entities = {"Snakefile": crate.add_workflow(stand_in.name, "Snakefile", **kind)}
        for name in sorted(set(files) - {"Snakefile"}):
            entities[name] = crate.add_file(stand_in.name, name, properties=facts(name, files))
    return entities


def facts(name: str, files: Files) -> dict[str, str]:
    """Size, hash and media type of a file, for the crate."""
    # Python's own table: the one of the operating system differs between machines, the bundle must not.
    kind = TYPES.get(Path(name).suffix) or mimetypes.MimeTypes().guess_type(name)[0] or "text/plain"
    size = str(len(files[name]))
    return {"name": name, "encodingFormat": kind, "contentSize": size, "sha256": sha256(files[name]).hexdigest()}


def add(crate: ROCrate, identifier: str, kind: str, **properties: Any) -> ContextEntity:
    """Add an entity that is no file."""
    return crate.add(ContextEntity(crate, identifier, properties={"@type": kind} | properties))


def about_the_root(crate: ROCrate, citation: dict[str, Any], preset: str, entities: dict[str, Any]) -> None:
    """Name, authors, licence and profiles of the crate."""
    crate.name = f"{citation['title']} ({preset} preset)"
    crate.description = "Source, inputs, tables, figures and verdicts of one run of the workflow."
    crate.datePublished = datetime.combine(citation["date-released"], datetime.min.time(), UTC)
    url, name = LICENSES[citation["license"]]
    root = crate.root_dataset
    root["license"] = add(crate, url, "CreativeWork", name=name)
    authors = [
        add(crate, f"#author-{i}", "Organization" if "name" in author else "Person", name=full_name(author))
        for i, author in enumerate(citation["authors"], 1)
    ]
    root["author"] = authors if authors[1:] else authors[0]
    root["conformsTo"] = [
        add(crate, url, "CreativeWork", name=name, version=url.rsplit("/", 1)[1]) for url, name in PROFILES.items()
    ]
    entities["README.md"]["about"] = root


def full_name(author: dict[str, str]) -> str:
    """Name of an author of CITATION.cff, a person or an entity."""
    return author.get("name") or f"{author['given-names']} {author['family-names']}"


def about_the_workflow(crate: ROCrate, workflow: Any, citation: dict[str, Any]) -> None:
    """Version of the workflow, and what it drew with."""
    here = provenance.drawing()
    workflow["version"] = citation["version"]
    workflow["conformsTo"] = profile(crate, "ComputationalWorkflow")
    workflow.get("programmingLanguage")["version"] = here["versions"].get("snakemake", "unknown")
    workflow["runtimePlatform"] = f"Python {here['versions']['python']} on {here['system']}"
    workflow["softwareRequirements"] = [package(crate, *item) for item in here["versions"].items()]


def profile(crate: ROCrate, name: str) -> ContextEntity:
    """A Bioschemas profile."""
    return add(crate, f"{BIOSCHEMAS}/{name}/1.0-RELEASE", "CreativeWork", name=f"Bioschemas {name}", version="1.0")


def package(crate: ROCrate, name: str, version: str) -> ContextEntity:
    """A version of a package, named by its home page where that is known."""
    home = {"url": HOMES[name]} if name in HOMES else {}
    identifier = f"{home.get('url', '')}#{name}-{version}"
    return add(crate, identifier, "SoftwareApplication", name=name, softwareVersion=version, **home)


def value(crate: ROCrate, identifier: str, name: str, content: Any, **properties: Any) -> ContextEntity:
    """A named value; what is no text is written as JSON."""
    text = content if isinstance(content, str) else json.dumps(content, sort_keys=True)
    return add(crate, identifier, "PropertyValue", name=name, value=text, **properties)


def add_run(crate: ROCrate, entities: dict[str, Any], made: list[str], started: dict[str, Any], data: list[Any]) -> Any:
    """The action that drew figures and verdicts, and trained before that unless the tables are an archive's."""
    archived, overrides = started["settings"]["results"] == "archive", started["overrides"]
    tables = [name for name in made if name.startswith(TABLES)]
    inputs = [name for name in sorted(entities) if name in INPUTS or name.startswith("paper_artifact/published/")]
    inputs = [entities[name] for name in inputs + (tables if archived else [])] + ([] if archived else data)
    did = (
        f"Drew figures, verdicts and report from the tables of the archive {started['settings']['archive']}, "
        "whose runs were trained before (see #training-1)."
        if archived
        else "Trained the runs that were not finished before (see #training-1), and drew figures, verdicts and report."
    )
    properties = {
        "name": shlex.join(["snakemake", "artifact", *(["--config", *overrides] if overrides else [])]),
        "description": f"{did} Configuration: config.yaml with the values that are objects of this action.",
        "actionStatus": COMPLETED,
    }
    return crate.add_action(
        crate.mainEntity,
        identifier="#run",
        object=inputs + parameters(crate, started),
        result=[entities[name] for name in sorted(made) if not (archived and name in tables)],
        properties=properties,
    )


def parameters(crate: ROCrate, started: dict[str, Any]) -> list[ContextEntity]:
    """The configuration that the workflow ran with: a value per key, each of a parameter of the workflow."""
    conforms, formal, actual = profile(crate, "FormalParameter"), [], []
    for name, content in {"preset": started["preset"], **started["settings"]}.items():
        field = Settings.model_fields.get(name)
        texts = {"name": name, "description": (field and field.description) or f"block or name of config.yaml: {name}"}
        given = value(crate, f"#value-{name}", name, content)
        parameter = add(
            crate, f"#parameter-{name}", "FormalParameter", additionalType="Text", conformsTo=conforms, **texts
        )
        parameter["workExample"], given["exampleOfWork"] = given, parameter
        formal.append(parameter)
        actual.append(given)
    crate.mainEntity["input"] = formal
    return actual


def add_trainings(
    crate: ROCrate, entities: dict[str, Any], trainings: list[provenance.Facts], data: list[Any]
) -> list[Any]:
    """The actions that trained the runs of the tables, one per combination of machine, versions, device and threads."""
    places, actions = [], []
    for i, training in enumerate(trainings, 1):
        name, versions = f"#training-{i}", dict(training["versions"])
        if training["machine"] and training["machine"] not in places:
            places.append(training["machine"])
        trainer = add(crate, f"{name}-einorm", "SoftwareApplication", name="einorm")
        trainer["softwareVersion"] = versions.pop("einorm", "unknown")
        trainer["softwareRequirements"] = [package(crate, *item) for item in versions.items()]
        chosen = [value(crate, f"{name}-{key}", key, training[key]) for key in ("device", "threads")]
        properties = {
            "name": f"Training of {training['runs']:,} runs",
            "description": f"Took {hours_in_words(training, 2)}.",
            "actionStatus": COMPLETED,
        }
        results = [entities[table] for table in TRAINED]
        action = crate.add_action(trainer, identifier=name, object=data + chosen, result=results, properties=properties)
        if training["machine"]:
            number = places.index(training["machine"]) + 1
            action["location"] = place(crate, f"#machine-{number}", training["machine"])
        actions.append(action)
    return actions


def place(crate: ROCrate, identifier: str, machine: provenance.Facts) -> ContextEntity:
    """A machine as the place of an action: schema.org knows no computer."""
    facts = [value(crate, f"{identifier}-{name}", name, content) for name, content in machine.items()]
    return add(crate, identifier, "Place", name=provenance.machine_name(machine), additionalProperty=facts)
