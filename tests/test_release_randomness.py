"""The release's random numbers against NumPy's global generator and torch's own data loader, and pinned as data."""

import numpy as np
import pytest
import torch
from einorm import network, release_randomness, tasks
from einorm.conditions import CONDITIONS, KINDS
from einorm.release_randomness import draw_shifts, initial_network, sequence, worker_seed
from torch.utils.data import DataLoader, Dataset
from torch.utils.data._utils.worker import _generate_state  # private: only this test may need it

TRAIN, TEST, EPOCHS = 150, 70, 2  # neither is a multiple of 32; the number of batches is odd

# Made with the global generators, torch's data loader and its function for the workers' seeds (torch 2.14, NumPy 2.4).
FIRST_BASE_SEED = 900450186894289455
WORKER_0 = [3967694331, 3701901974, 3587100282, 1640741865]
WORKER_1 = [547667195, 2194033725, 4002515352, 3576076656]
# sequence -> 2 u - 1 of images 0, 1 (worker 0) and 32 (worker 1): training in epochs 1 and 2, test in epoch 1
FIRST_SHIFTS = {
    0: [
        [0.674328088760376, -0.22484329342842102, 0.3405410051345825],
        [0.08519401401281357, 0.7810524106025696, -0.49004676938056946],
        [0.9552041292190552, 0.7478809952735901, -0.5239048004150391],
    ],
    356: [
        [0.06723158806562424, -0.996123194694519, -0.49609705805778503],
        [0.990661084651947, 0.05896269530057907, -0.2510145306587219],
        [-0.6979540586471558, 0.18340669572353363, -0.6834612488746643],
    ],
}
# The first numbers of each array of the layers of a network of 784 inputs and hidden width 178.
FIRST_WEIGHTS = {
    "e": [
        {"Wex": [0.15556094, 0.049974877, 0.080900542]},
        {"Wex": [0.048836734, 0.86048871, 0.36073136]},
        {"Wex": [0.10484645, 0.14360164, 0.066087462]},
    ],
    "ei": [
        {"Wex": [0.15556094, 0.049974877, 0.080900542], "Wei": [0.018498749, 0.32594243, 0.13664056]},
        {"Wex": [0.10816199, 0.061740886, 0.01873298], "Wei": [0.023532405, 0.015793875, 0.043822166]},
        {"Wex": [0.050626311, 0.28643602, 0.044665802]},
    ],
    "inorm": [
        {"Wei": [0.018498749, 0.32594243, 0.13664056], "w": [0.0059143049, 0.0091555417, 0.0010544596]},
        {"Wei": [0.023532405, 0.015793875, 0.043822166], "w": [0.009913397, 0.0010571083, 0.0060995938]},
        {"Wex": [0.050626311, 0.28643602, 0.044665802]},
    ],
}


@pytest.fixture
def seeded():
    """Both global generators as the release seeds them; afterwards as they were."""
    before = np.random.get_state()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        np.random.seed(0)
        yield
    np.random.set_state(before)


class Draws(Dataset):
    """What the release draws for an image, with its arithmetic, in place of the image."""

    def __init__(self, n, epsilon):
        self.n, self.epsilon = n, epsilon

    def __len__(self):
        return self.n

    def __getitem__(self, i):
        return torch.zeros(1) + (np.random.rand() * 2 - 1) * self.epsilon  # a float32 pixel and a Python float


@pytest.mark.parametrize(("kind", "epsilon"), [("e", 0.75), ("inorm", 0.25)])
def test_shifts_are_those_of_a_data_loader_with_two_workers(kind, epsilon, seeded):
    width = 21
    if kind == "inorm":
        torch.rand(width), torch.rand(width)
    loaders = [DataLoader(Draws(n, epsilon), batch_size=32, shuffle=False, num_workers=2) for n in (TRAIN, TEST)]
    passes = [torch.cat(list(loaders[i])).squeeze(1).numpy() for _ in range(EPOCHS) for i in (0, 0, 1)]
    shifts = draw_shifts(tasks.draw_luminosity, epsilon, sequence(kind, width), EPOCHS, TRAIN, TEST)
    np.testing.assert_array_equal(shifts["train"], passes[0::3])
    np.testing.assert_array_equal(shifts["evaluation"], [evaluation[128:] for evaluation in passes[1::3]])
    np.testing.assert_array_equal(shifts["test"], passes[2::3])
    assert {d.dtype for d in shifts.values()} == {np.dtype(np.float32)}


