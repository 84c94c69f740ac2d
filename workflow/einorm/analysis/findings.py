"""Findings of deviations.yaml: sentences whose numbers are queries on archives, claims and published values.

A sentence holds its numbers as ``{name}`` or ``{name:.2f}``. The entry's ``evidence`` says what each name is: a query,
with exactly one of these sources, narrowed by ``at`` (an epsilon) and ``where`` (a pandas expression):

- ``runs``: runs of a condition (or of several) in the archive, with the columns of `with_derived`
- ``robustness``: rows of a condition of `robustness.robustness`, of all archives of short runs
- ``published``: published runs of a condition of which every run was published
- ``box``: a published summary value, its ``statistic``, ``figure`` and ``metric``
- ``claim``: the row of a statement on all runs

``take`` reduces the column ``value`` to a number: one of `TAKE`, or ``p`` (Mann-Whitney against the query ``against``)
or ``correlation`` (Spearman's, with the column ``with``). ``smallest`` is the smallest of numbers with these names, and
a text in place of a query is a sum or difference of earlier numbers, which ``where`` may hold, too.
"""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from tokenize import TokenError
from typing import Any

import numpy as np
import pandas as pd
import yaml
from pandas import DataFrame

from .. import config
from ..records import tables
from ..records.archive import read_runs, read_runs_and_settings
from ..records.tables import layer_mean
from ..runtime import UserError, write_csv
from . import claims, published, stats
from .robustness import COLUMNS, robustness
from .selection import LN, as_published, of_task
from .statements import Rules, load_rules

Entry = dict[str, Any]  # of deviations.yaml
Query = dict[str, Any]
Sources = dict[str, DataFrame]
FILE = "evidence.csv"
SOURCES = ("runs", "robustness", "published", "box", "claim")
TEXTS = ("finding", "mechanism", "caveat", "short")  # of an entry, in the order of the pages; short: README's
STATUS = {"explained": "The cause is known.", "likely": "The cause is likely.", "open": "The cause is open."}
LAST_EPOCHS = 10  # over which moments of the activity are averaged
#: What every entry of deviations.yaml has.
KEYS = {"deviations": ("what", "original", "here", "why"), "findings": ("id", "title", "status", "figure", "finding")}
VALUE = {"claim": "effect", "robustness": "change", "box": "value"}  # what a query reads where it names no column
TAKE: dict[str, Callable[[Any], Any]] = {
    "median": np.median,
    "min": np.min,
    "max": np.max,
    "q1": lambda values: np.percentile(values, 25),
    "q3": lambda values: np.percentile(values, 75),
}


class NoValueError(UserError):
    """A query finds no value."""


def load(path: Path | str) -> dict[str, Any]:
    """Entries "deviations" and "findings" of a deviations.yaml; raises UserError if it cannot be read or lacks one."""
    texts = config.read(path)
    for name, keys in KEYS.items():
        if not isinstance(texts.get(name), list):
            raise UserError(f"{path}: the list {name} is missing")
        for i, entry in enumerate(texts[name]):
            missing = [key for key in keys if not isinstance(entry, dict) or key not in entry]
            if missing:
                raise UserError(f"{path}, {name}, entry {i + 1}: {', '.join(missing)} is missing")
    return texts


def write(
    folder: Path | str | None,
    robustness_folders: Iterable[Path | str],
    artifact: Path | str,
    published_folder: Path | str,
    out: Path | str,
) -> None:
    """Write the numbers of all findings to evidence.csv in a folder, with their queries.

    Parameters
    ----------
    folder : of the tables that the findings are about, or None: no numbers are written
    robustness_folders : folders of the tables of presets robustness_*
    artifact : folder of claims.yaml and deviations.yaml
    published_folder : of the published values
    out : folder of evidence.csv

    Raises
    ------
    UserError
        If a table, the texts or the published values cannot be read, or a query is wrong. One that finds no runs leaves
        its finding out.
    """
    entries = load(Path(artifact) / "deviations.yaml")["findings"]
    rows = []
    if folder is not None:
        sources = read(folder, robustness_folders, load_rules(Path(artifact) / "claims.yaml"), published_folder)
        for entry in entries:
            try:
                found = numbers(entry, sources)
            except NoValueError as error:  # runs are missing: read_filled leaves such a finding out
                print(f"left out: {error}")
                continue
            rows += [(entry["id"], name, value, in_words(entry["evidence"][name])) for name, value in found.items()]
    table = pd.DataFrame(rows, columns=["finding", "name", "value", "query"], dtype=object)  # 12 stays 12, not 12.0
    write_csv(table, Path(out) / FILE)
    print(f"{len(rows)} numbers of {len(entries)} findings")


def read(
    folder: Path | str, robustness_folders: Iterable[Path | str], rules: Rules, published_folder: Path | str
) -> Sources:
    """What queries read: source -> DataFrame."""
    (runs, settings), values = read_runs_and_settings(folder), published.load(published_folder)
    runs, epochs = of_task(runs), of_task(tables.read(Path(folder) / "epochs.parquet", "epochs"))
    short = [robustness(of_task(read_runs(one))) for one in robustness_folders]
    judged = claims.evaluate(rules, runs, settings, values)
    return {
        "runs": with_derived(as_published(runs), as_published(epochs)),
        "robustness": pd.concat(short) if short else pd.DataFrame(columns=COLUMNS),
        "published": values["complete"],
        "box": values["summary"],
        "claim": judged[judged["selection"] == "all"],
    }


