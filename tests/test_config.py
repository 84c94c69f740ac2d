"""Configuration: presets, overrides, and one clear line for every mistake."""

import pytest
import yaml
from conftest import REPOSITORY
from einorm import config, hyperparameters
from einorm.conditions import CONDITIONS, Condition
from einorm.data import DATASETS
from einorm.records.codes import training_code
from einorm.runtime import UserError
from einorm.settings import Settings

SHIPPED = REPOSITORY / "config.yaml"


def load(*overrides, preset=None):
    return config.load(SHIPPED, preset, overrides)


def test_quick_is_the_default():
    settings = load()
    assert settings == load(preset="quick")
    assert settings.epsilons == [0, 0.75] and settings.configs == [0, 1, 2, 3] and settings.epochs == 20
    assert len(settings.conditions) == 10 and settings.train_images == 60000


def test_paper_is_as_published():
    settings = load("preset=paper")
    assert settings.epsilons == [0, 0.25, 0.5, 0.75] and settings.configs == list(range(30)) and settings.epochs == 50
    assert len(settings.conditions) == 14 and settings.batch_size == 32


def test_any_key_can_be_overridden():
    settings = load("epochs=3", "conditions=[inorm]", "machine={threads: 2}", "configs=[5, 7]", "data={path: /images}")
    assert settings.epochs == 3 and settings.conditions == ["inorm"] and settings.configs == [5, 7]
    assert settings.machine.threads == 2 and settings.machine.device == "auto" and settings.data.path == "/images"


def test_text_that_snakemake_leaves_in_lists_and_mappings_is_typed():
    """snakemake --config 'configs=[5]' 'machine={threads: 2}' hands over ['5'] and {'threads': '2'}."""
    raw = yaml.safe_load(SHIPPED.read_text())
    given = {"configs": ["5"], "epsilons": ["0", "7.5e-1"], "machine": {"threads": "2"}, "data": {"path": "null"}}
    settings = config.check(raw | given)
    assert settings.configs == [5] and settings.epsilons == [0, 0.75] and settings.machine.threads == 2
    assert settings.data.path is None


def test_machine_and_data_do_not_decide_results():
    assert load("machine={threads: 2}", "data={path: /images}").science() == load().science()


MISTAKES = {
    "preset=quik": ("preset", "quick"),
    "epochz=3": ("epochz", "epochs"),
    "machine={thread: 3}": ("thread", "threads"),
    "data={pth: x}": ("pth", "path"),
    "conditions=[inrm]": ("inrm", "inorm"),
    "conditions=[]": ("conditions", "at least 1"),
    "conditions=inorm": ("conditions", "list"),
    "conditions=[inorm, inorm]": ("conditions", "twice"),
    "epsilons=[1.5]": ("epsilons", "less than or equal to 1"),
    "epsilons=[-0.1]": ("epsilons", "greater than or equal to 0"),
    "epsilons=[a]": ("epsilons", "number"),
    "epsilons=[0.3333333]": ("epsilons", "more than six digits"),
    "epsilons=[.nan]": ("epsilons", "nan", "less than or equal to 1"),
    "epochs=0": ("epochs", "greater than or equal to 1"),
    "epochs=1.5": ("epochs", "integer"),
    "epochs=ten": ("epochs", "integer"),
    "batch_size=0": ("batch_size", "greater"),
    "configs=0": ("configs", "1 to 100"),
    "configs=101": ("configs", "1 to 100"),
    "configs=100000000000000": ("configs", "1 to 100"),
    "configs=[100]": ("configs", "0 to 99"),
    "train_images=70000": ("train_images", "60000"),
    "dataset=fashion": ("dataset", "fashion_mnist"),
    "tasks=[luminosty]": ("luminosty", "luminosity"),
    "seed=-1": ("seed", "greater"),
    "seed=4294967296": ("seed", "less than or equal to 4294967295"),
    "preset=[quick]": ("preset", "not known"),
    "epochs=2001-99-99": ("epochs=2001-99-99", "not YAML"),
    "machine={device: gpu}": ("machine.device", "'cuda'"),
    "machine={runs_per_batch: 0}": ("machine.runs_per_batch", "greater"),
    "machine=2": ("machine", "Machine"),
    "nonsense": ("nonsense", "key=value"),
}


@pytest.mark.parametrize("override", MISTAKES)
def test_a_mistake_gets_one_line_that_names_key_and_mend(override):
    with pytest.raises(UserError) as error:
        load(override)
    assert "\n" not in str(error.value)
    for word in MISTAKES[override]:
        assert word in str(error.value)


def test_a_key_misspelt_inside_a_preset_is_found_though_another_is_chosen(tmp_path):
    raw = yaml.safe_load(SHIPPED.read_text())
    raw["presets"]["paper"]["epoch"] = 3
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(raw))
    with pytest.raises(UserError, match="preset paper.*'epoch'.*did you mean 'epochs'"):
        config.load(tmp_path / "c.yaml")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("a: [", "is not YAML"),
        ("- 1", "must be a mapping"),
        ("preset: quick\npresets: {}", "`presets` must map"),
        ("preset: a\npresets: {a: {}}", "conditions is missing"),
    ],
)
def test_files_that_are_no_configuration(tmp_path, content, says):
    (tmp_path / "c.yaml").write_text(content)
    with pytest.raises(UserError, match=says):
        config.load(tmp_path / "c.yaml")