def test_the_worker_seed_is_that_of_torch():
    bases = np.random.default_rng(0).integers(0, 2**63 - 1, 200).tolist()
    for base in (0, 1, 2**32 - 1, 2**32, 2**63 - 1, *bases):
        assert all(worker_seed(base, worker).tolist() == _generate_state(base, worker) for worker in (0, 1))


def test_the_worker_seed_is_pinned():
    """The first pass of E and E-I networks: torch's first base seed after seed 0."""
    first = torch.empty((), dtype=torch.int64).random_(generator=torch.Generator().manual_seed(0))
    assert int(first) == FIRST_BASE_SEED
    assert worker_seed(FIRST_BASE_SEED, 0).tolist() == WORKER_0
    assert worker_seed(FIRST_BASE_SEED, 1).tolist() == WORKER_1


def test_the_first_shifts_are_pinned():
    """u of the first images of both workers, of the release's networks without pooling weights and of width 178."""
    for before, first in FIRST_SHIFTS.items():
        shifts = draw_shifts(tasks.draw_luminosity, 1.0, before, 2, 60, 40)
        found = [shifts["train"][0, [0, 1, 32]], shifts["train"][1, [0, 1, 32]], shifts["test"][0, [0, 1, 32]]]
        np.testing.assert_array_equal(np.float32(found), np.float32(first))


def test_e_and_ei_networks_share_a_sequence_and_inorm_widths_do_not():
    def of(condition, width, **depth):
        return sequence(CONDITIONS[condition].layer, width, **depth)

    assert {of(condition, width) for condition in ("e_only_ln", "ei_none", "ei_ln") for width in (178, 210)} == {0}
    inorm = [name for name in release_randomness.PUBLISHED if CONDITIONS[name].layer == "inorm"]
    assert len(inorm) == 7 and {of(condition, 178) for condition in inorm} == {356}
    assert of("inorm", 178, hidden_layers=3) == 534
    tables = [draw_shifts(tasks.draw_luminosity, 0.5, n, 1, 64, 64) for n in (0, of("inorm", 178), of("inorm", 210))]
    for part in ("train", "evaluation", "test"):
        rows = [table[part] for table in tables]
        assert not (rows[0] == rows[1]).any() and not (rows[0] == rows[2]).any() and not (rows[1] == rows[2]).any()


def test_fewer_epochs_or_images_are_the_beginning_of_more():
    fewer = draw_shifts(tasks.draw_luminosity, 0.5, 356, 2, 100, 50)
    more = draw_shifts(tasks.draw_luminosity, 0.5, 356, 3, 300, 90)
    np.testing.assert_array_equal(fewer["train"], more["train"][:2, :100])
    np.testing.assert_array_equal(fewer["test"], more["test"][:2, :50])


def test_epsilon_scales_the_same_numbers_and_shifts_are_uniform():
    half, full = (draw_shifts(tasks.draw_luminosity, eps, 0, 1, 60000, 10000) for eps in (0.5, 1.0))
    for part, d in full.items():
        np.testing.assert_array_equal(half[part], d / 2)
        assert np.unique(d).size > 0.99 * d.size and abs(d).max() <= 1
    for part in ("train", "test"):  # five standard errors of the mean and of the share below -1/2
        n = full[part].size
        assert abs(full[part].mean()) < 5 / np.sqrt(3 * n)
        assert abs((full[part] < -0.5).mean() - 0.25) < 5 * np.sqrt(0.25 * 0.75 / n)
    assert full["evaluation"].shape == (1, 32)
    zero = draw_shifts(tasks.draw_luminosity, 0.0, 0, 1, 64, 64)
    assert not any(d.any() for d in zero.values())


