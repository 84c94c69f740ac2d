"""Reading a config: YAML with its presets and overrides, unknown keys refused, every mistake one line.

`check` turns the mapping that Snakemake or a YAML file gives into checked `settings.Settings`: the preset's block,
with the keys of the top level put over it.
"""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from .runtime import PROJECT, UserError, nearest
from .settings import LAMBDA_EPSILONS, Settings


def check(raw: dict[str, Any], preset: str | None = None) -> Settings:
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
    chosen = check(raw).model_dump()
    chosen["archive"] = Path(chosen["archive"]).name if chosen["archive"] else raw["preset"]
    chosen["data"]["path"] = chosen["data"]["path"] and Path(chosen["data"]["path"]).name
    given = {key: value for key, value in _typed(raw).items() if value != shipped.get(key)}
    given |= {key: chosen[key] for key in ("archive", "data") if key in given}
    words = [f"{key}={value if isinstance(value, str) else json.dumps(value)}" for key, value in sorted(given.items())]
    return {"preset": raw["preset"], "settings": chosen, "overrides": words}


def load(path: Path | str, preset: str | None = None, overrides: Iterable[str] = ()) -> Settings:
    """Settings from a YAML file and ``key=value`` overrides, as Snakemake's ``--config`` takes them.

    A file without presets goes over config.yaml, as one that Snakemake gets with ``--configfile``.

    Raises
    ------
    UserError
        If the file is missing or not YAML, or as `check` does.
    """
    return check(complete(path, overrides), preset)


def complete(path: Path | str, overrides: Iterable[str] = ()) -> dict[str, Any]:
    """The raw mapping of `load`, with presets. Raises UserError as `read`."""
    raw = read(path, overrides)
    return raw if "presets" in raw else _merge(read(PROJECT / "config.yaml"), raw)


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
    """Names of the presets of `complete`, in their order. Raises UserError as `read`."""
    presets = complete(path).get("presets")
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
