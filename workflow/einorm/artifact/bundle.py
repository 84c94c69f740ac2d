"""The bundle: one zip, ready for a DOI, with everything that the artifact claims and what it was made with and from."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..figures import FOREST, names
from ..records import archive, tables
from ..records.tables import TABLES
from ..runtime import UserError, atomic_path
from ..settings import Settings, describe_difference
from ..variants import may_collapse
from . import crate, sources
from .verify import CRATE, SUMS, canonical


def write(
    project: Path | str,
    tables_folder: Path | str,
    claims_folder: Path | str,
    figures_folder: Path | str,
    pages: Mapping[str, Path | str],
    started: dict[str, Any],
    out: Path | str,
) -> None:
    """Write the bundle; equal files give equal bytes.

    Parameters
    ----------
    project : folder of the project
    tables_folder, claims_folder, figures_folder : what the workflow made
    pages : name in the bundle -> path, of the report and the explorer
    started : preset, settings and overrides that the workflow ran with (`config.record`)
    out : path of the zip

    Raises
    ------
    UserError
        If a file is missing, or the tables were made with other settings.
    """
    own = sources.files(Path(project))
    made = {f"results/tables/{name}.parquet": Path(tables_folder) / f"{name}.parquet" for name in TABLES}
    made |= {f"results/claims/{name}": Path(claims_folder) / name for name in ("claims.csv", "claims.parquet")}
    settings = Settings(**started["settings"])
    check_settings(made["results/tables/runs.parquet"], settings)
    made |= {f"results/claims/{name}": Path(claims_folder) / name for name in claims_files(settings)}
    made |= {
        f"figures/{n}.{kind}": Path(figures_folder) / f"{n}.{kind}"
        for n in [*names(settings.tasks, settings.variants, settings.dataset), FOREST]
        for kind in (settings.format, "png", "csv")
    }
    made |= {name: Path(path) for name, path in pages.items()}
    files = {name: content(path) for name, path in (own | made).items()}
    files[CRATE] = crate.describe(files, list(made), started, archive.trainings(Path(tables_folder)))
    files[SUMS] = "".join(f"{sha256(files[name])}  {name}\n" for name in sorted(files)).encode()
    with atomic_path(out) as temporary:
        temporary.write_bytes(canonical(files))
    print(f"{out}: {len(files)} files, {sum(map(len, files.values())) / 2**20:.1f} MB")


def claims_files(settings: Settings) -> list[str]:
    """Names of the tables of results/claims that settings have, without claims.csv and claims.parquet."""
    names = ["comparisons", "oddities", "published_check", "robustness", "side_by_side", "evidence"]
    names += [
        "run_by_run",
        "run_by_run_points",
        "run_by_run_cells",
        "run_by_run_pairs",
        "late_effects",
        "effects_by_epoch",
    ]
    names += ["collapses", "collapsed_runs"] if may_collapse(settings.variants) else []
    return [f"{name}.csv" for name in names]


def check_settings(path: Path, settings: Settings) -> None:
    """Raise UserError where a table was not made with the settings that the crate is about to tell."""
    made_with = tables.read(path, "runs").attrs["settings"]
    if tables.settings_digest(made_with) != tables.settings_digest(settings.science()):
        difference = describe_difference(made_with, settings.science())
        raise UserError(f"{path} was made with other settings ({difference}): run snakemake artifact")


def content(path: Path) -> bytes:
    """Bytes of a file that must be there; raises UserError if it is not."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise UserError(f"{path} is missing: make it with snakemake artifact") from None


def sha256(data: bytes) -> str:
    """Sha256 (hex) of bytes."""
    return hashlib.sha256(data).hexdigest()