def test_contrast_takes_the_same_numbers():
    luminosity, contrast = (draw_shifts(draw, 0.5, 0, 1, 64, 64) for draw, _ in tasks.TASKS.values())
    np.testing.assert_allclose(contrast["test"], 1 + luminosity["test"], rtol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_weights_are_drawn_in_one_stream_layer_by_layer(kind, seeded):
    width, n_in = 21, 50
    layers = initial_network(kind, n_in, width)
    assert len(layers) == 3
    for i, (layer, (n_e, inputs)) in enumerate(zip(layers, [(21, 50), (21, 21), (10, 21)], strict=True)):
        s = np.sqrt(2 * n_e / (inputs * (n_e - 1)))
        mu, sigma = np.log(s**2 / np.sqrt(s**2 + s**2)), np.sqrt(np.log(1 + s**2 / s**2))
        Wex = np.random.lognormal(mu, sigma, size=(n_e, inputs))
        np.testing.assert_array_equal(layer["Wex"].astype(np.float32), Wex.astype(np.float32))
        if kind != "e" or i == 2:
            Wei = np.random.lognormal(mu, sigma, size=(n_e, max(1, n_e // 10)))
            Wei /= Wei.sum(1, keepdims=True)
        if "Wei" in layer:
            np.testing.assert_allclose(layer["Wei"], Wei, rtol=1e-12)
            np.testing.assert_allclose(layer["Wix"], np.ones((Wei.shape[1], 1)) * Wex.mean(0), rtol=1e-12)
        if "Bix" in layer:  # its rows are determined but for their signs
            W = Wex - layer["Wei"] @ layer["Wix"] if "Wei" in layer else Wex
            _, S, Vt = np.linalg.svd(W, full_matrices=False)
            np.testing.assert_allclose(abs(layer["Bix"]), abs(S[:, None] * Vt), atol=1e-9)
        w = torch.rand(n_e)
        np.testing.assert_allclose(layer["w"], w / w.sum(), rtol=1e-6)
        assert not layer["b"].any() and layer["b"].shape == (n_e,)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("hidden_layers", [1, 2, 3])
def test_weights_have_the_form_of_our_own(kind, hidden_layers):
    own = network.initial_network(kind, 50, 21, 0, hidden_layers=hidden_layers)
    release = initial_network(kind, 50, 21, hidden_layers=hidden_layers)

    def form(layers):
        return [{name: (value.shape, value.dtype) for name, value in layer.items()} for layer in layers]

    assert form(release) == form(own)
    assert not (release[0]["Wex"] == own[0]["Wex"]).any()
    assert not (release[0]["Wex"] == initial_network(kind, 50, 21, seed=1)[0]["Wex"]).any()
    stacked = network.stack_network([kind] * hidden_layers + ["ei"], [release])
    np.testing.assert_array_equal(stacked[0].weights()["Wex"][0, :21], release[0]["Wex"].astype(np.float32))


def test_the_first_weights_are_pinned():
    for kind, layers in FIRST_WEIGHTS.items():
        for layer, first in zip(initial_network(kind, 784, 178), layers, strict=True):
            for name, values in first.items():
                np.testing.assert_allclose(layer[name].flat[: len(values)], values, rtol=1e-6)


def test_inhibited_networks_start_alike():
    ei, inorm, sub, div, e = (initial_network(kind, 50, 21) for kind in ("ei", "inorm", "inorm_sub", "inorm_div", "e"))
    for other in (inorm, sub, div):
        assert all((a["Wex"] == b["Wex"]).all() for a, b in zip(ei, other, strict=True))
    assert (e[0]["Wex"] == ei[0]["Wex"]).all() and not (e[1]["Wex"] == ei[1]["Wex"]).any()


def test_pooling_weights_leave_the_generator_where_the_shifts_begin():
    """The sequence of a width, which draws all pooling weights at once, is that of the layers' separate draws."""
    at_once, layerwise = (torch.Generator().manual_seed(0) for _ in range(2))
    torch.rand(sequence("inorm", 178), generator=at_once)
    torch.rand(178, generator=layerwise), torch.rand(178, generator=layerwise)
    assert torch.equal(at_once.get_state(), layerwise.get_state())


def test_the_global_generators_are_neither_used_nor_disturbed(seeded):
    def draw():
        return initial_network("inorm", 50, 21), draw_shifts(tasks.draw_luminosity, 0.5, 42, 2, 100, 50)

    numpy_before, torch_before = np.random.get_state(), torch.get_rng_state()
    weights, shifts = draw()
    assert all(np.array_equal(a, b) for a, b in zip(numpy_before, np.random.get_state(), strict=True))
    assert torch.equal(torch_before, torch.get_rng_state())
    np.random.seed(5)
    torch.manual_seed(5)
    again, shifts_again = draw()
    assert all((a["Wex"] == b["Wex"]).all() and (a["w"] == b["w"]).all() for a, b in zip(weights, again, strict=True))
    assert all((shifts[part] == shifts_again[part]).all() for part in shifts)


def test_published_conditions_are_those_of_the_paper():
    ours = {"inorm_sub", "inorm_div", "gradnorm_sub", "lateral_plastic", "e_error_only"}
    assert len(release_randomness.PUBLISHED) == 13
    assert set(CONDITIONS) - set(release_randomness.PUBLISHED) == ours