def with_derived(runs: DataFrame, epochs: DataFrame) -> DataFrame:
    """Runs with further columns.

    Returns
    -------
    DataFrame
        Also from_<condition>, test accuracy minus that of the same configuration under LN+ or centering
        (points); rate, the rank of the learning rate lr among all configurations (1 is the lowest); late_mu0,
        late_mu1, late_var0 and late_var1, moments of the activity, means over the last epochs; var and
        gradient_alignment, the layers' means; best, the rank of the test accuracy in its cell (1 is the best)
    """
    key = ["epsilon", "config", "seed"]
    runs = runs.reset_index(drop=True)
    for condition in (LN, "gradnorm_center"):
        other = runs[runs["condition"] == condition].set_index(key)["test_acc"].rename("other")
        runs[f"from_{condition}"] = runs["test_acc"] - runs.join(other, on=key)["other"]
    runs["rate"] = runs["lr"].rank(method="dense").astype(int)
    runs["best"] = runs.groupby(["condition", "epsilon"])["test_acc"].rank(method="first", ascending=False)
    for metric in ("var", "gradient_alignment"):
        runs[metric] = layer_mean(runs, metric)
    late = epochs[epochs["epoch"] > epochs["epoch"].max() - LAST_EPOCHS]
    moments = late.groupby([*tables.KEYS])[["mu0", "mu1", "var0", "var1"]].mean().add_prefix("late_")
    return runs.join(moments, on=[*tables.KEYS])


def numbers(entry: Entry, sources: Sources) -> dict[str, Any]:
    """Name -> value (a number, or a word) of an entry's evidence.

    Raises NoValueError where a query finds nothing, UserError where it is wrong.
    """
    found: dict[str, Any] = {}
    for name, query in entry.get("evidence", {}).items():
        try:
            if isinstance(query, str):
                found[name] = float(pd.eval(query, engine="python", local_dict=found))
            elif "smallest" in query:
                found[name] = min(found[one] for one in query["smallest"])
            else:
                found[name] = answer(query, sources, found)
        except NoValueError as error:
            raise NoValueError(f"deviations.yaml, {entry['id']}, {name}: {error}") from None
        except (LookupError, ValueError, NameError, SyntaxError, TypeError, TokenError) as error:
            raise UserError(f"deviations.yaml, {entry['id']}, {name}: {error}") from None
    return found


def answer(query: Query, sources: Sources, found: Mapping[str, Any] | Iterable[tuple[str, Any]] = ()) -> Any:
    """The number, or the word, that a query asks for; found: earlier ones, by name.

    Raises NoValueError if there is none, ValueError if the query is wrong.
    """
    chosen = rows(query, sources, found)
    values = chosen[query.get("value", VALUE.get(source_of(query), "test_acc"))].dropna()
    take = query.get("take", "one" if source_of(query) in ("claim", "box") else "median")
    if take == "count":
        return len(chosen)
    if values.empty:
        raise NoValueError("no value")
    if take == "p":
        against = rows(query["against"], sources, found)["test_acc"]
        return float(stats.compare(values, against)["p"])
    if take == "correlation":
        return float(values.corr(chosen.loc[values.index, query["with"]], method="spearman"))
    if take == "one":
        if len(values) > 1:
            raise ValueError(f"{len(values)} values in place of one")
        return values.iloc[0]
    if take not in TAKE:
        raise ValueError(f"take must be count, p, correlation, one, or one of {', '.join(TAKE)}")
    return float(TAKE[take](values))


def rows(query: Query, sources: Sources, found: Mapping[str, Any] | Iterable[tuple[str, Any]] = ()) -> DataFrame:
    """The rows of its source that a query is about; as `answer`."""
    source = source_of(query)
    table, chosen = sources[source], query[source]
    table = table[table["id" if source == "claim" else "condition"] == chosen]
    if "at" in query:
        table = table[table["epsilon"] == (published.epsilon_name(query["at"]) if source == "box" else query["at"])]
    for name in ("figure", "statistic", "metric"):
        table = table[table[name] == query[name]] if name in query else table
    return table.query(query["where"].format(**dict(found)), engine="python") if "where" in query else table


def source_of(query: Query) -> str:
    """The source that a query names; raises ValueError if it does not name exactly one."""
    named = [source for source in SOURCES if source in query]
    if len(named) != 1:
        raise ValueError(f"a query names one of {', '.join(SOURCES)}")
    return named[0]


def in_words(query: Query | str) -> str:
    """A query on one line."""
    return query if isinstance(query, str) else yaml.safe_dump(query, default_flow_style=True, width=1000).strip()


def filled(entry: Entry, found: Mapping[str, Any]) -> Entry:
    """An entry with the numbers in its texts (`TEXTS`); raises UserError where a text asks for one that is missing."""
    try:
        return entry | {name: " ".join(entry[name].format(**found).split()) for name in TEXTS if name in entry}
    except (LookupError, ValueError) as error:
        raise UserError(f"deviations.yaml, {entry['id']}: a text asks for {error}, which its evidence lacks") from None


def read_filled(artifact: Path | str, claims_folder: Path | str) -> list[Entry]:
    """The findings as the report shows them: filled in from evidence.csv; those without numbers there are left out.

    Raises UserError if evidence.csv is missing.
    """
    path = Path(claims_folder) / FILE
    try:
        table = pd.read_csv(path, dtype={"value": str})
    except FileNotFoundError:
        raise UserError(f"{path} is missing: make it with snakemake evidence") from None
    found: dict[str, dict[str, Any]] = {}
    for row in table.to_dict("records"):
        found.setdefault(row["finding"], {})[row["name"]] = as_number(row["value"])
    entries = load(Path(artifact) / "deviations.yaml")["findings"]
    return [filled(entry, found[entry["id"]]) for entry in entries if entry["id"] in found]


def as_number(text: str) -> int | float | str:
    """A value of evidence.csv: a number where it is one, a whole one where it is written as one, else the word."""
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            pass
    return text