def test_a_file_without_presets_goes_over_the_shipped_one(tmp_path):
    """As Snakemake puts a --configfile over config.yaml."""
    (tmp_path / "mine.yaml").write_text("preset: smoke\nepochs: 7\nmachine: {threads: 2}\n")
    found, shipped = config.load(tmp_path / "mine.yaml"), config.load(REPOSITORY / "config.yaml", "smoke")
    assert (found.epochs, found.machine.threads) == (7, 2)
    assert found.model_copy(update={"epochs": shipped.epochs, "machine": shipped.machine}) == shipped
    assert config.check(config.complete(tmp_path / "mine.yaml")) == found
    assert config.preset_names(tmp_path / "mine.yaml") == config.preset_names(REPOSITORY / "config.yaml")


def test_a_variant_of_another_seed_that_has_the_same_is_refused():
    """Else a run would be compared with itself."""
    with pytest.raises(UserError, match="the variant seed1 has seed 1, and so has everything else"):
        config.load(REPOSITORY / "config.yaml", "robustness_seed", ["seed=1"])


@pytest.mark.parametrize(
    ("override", "says"),
    [("configs=a", "^config: configs = 'a': "), ("tasks=null", "^config: tasks = None: input should be a valid list$")],
)
def test_the_key_is_named_as_it_is_written(override, says):
    with pytest.raises(UserError, match=says):
        config.load(REPOSITORY / "config.yaml", "smoke", [override])


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(UserError, match="absent.yaml"):
        config.load(tmp_path / "absent.yaml")


@pytest.mark.parametrize("value", ["-0.001", "0", "nan"])
def test_learning_rates_must_be_positive(tmp_path, value):
    (tmp_path / "h.csv").write_text(f"config,lr,lr_wei,lr_wix,hidden_width\n0,{value},0.1,0.1,100\n")
    with pytest.raises(UserError, match="config 0: lr is"):
        hyperparameters.hyperparameters(tmp_path / "h.csv")


def test_the_published_configurations_lie_in_their_ranges():
    for configuration in hyperparameters.hyperparameters():
        assert 1e-3 <= configuration["lr"] <= 1e-2 and 100 <= configuration["hidden_width"] < 500
        assert 1e-5 <= configuration["lr_wei"] <= 1e-2 and 1e-2 <= configuration["lr_wix"] <= 1


@pytest.mark.parametrize(
    "overrides",
    [
        [],
        ["preset=paper"],
        ["results=archive"],
        ["preset=smoke", "conditions=[inorm, gradnorm_full]", "epochs=3", "machine={threads: 2}"],
    ],
)
def test_a_record_says_what_a_workflow_was_started_with(overrides):
    raw, shipped = config.read(SHIPPED, overrides), config.read(SHIPPED)
    record = config.record(raw, shipped)
    chosen = config.check(raw)
    assert record["preset"] == raw["preset"] and record["settings"]["archive"] == raw["preset"]
    assert Settings(**record["settings"] | {"archive": None}) == chosen
    assert [word.partition("=")[0] for word in record["overrides"]] == sorted(w.partition("=")[0] for w in overrides)
    assert config.load(SHIPPED, overrides=record["overrides"]) == chosen, "they can be given again"


def test_a_record_names_folders_without_their_place():
    raw = config.read(SHIPPED, ["archive=/home/me/runs/", "data={path: /home/me/images}"])
    record = config.record(raw, config.read(SHIPPED))
    assert record["settings"]["archive"] == "runs" and record["settings"]["data"] == {"path": "images"}
    assert record["overrides"] == ["archive=runs", 'data={"path": "images"}']


def test_a_record_counts_values_that_snakemake_hands_over_as_text():
    given = config.read(SHIPPED) | {"configs": ["5"], "preset": "quick"}
    assert config.record(given, config.read(SHIPPED))["overrides"] == ["configs=[5]"]


def test_fewer_epsilons_are_fewer_runs_of_the_lambda_sweep():
    assert load("preset=paper", "epsilons=[0.25]").lambda_epsilons == []
    assert load("preset=paper", "epsilons=[0, 0.75]").lambda_epsilons == [0.75] == load("preset=paper").lambda_epsilons
    assert load("preset=paper", "epsilons=[0.25]", "lambda_epsilons=[0.5]").lambda_epsilons == [0.5]
    with pytest.raises(UserError, match="give lambda_epsilons"):
        load("preset=paper", "epsilons=[0.25]", "conditions=[inorm_lambda]")


def test_divisive_inhibition_needs_as_many_pixels_as_units(monkeypatch):
    monkeypatch.setitem(DATASETS, "mnist", DATASETS["mnist"] | {"pixels": 64})
    with pytest.raises(UserError, match="images of mnist have 64, configuration 0 has"):
        config.load(REPOSITORY / "config.yaml", "quick", ["dataset=mnist"])
    config.load(REPOSITORY / "config.yaml", "quick", ["dataset=mnist", "conditions=[ei_ln, inorm_sub]"])


@pytest.mark.parametrize(
    ("entry", "says"),
    [
        (("inrom", "learned", "center", "Mine"), "layer 'inrom' is not known; did you mean 'inorm'?"),
        (("ei", "LN", "center", "Mine"), "normalization 'LN' is not known"),
        (("ei", "learned", "center", "Mine"), "ei has none"),
        (("inorm", "ln", "center", "Mine"), "inorm has Wix, Bix"),
    ],
)
def test_a_condition_with_a_mistake_is_refused_where_it_is_written(entry, says):
    with pytest.raises(UserError, match="the condition 'Mine': ") as caught:
        Condition(*entry)
    assert says in str(caught.value)


def test_an_error_signal_that_nothing_computes_is_refused_before_training(monkeypatch):
    monkeypatch.setitem(CONDITIONS, "mine", Condition("inorm", "learned", "centre", "Mine"))
    with pytest.raises(UserError, match="mine: error_signal 'centre' is not known; did you mean 'center'?"):
        training_code("mine", "luminosity")
