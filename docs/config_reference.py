"""The config reference, docs/reference/config.md, from the typed config and config.yaml: `make docs-reference`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "workflow"))

from einorm import config
from einorm.conditions import CONDITIONS
from einorm.data import DATASETS
from einorm.records.jobs import jobs
from einorm.runtime import atomic_path
from einorm.settings import NOT_SCIENCE, Settings
from einorm.tasks import TASKS
from einorm.variants import ARCHIVED, VARIANTS

DOCS = Path(__file__).parent
PAGE, PRESETS = DOCS / "reference" / "config.md", DOCS.parent / "config.yaml"
SHOWN = ("conditions", "epsilons", "configs", "epochs")  # columns of the table of presets
TEXT = """\
# Config reference

Made by `docs/config_reference.py` from the typed config (`workflow/einorm/settings.py`) and `config.yaml`.

`config.yaml` says what is computed; Snakemake's options and profiles say how. Its key `preset` chooses a block of
`presets`. Every other key may be set in that block or at the top level, which overrides the block.
So does a key that is given on the command line, or in another file:

<!-- ci: plan -->
```bash
snakemake --cores 8 --config preset=quick epochs=5 'conditions=[inorm, gradnorm_full]' 'machine={{threads: 2}}'
echo 'epochs: 5' > mine.yaml
snakemake --cores 8 --configfile mine.yaml
```

Unknown keys are refused, with the nearest known one.

## What is computed

These keys decide the results: a table carries them, and an archive made with others is refused.

{science}

## How it is obtained

These keys decide no result. A profile may set them, too.

{how}

## Presets

The presets of `config.yaml`, with their numbers of runs and jobs on a CPU; `python -m einorm budget` adds the
core-hours on your machine.

{presets}

## Names

Tasks: {tasks}. Data sets: {datasets}.

### Conditions

From `workflow/einorm/conditions.py`. Lambda is the weight of the local loss; each of several values has separate runs.

{conditions}

### Variants

From `workflow/einorm/variants.py`: ways to train. Those that are only archived can be drawn
(`preset=robustness_precision results=archive`, and `preset=collapse_one_q results=archive` for `release_one_q`), not
trained.

{variants}
"""


def words(schema):
    """The type of a key in words, from its JSON schema."""
    if "anyOf" in schema:
        return " or ".join(map(words, schema["anyOf"]))
    if "enum" in schema or "const" in schema:
        return " or ".join(code(value) for value in schema.get("enum", [schema.get("const")]))
    if schema["type"] == "array":
        name, _, limits = words(schema["items"]).partition(" ")
        return f"list of {name}s {limits}".rstrip()
    name = {"string": "text", "boolean": "true or false"}.get(schema["type"], schema["type"])
    low, high = (schema.get(limit) for limit in ("minimum", "maximum"))
    if low is None:
        return name
    return f"{name} from {low:g}" + ("" if high is None else f" to {high:.15g}")


def code(value):
    """A value as a YAML file writes it."""
    if isinstance(value, list):
        return f"`[{plain(value)}]`"
    return "`null`" if value is None else f"`{str(value).lower() if isinstance(value, bool) else value}`"


def plain(value):
    """A value for reading."""
    if isinstance(value, list | tuple):
        return ", ".join(map(plain, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def table(header, rows):
    """A Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def keys(names):
    """Table of the keys of these names; those of a block with the block's name in front."""
    schema = Settings.model_json_schema()
    rows = []
    for name in names:
        entry = schema["properties"][name]
        block = schema["$defs"][entry["$ref"].split("/")[-1]]["properties"] if "$ref" in entry else {}
        fields = {f"{name}.{inner}": field for inner, field in block.items()} or {name: entry}
        for key, field in fields.items():
            default = code(field["default"]) if "default" in field else "by preset"
            rows.append([f"`{key}`", words(field), default, field["description"].replace("<", "\\<")])
    return table(["key", "type", "default", "meaning"], rows)


def presets():
    """Table of the presets: what each computes, and its numbers of runs and jobs."""
    rows = []
    for name in config.preset_names(PRESETS):
        settings = config.load(PRESETS, name)
        planned = jobs(settings).values()
        shown = [listed(settings, key) for key in SHOWN]
        rows.append([f"`{name}`", *shown, otherwise(settings), f"{sum(map(len, planned)):,}", f"{len(planned):,}"])
    return table(["preset", *SHOWN, "other keys", "runs", "jobs"], rows)


def listed(settings, key):
    """A key of a preset for reading: all conditions as "all", configurations 0, 1, 2, ... as their range."""
    value = getattr(settings, key)
    if key == "conditions" and set(value) == set(CONDITIONS):
        return f"all {len(value)}"
    if key == "configs" and value == list(range(len(value))):
        return f"0 to {len(value) - 1}"
    return plain(value)


def otherwise(settings):
    """Keys of a preset outside of `SHOWN` that are not at their default."""
    values = {name: value for name, value in settings if name not in (*SHOWN, *NOT_SCIENCE)}
    defaults = {name: field.default for name, field in Settings.model_fields.items()}
    return ", ".join(f"{name} {code(value)}" for name, value in values.items() if value != defaults[name])


def page():
    """The page's text."""
    conditions = [
        [f"`{name}`", c.label, f"`{c.layer}`", c.normalization, f"`{c.error_signal}`", plain(c.lambdas)]
        for name, c in CONDITIONS.items()
    ]
    variants = [
        [
            f"`{name}`",
            (", ".join(f"{key} {code(value)}" for key, value in changed.items()) or "as published")
            + (" (only archived)" if name in ARCHIVED else ""),
        ]
        for name, changed in VARIANTS.items()
    ]
    return TEXT.format(
        science=keys(name for name in Settings.model_fields if name not in NOT_SCIENCE),
        how=keys(NOT_SCIENCE),
        presets=presets(),
        tasks=", ".join(map(code, TASKS)),
        datasets=", ".join(map(code, DATASETS)),
        conditions=table(["condition", "label", "layer", "normalization", "error signal", "lambda"], conditions),
        variants=table(["variant", "what is different"], variants),
    )


if __name__ == "__main__":
    with atomic_path(PAGE) as temporary:
        temporary.write_text(page(), encoding="utf-8")
