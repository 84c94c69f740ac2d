"""What a config may hold: each key's type, default and limits, and what the keys must agree on.

This is the one source of truth for what is computed. `config` reads YAML and makes these settings of it.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationInfo,
    field_validator,
    model_validator,
)

from .conditions import CONDITIONS
from .data import DATASETS
from .hyperparameters import hyperparameters
from .runtime import nearest
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

    What is wrong raises pydantic's ValidationError, a ValueError; `config.check` makes one line of it.
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
    def enough_pixels(self) -> Self:
        """Divisive inhibition starts from singular vectors of Wex, of which there are no more than pixels."""
        pixels, rows = DATASETS[self.dataset]["pixels"], hyperparameters()
        wide = [config for config in self.configs if rows[config]["hidden_width"] > pixels]  # type: ignore[union-attr]
        divisive = [name for name in self.conditions if "Bix" in CONDITIONS[name].kind.blocks]
        if wide and divisive:
            raise ValueError(
                f"{divisive[0]} needs at least as many pixels as hidden units: images of {self.dataset} have {pixels}, "
                f"configuration {wide[0]} has {rows[wide[0]]['hidden_width']} units"
            )
        return self

    @model_validator(mode="after")
    def other_seeds(self) -> Self:
        """Refuse a variant that asks for another seed than the paper's way and gets the same."""
        same = [variant for variant in self.variants if VARIANTS[variant].get("seed") == self.seed]
        if same:
            raise ValueError(f"the variant {same[0]} has seed {self.seed}, and so has everything else: leave one out")
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


def describe_difference(theirs: Mapping[str, Any], ours: Mapping[str, Any]) -> str:
    """The keys in which two settings differ, in words."""
    keys = [key for key in {**theirs, **ours} if theirs.get(key) != ours.get(key)]
    return "; ".join(f"{key} {theirs.get(key)} there, {ours.get(key)} here" for key in keys) or "their order"
