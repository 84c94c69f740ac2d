"""The bundle: one zip, ready for a DOI, with everything that the artifact claims and what it was made with and from."""

import hashlib
import json
import mimetypes
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import yaml
from rocrate.model.contextentity import ContextEntity
from rocrate.rocrate import ROCrate

from . import tables
from .data import checksums
from .figures import names
from .plan import TABLES
from .runtime import UserError, atomic_path
from .verify import CRATE, SUMS, canonical

# Of the project: what computes, what tests it, and what it is judged by.
PROJECT = (
    "Snakefile", "config.yaml", "Makefile", "pyproject.toml", "README.md", "LICENSE", "CITATION.cff", "CONTRIBUTING.md",
    ".snakemake-workflow-catalog.yml", ".github/**/*.yml", ".ci/run", "config/README.md", "envs/*",
    "workflow/**/*.py", "workflow/**/*.smk", "workflow/**/*.yaml", "workflow/**/*.rst", "workflow/**/*.csv",
    "workflow/einorm/page/*", "paper_artifact/*.yaml", "paper_artifact/*.md", "paper_artifact/*.json",
    "paper_artifact/published/*", "docs/*.md", "docs/*.py", "docs/*.ipynb", "docs/pictures/*.svg",
    "docs/reference/*.md", "docs/robustness/*.png", "tests/*.py", "tests/golden/*",
)  # fmt: skip
# Of these, with the published values, the inputs of the run.
INPUTS = ("config.yaml", "workflow/einorm/hyperparameters.csv", "paper_artifact/claims.yaml")
PROFILES = {
    "https://w3id.org/ro/wfrun/process/0.5": "Process Run Crate",
    "https://w3id.org/ro/wfrun/workflow/0.5": "Workflow Run Crate",
    "https://w3id.org/workflowhub/workflow-ro-crate/1.0": "Workflow RO-Crate",
}
TYPES = {
    ".parquet": "application/vnd.apache.parquet",
    ".smk": "text/x-snakemake",
    ".lock": "text/plain",
    ".rst": "text/x-rst",
}


def write(project, tables_folder, claims_folder, figures_folder, report, preset, out):
    """Write the bundle; equal files give equal bytes.

    Parameters
    ----------
    project : folder of the project
    tables_folder, claims_folder, figures_folder, report : what the workflow made
    preset : name of the preset
    out : path of the zip

    Raises
    ------
    UserError
        If a file is missing.
    """
    sources = project_files(Path(project))
    made = {f"results/tables/{name}.parquet": Path(tables_folder) / f"{name}.parquet" for name in TABLES}
    made |= {f"results/claims/{path.name}": path for path in sorted(Path(claims_folder).glob("claims.*"))}
    settings = tables.read(made["results/tables/runs.parquet"], "runs").attrs["settings"]
    others = ("comparisons", "oddities", "published_check", "robustness")
    made |= {f"results/claims/{name}.csv": Path(claims_folder) / f"{name}.csv" for name in others}
    made |= {
        f"figures/{n}.{kind}": Path(figures_folder) / f"{n}.{kind}"
        for n in names(settings["tasks"], settings["variants"])
        for kind in ("pdf", "png", "csv")
    }
    made["report.html"] = Path(report)
    files = {name: content(path) for name, path in (sources | made).items()}
    files[CRATE] = describe(files, list(made), settings, preset)
    files[SUMS] = "".join(f"{sha256(files[name])}  {name}\n" for name in sorted(files)).encode()
    with atomic_path(out) as temporary:
        temporary.write_bytes(canonical(files))
    print(f"{out}: {len(files)} files, {sum(map(len, files.values())) / 2**20:.1f} MB")


def project_files(project):
    """Name in the bundle -> path, of the project's own files."""
    found = [path for pattern in PROJECT for path in project.glob(pattern) if path.is_file()]
    return {path.relative_to(project).as_posix(): path for path in found if "__pycache__" not in path.parts}


def content(path):
    """Bytes of a file that must be there; raises UserError if it is not."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise UserError(f"{path} is missing: make it with snakemake artifact") from None


def sha256(data):
    """Sha256 (hex) of bytes."""
    return hashlib.sha256(data).hexdigest()


def describe(files, made, settings, preset):
    """The RO-Crate metadata of the bundle (Workflow Run Crate 0.5 on RO-Crate 1.1), as bytes.

    Parameters
    ----------
    files : mapping name -> bytes
    made : names that the workflow made; the other files are its own, or inputs
    settings, preset : of the run
    """
    citation = yaml.safe_load(files["CITATION.cff"])
    crate = ROCrate(version="1.1")
    crate.name = f"{citation['title']} ({preset} preset)"
    crate.description = "Source, inputs, tables, figures and verdicts of one run of the workflow."
    crate.license = "https://spdx.org/licenses/MIT"
    crate.datePublished = datetime.combine(citation["date-released"], datetime.min.time(), UTC)
    entities = {}
    with tempfile.NamedTemporaryFile() as stand_in:  # rocrate wants a source; the zip is written by `canonical`
        workflow = crate.add_workflow(
            stand_in.name, "Snakefile", main=True, lang="snakemake", properties=facts("Snakefile", files)
        )
        for name in sorted(set(files) - {"Snakefile"}):
            entities[name] = crate.add_file(stand_in.name, name, properties=facts(name, files))
    inputs = [
        entities[name] for name in sorted(files) if name in INPUTS or name.startswith("paper_artifact/published/")
    ]
    images = {
        "@type": "Dataset",
        "name": settings["dataset"],
        "description": json.dumps(checksums(settings["dataset"])),
    }
    inputs.append(crate.add(ContextEntity(crate, f"#{settings['dataset']}", properties=images)))
    run = crate.add_action(
        workflow,
        identifier="#run",
        object=inputs,
        result=[entities[name] for name in sorted(made)],
        properties={
            "name": f"snakemake artifact --config preset={preset}",
            "description": f"Settings of the run: {json.dumps(settings, sort_keys=True)}",
            "actionStatus": "http://schema.org/CompletedActionStatus",
        },
    )
    profiles = [
        crate.add(
            ContextEntity(
                crate, url, properties={"@type": "CreativeWork", "name": name, "version": url.rsplit("/", 1)[1]}
            )
        )
        for url, name in PROFILES.items()
    ]
    crate.root_dataset["conformsTo"], crate.root_dataset["mentions"] = profiles, run
    metadata = crate.metadata.generate()
    metadata["@graph"].sort(key=lambda entity: entity["@id"])
    return (json.dumps(metadata, indent=1, sort_keys=True) + "\n").encode()


def facts(name, files):
    """Size, hash and media type of a file, for the crate."""
    # Python's own table: the one of the operating system differs between machines, the bundle must not.
    kind = TYPES.get(Path(name).suffix) or mimetypes.MimeTypes().guess_type(name)[0] or "text/plain"
    size = str(len(files[name]))
    return {"name": name, "encodingFormat": kind, "contentSize": size, "sha256": sha256(files[name])}
