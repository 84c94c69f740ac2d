"""Typed configuration: one source of truth for what is computed, unknown keys refused.

`settings` turns the mapping that Snakemake or a YAML file gives into a checked `Settings`: the preset's block,
with the keys of the top level put over it.
"""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from .conditions import CONDITIONS
from .data import DATASETS
from .hyperparameters import hyperparameters
from .runtime import PROJECT, UserError, nearest
from .tasks import TASKS
from .variants import VARIANTS

TRAIN_IMAGES, TEST_IMAGES = 60000, 10000
LAMBDA_EPSILONS = [0.75]
NOT_SCIENCE = ("results", "archive", "reuse_archive", "format", "data", "machine")  # keys that decide no result


class Strict(BaseModel):
    """A block of keys: unknown ones and values of another type are refused, nothing changes once it is made."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Data(Strict):
    """Where images come from."""

    path: str | None = Field(None, description="folder with the four IDX files, plain or .gz; null: find or fetch")


class Machine(Strict):
    """How training runs on this machine; nothing here decides a result beyond float rounding."""

    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="auto: CUDA when there is one")
    threads: int = Field(1, ge=1, le=256, description="threads of the maths in one job")
    runs_per_batch: Annotated[int, Field(ge=1, le=3000)] | Literal["auto"] = Field(
        "auto", description="runs side by side, a job each batch; auto: up to 4 of like width, all of a cell on cuda"
    )


def short_enough(epsilon: float) -> float:
    """The epsilon; refuse one that the names of files, which have six digits of it, would mix up with another."""
    if float(f"{epsilon:g}") != epsilon:
        raise ValueError(f"{epsilon} has more than six digits: round it")
    return epsilon


Epsilon = Annotated[float, Field(ge=0, le=1, strict=False), AfterValidator(short_enough)]


class Settings(Strict):
    """Everything that decides a result, and how it is obtained. The config reference lists the keys.

    What is wrong raises pydantic's ValidationError, a ValueError; `settings` makes one line of it.
    """

    tasks: list[str] = Field(["luminosity"], min_length=1, description="tasks to learn")
    dataset: str = Field("fashion_mnist", description="images")
    variants: list[str] = Field(["paper"], min_length=1, description="ids of variants.py; paper: trained as published")
    conditions: list[str] = Field(min_length=1, description="ids of conditions.py")
    epsilons: list[Epsilon] = Field(min_length=1, description="half-ranges of the shift, in [0, 1]")
    lambda_epsilons: list[Epsilon] = Field(
        LAMBDA_EPSILONS, description="epsilons of the lambda sweep; by default 0.75 if epsilons hold it, else none"
    )
    configs: int | list[int] = Field(description="the first n published configurations, or a list of them")
    seed: int = Field(0, ge=0, le=2**32 - 1, description="seeds every random stream")
    randomness: Literal["own", "release"] = Field(
        "own", description="initial weights and shifts: those of the published runs (release) or our own"
    )
    epochs: int = Field(ge=1, description="passes over the training images")
    train_images: int = Field(TRAIN_IMAGES, ge=1, le=TRAIN_IMAGES, description="images used, in file order")
    test_images: int = Field(TEST_IMAGES, ge=1, le=TEST_IMAGES, description="images tested on")
    batch_size: int = Field(32, ge=1, description="images per step")
    results: Literal["computed", "archive"] = Field(
        "computed", description="archive: draw released tables, train nothing"
    )
    archive: str | None = Field(None, description="folder of the archive; null: paper_artifact/archive/<preset>")
    reuse_archive: bool = Field(False, description="training takes over the archive's finished runs")
    format: Literal["pdf", "svg"] = Field("pdf", description="of the figures' vector graphics, next to PNG")
    data: Data = Data()
    machine: Machine = Machine()

    @field_validator("tasks", "variants", "conditions", "dataset")
    @classmethod
    def known_names(cls, value: Any, info: ValidationInfo) -> Any:
        """Refuse a name that nothing has."""
        named: dict[str, Any] = {"tasks": TASKS, "variants": VARIANTS, "conditions": CONDITIONS, "dataset": DATASETS}
        known = named[str(info.field_name)]
        for name in [value] if isinstance(value, str) else value:
            if name not in known:
                raise ValueError(f"{name!r} is not known{nearest(name, known)}")
        return value

    @field_validator("tasks", "variants", "conditions", "epsilons", "lambda_epsilons", "configs")
    @classmethod
    def no_duplicates(cls, value: Any) -> Any:
        """Refuse a list with a value twice."""
        if isinstance(value, list) and len(set(value)) < len(value):
            raise ValueError("a value is listed twice")
        return value

    @field_validator("configs")
    @classmethod
    def published_configs(cls, value: int | list[int]) -> list[int]:
        """Take a number of configurations for the first ones, and refuse those that are not published."""
        available = len(hyperparameters())
        chosen = value if isinstance(value, list) else list(range(min(value, available + 1)))
        if not chosen or min(chosen) < 0 or max(chosen) >= available:
            raise ValueError(f"configurations are 0 to {available - 1}: give a number from 1 to {available} or a list")
        return chosen

    @model_validator(mode="after")
    def enough_images(self) -> Self:
        """Held-out images are training images, and take the shifts of as many test images."""
        for variant in self.variants:
            held_out = VARIANTS[variant].get("validation_images", 0)
            if held_out and (held_out >= self.train_images or held_out > self.test_images):
                raise ValueError(
                    f"the variant {variant} holds out {held_out} training images: "
                    "train_images must be more, test_images as many"
                )
        return self

    @model_validator(mode="after")
    def some_runs(self) -> Self:
        """Refuse settings that ask for no run."""
        if set(self.conditions) == {"inorm_lambda"} and not self.lambda_epsilons:
            raise ValueError("the lambda sweep (condition inorm_lambda) has no epsilon: give lambda_epsilons")
        return self

    def science(self) -> dict[str, Any]:
        """The part that decides results, a dict of plain values.

        It has no `randomness` where that is our own, so that archives that are older than this key keep their digests.
        """
        return self.model_dump(exclude={*NOT_SCIENCE, *(("randomness",) if self.randomness == "own" else ())})


def settings(raw: dict[str, Any], preset: str | None = None) -> Settings:
    """Checked settings from a raw mapping (config.yaml with its overrides).

    Parameters
    ----------
    raw : mapping with `preset`, `presets` and any keys of `Settings`
    preset : str, takes the place of raw["preset"]

    Returns
    -------
    `Settings`

    Raises
    ------
    UserError
        One line that names the key and the mend.
    """
    raw = _typed(raw)
    presets = raw.pop("presets", None)
    chosen = raw.pop("preset", None) if preset is None else preset
    raw.pop("preset", None)
    if not isinstance(presets, dict) or not presets or not all(isinstance(block, dict) for block in presets.values()):
        raise UserError("config: `presets` must map names to blocks of keys, as in the config.yaml that is shipped")
    if not isinstance(chosen, str) or chosen not in presets:
        raise UserError(f"config: preset {chosen!r} is not known{nearest(chosen, presets)}")
    for where, block in [("config", raw), *((f"config, preset {name}", b) for name, b in presets.items())]:
        _refuse_unknown(where, block, Settings)
    merged = _merge(presets[chosen], raw)
    if isinstance(merged.get("epsilons"), list):  # fewer epsilons are fewer runs of the sweep, too
        merged = {"lambda_epsilons": [e for e in LAMBDA_EPSILONS if e in merged["epsilons"]]} | merged
    try:
        return Settings(**merged)
    except ValidationError as error:
        raise UserError(_one_line(error)) from None


def record(raw: dict[str, Any], shipped: Mapping[str, Any]) -> dict[str, Any]:
    """What a workflow was started with, in plain values for its record: no folder of this machine, only its name.

    Parameters
    ----------
    raw : the mapping that Snakemake gives, config.yaml with its overrides
    shipped : the mapping of config.yaml alone

    Returns
    -------
    dict
        preset; settings, all keys of `Settings`; overrides, the ``key=value`` that turn config.yaml into this.
    """
    chosen = settings(raw).model_dump()
    chosen["archive"] = Path(chosen["archive"]).name if chosen["archive"] else raw["preset"]
    chosen["data"]["path"] = chosen["data"]["path"] and Path(chosen["data"]["path"]).name
    given = {key: value for key, value in _typed(raw).items() if value != shipped.get(key)}
    given |= {key: chosen[key] for key in ("archive", "data") if key in given}
    words = [f"{key}={value if isinstance(value, str) else json.dumps(value)}" for key, value in sorted(given.items())]
    return {"preset": raw["preset"], "settings": chosen, "overrides": words}


def describe_difference(theirs: Mapping[str, Any], ours: Mapping[str, Any]) -> str:
    """The keys in which two settings differ, in words."""
    keys = [key for key in {**theirs, **ours} if theirs.get(key) != ours.get(key)]
    return "; ".join(f"{key} {theirs.get(key)} there, {ours.get(key)} here" for key in keys) or "their order"


def load(path: Path | str, preset: str | None = None, overrides: Iterable[str] = ()) -> Settings:
    """Settings from a YAML file and ``key=value`` overrides, as Snakemake's ``--config`` takes them.

    A file without presets goes over config.yaml, as one that Snakemake gets with ``--configfile``.

    Raises
    ------
    UserError
        If the file is missing or not YAML, or as `settings` does.
    """
    raw = read(path, overrides)
    if "presets" not in raw:
        raw = _merge(read(PROJECT / "config.yaml"), raw)
    return settings(raw, preset)


def read(path: Path | str, overrides: Iterable[str] = ()) -> dict[str, Any]:
    """The raw mapping of a YAML file with ``key=value`` overrides.

    Raises
    ------
    UserError
        If the file is missing or no YAML mapping, or an override is none.
    """
    raw = _read_yaml(path)
    for override in overrides:
        key, equals, value = override.partition("=")
        if not equals:
            raise UserError(f"{override!r} is no override: write key=value")
        try:
            raw[key] = yaml.safe_load(value)
        except (yaml.YAMLError, ValueError):  # ValueError: of a date that is none
            raise UserError(f"{override!r} is no override: what follows the = is not YAML") from None
    return raw


def preset_names(path: Path | str) -> list[str]:
    """Names of the presets of a YAML file, in its order. Raises UserError as `read`."""
    presets = _read_yaml(path).get("presets")
    return list(presets) if isinstance(presets, dict) else []


def _read_yaml(path: Path | str) -> dict[str, Any]:
    try:
        with open(path, encoding="utf-8") as file:
            raw = yaml.safe_load(file)
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}; run in the project's folder or name a file") from None
    except (yaml.YAMLError, ValueError) as error:  # ValueError: no UTF-8, or a date that is none
        raise UserError(f"{path} is not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(raw, dict):
        raise UserError(f"{path} must be a mapping of keys, as the file that is shipped")
    return raw


def _typed(value: Any) -> Any:
    """The value with numbers, booleans and null in their types.

    Inside lists and mappings, Snakemake's --config leaves them as text.
    """
    if isinstance(value, dict):
        return {key: _typed(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_typed(inner) for inner in value]
    if not isinstance(value, str):
        return value
    try:
        scalar = json.loads(value)
    except ValueError:
        return value
    return value if isinstance(scalar, str | list | dict) else scalar


def _merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in over.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = _merge(merged[key], value) if both else value
    return merged


def _refuse_unknown(where: str, block: Mapping[str, Any], model: type[BaseModel]) -> None:
    for key, value in block.items():
        if key not in model.model_fields:
            known = [*model.model_fields, *(("preset",) if where == "config" else ())]
            raise UserError(f"{where}: unknown key {key!r}{nearest(key, known)}")
        inner = model.model_fields[key].annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel) and isinstance(value, dict):
            _refuse_unknown(f"{where}, {key}", value, inner)


def _one_line(error: ValidationError) -> str:
    first = error.errors()[0]
    kinds = ("literal[", "constrained", "list[", "int")  # which of the allowed types it was not
    key = ".".join(str(part) for part in first["loc"] if not str(part).startswith(kinds))
    message = first["msg"].removeprefix("Value error, ")
    if first["type"] == "missing":
        return f"config: {key} is missing: give it at the top level or in the preset"
    if not key:
        return f"config: {message}"
    written = f"; write {key}=[{first['input']}]" if first["type"] == "list_type" and first["input"] is not None else ""
    return f"config: {key} = {first['input']!r}: {message[0].lower()}{message[1:]}{written}"
