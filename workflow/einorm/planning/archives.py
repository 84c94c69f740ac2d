"""Archives that a workflow shows, takes runs from, or compares with others."""

import sys
from pathlib import Path

from ..records import archive, lineage, tables
from ..runtime import PROJECT
from ..settings import Settings
from .surroundings import relative

ARTIFACT = PROJECT / "paper_artifact"


def archive_folder(settings: Settings, preset: str) -> Path:
    """Folder of the archive that the settings refer to, checked if it is used; relative to here where it can be.

    Raises
    ------
    UserError
        If it is used and is damaged or of other settings, or is missing; to take over runs (`reuse_archive`), the
        preset's own archive may be missing.
    """
    folder = Path(settings.archive).expanduser() if settings.archive else Path(relative(ARTIFACT / "archive" / preset))
    if settings.results == "computed" and not settings.reuse_archive:
        return folder
    if settings.results == "archive":
        archive.check(folder, settings)
        say_other_code(folder)
    elif settings.archive or folder.exists():
        archive.check(folder)
    return folder


def compared(name: str, kind: str, settings: Settings, preset: str, folder: Path) -> list[str]:
    """Path of the runs of a preset, to be shown next to those of others as a kind of `archive.KINDS`.

    They are the chosen preset's own, unless its settings were changed to runs of another kind, else those of the
    archive of this name. The path is in a list, which is empty where there is no such archive. Raises UserError where
    the archive is damaged.
    """
    if name == preset and archive.kind_of(settings.science()) == kind:
        return [str(folder / "runs.parquet")]
    released = Path(relative(ARTIFACT / "archive" / name))
    if not released.exists():
        return []
    archive.check(released)
    return [str(released / "runs.parquet")]


def say_other_code(folder: Path) -> None:
    """Print a note where an archive was trained by code that is not known to give the results of today's."""
    runs = tables.read(folder / "runs.parquet", "runs")
    other = sum(cell["runs"] for cell in lineage.of_cells(runs) if cell["relation"] == "other")
    if other:
        print(
            f"einorm: note: {other} of the {len(runs)} runs in {folder} were trained by older code, which is not known "
            "to give the results of today's (python -m einorm lineage)",
            file=sys.stderr,
        )
