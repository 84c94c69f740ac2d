"""The project's own files that the bundle holds, which are inputs of its rule."""

from pathlib import Path

# Of the project: what computes, what tests it, and what it is judged by.
SOURCES = (
    "Snakefile", "config.yaml", "Makefile", "pyproject.toml", "README.md", "LICENSE", "CITATION.cff", "CONTRIBUTING.md",
    "CHANGELOG.md", ".zenodo.json", ".devcontainer/*",
    ".snakemake-workflow-catalog.yml", ".github/**/*.yml", ".ci/run", "config/*", "envs/*", "workflow/Snakefile",
    "workflow/**/*.py", "workflow/**/*.smk", "workflow/**/*.yaml", "workflow/**/*.rst", "workflow/**/*.csv",
    "workflow/**/*.mplstyle", "workflow/einorm/artifact/page/*", "paper_artifact/*.yaml", "paper_artifact/*.py",
    "paper_artifact/*.md", "paper_artifact/*.json",
    "paper_artifact/published/*", "docs/*.md", "docs/claims/*.md", "docs/*.py", "docs/*.ipynb", "docs/pictures/*.svg",
    "docs/reference/*.md", "docs/*/*.png", "tests/*.py", "tests/golden/*",
)  # fmt: skip


def files(project: Path) -> dict[str, Path]:
    """Name in the bundle -> path, of the project's own files; `project` is its folder, a Path."""
    found = [path for pattern in SOURCES for path in project.glob(pattern) if path.is_file()]
    return {path.relative_to(project).as_posix(): path for path in found if "__pycache__" not in path.parts}
