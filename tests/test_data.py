"""Data sources and their checks, shift tables, shifted pixels."""

import gzip
import hashlib
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch
from einorm import data, network, tasks
from einorm.records import tables
from einorm.records.samples import write_samples
from einorm.runtime import UserError
from einorm.settings import Settings
from einorm.training import job
from hypothesis import given, settings
from hypothesis import strategies as st
from test_train import some_runs


def idx(array):
    """An array as the bytes of an IDX file."""
    header = bytes([0, 0, 8, array.ndim]) + b"".join(n.to_bytes(4, "big") for n in array.shape)
    return header + array.tobytes()


@pytest.fixture
def tiny(monkeypatch):
    """A data set of 12 + 3 images of 2 x 2 pixels in place of Fashion-MNIST: file name -> content."""
    return in_place_of_fashion_mnist(monkeypatch)


def in_place_of_fashion_mnist(monkeypatch, first=0, classes=10, pixels=4):
    """As `tiny`, with labels from `first` on, and an entry of so many pixels."""
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 256, (n, 2, 2), np.uint8) for n in (12, 3)]
    labels = [(np.arange(n) % classes + first).astype(np.uint8) for n in (12, 3)]
    arrays = [array for pair in zip(images, labels, strict=True) for array in pair]
    files = dict(zip(data.FILES, map(idx, arrays), strict=True))
    sums = tuple(hashlib.sha256(content).hexdigest() for content in files.values())
    entry = data.DATASETS["fashion_mnist"] | {"unpacked sha256": sums, "pixels": pixels}
    monkeypatch.setitem(data.DATASETS, "fashion_mnist", entry)
    return files


def put(folder, files, packed=False):
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / (f"{name}.gz" if packed else name)).write_bytes(gzip.compress(content) if packed else content)
    return folder


def unreachable(*_):
    raise UserError("not reached")


@pytest.fixture
def offline(monkeypatch):
    for source in ("_fetch_mirrors", "_fetch_debian"):
        monkeypatch.setattr(data, source, unreachable)


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("layout", [".", "FashionMNIST/raw"])
def test_data_path_in_every_form(tmp_path, tiny, packed, layout):
    put(tmp_path / "mine" / layout, tiny, packed)
    data.prepare("fashion_mnist", tmp_path / "out.npz", tmp_path / "downloads", tmp_path / "mine")
    arrays = data.load(tmp_path / "out.npz")
    assert arrays["train_images"].shape == (12, 4) and arrays["test_labels"].shape == (3,)
    assert arrays["train_images"].tobytes() in tiny["train-images-idx3-ubyte"]


def test_a_copy_in_downloads_comes_before_the_network(tmp_path, tiny, offline):
    put(tmp_path / "FashionMNIST" / "raw", tiny)
    data.prepare("fashion_mnist", tmp_path / "out.npz", tmp_path)
    assert len(data.load(tmp_path / "out.npz")["train_labels"]) == 12


def test_sources_are_tried_in_order(tmp_path, tiny, monkeypatch, capsys):
    put(tmp_path / "debian", tiny)
    monkeypatch.setattr(data, "_fetch_mirrors", unreachable)
    monkeypatch.setattr(data, "_fetch_debian", lambda dataset: data._read_folder(dataset, tmp_path / "debian"))
    data.prepare("fashion_mnist", tmp_path / "out.npz", tmp_path)
    assert "from Debian's package" in capsys.readouterr().out


def test_mirrors_that_cannot_be_reached_are_an_ordinary_failure(tmp_path, monkeypatch):
    import torchvision

    def refuse(*args, **kwargs):
        raise RuntimeError("Error downloading train-images-idx3-ubyte.gz")

    monkeypatch.setattr(torchvision.datasets, "FashionMNIST", refuse)
    with pytest.raises(UserError, match="Error downloading"):
        data._fetch_mirrors("fashion_mnist", tmp_path)


def test_a_data_set_without_mirrors_is_an_ordinary_failure(tmp_path, monkeypatch):
    monkeypatch.setitem(data.DATASETS, "own", data.DATASETS["mnist"] | {"torchvision": "OwnImages"})
    with pytest.raises(UserError, match="no source of own could be used.*its own mirrors: there are none"):
        data.prepare("own", tmp_path / "own.npz", tmp_path / "downloads")


def test_mirrors_are_read_from_torchvisions_folder(tmp_path, tiny, monkeypatch):
    import torchvision

    def download(root, download):
        put(Path(root) / "FashionMNIST" / "raw", tiny)

    monkeypatch.setattr(torchvision.datasets, "FashionMNIST", download)
    assert data._fetch_mirrors("fashion_mnist", tmp_path)["train_labels"].shape == (12,)


def test_debian_package_is_fetched_without_root(tmp_path, tiny, monkeypatch):
    monkeypatch.setattr(data, "DEBIAN_FOLDER", tmp_path / "not-installed")
    monkeypatch.setattr(data.shutil, "which", lambda name: f"/usr/bin/{name}")

    def run(command, cwd, **_):
        if command[0] == "apt-get":
            (Path(cwd) / "dataset.deb").touch()
        else:
            put(Path(cwd, *data.DEBIAN_FOLDER.parts[1:], "fashion-mnist"), tiny, packed=True)
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(data.subprocess, "run", run)
    assert data._fetch_debian("fashion_mnist")["test_labels"].shape == (3,)


@pytest.mark.parametrize(("tools", "says"), [(False, "not a Debian system"), (True, "E: no such package")])
def test_debian_package_out_of_reach(tmp_path, monkeypatch, tools, says):
    monkeypatch.setattr(data, "DEBIAN_FOLDER", tmp_path / "not-installed")
    monkeypatch.setattr(data.shutil, "which", lambda name: name if tools else None)
    failed = subprocess.CompletedProcess([], 100, "", "W: noise\nE: no such package\n")
    monkeypatch.setattr(data.subprocess, "run", lambda *args, **kwargs: failed)
    with pytest.raises(UserError, match=says):
        data._fetch_debian("fashion_mnist")


def test_when_all_sources_fail_one_line_names_the_choices(tmp_path, offline):
    with pytest.raises(UserError) as error:
        data.prepare("fashion_mnist", tmp_path / "out.npz", tmp_path)
    message = str(error.value)
    assert "\n" not in message
    for choice in ("'data={path: FOLDER}'", "apt-get install dataset-fashion-mnist", "mirrors"):
        assert choice in message
    assert not list(tmp_path.glob("*out*"))


def test_a_full_disk_is_no_failure_of_the_source(tmp_path, tiny, offline, monkeypatch):
    put(tmp_path / "FashionMNIST" / "raw", tiny)

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(data.np, "savez", full)
    with pytest.raises(UserError, match="no space left to write"):
        data.prepare("fashion_mnist", tmp_path / "out.npz", tmp_path)
    assert not list(tmp_path.glob("*out*"))


def break_truncate(path):
    path.write_bytes(path.read_bytes()[:-5])


def break_alter(path):
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(
    ("damage", "says"),
    [(break_truncate, "truncated|cannot be read"), (break_alter, "altered|cannot be read"), (Path.unlink, "holds no")],
)
def test_damaged_files_are_named_and_nothing_is_written(tmp_path, tiny, packed, damage, says):
    folder = put(tmp_path / "mine", tiny, packed)
    damage(next(folder.glob("t10k-images*")))
    with pytest.raises(UserError, match=f"t10k-images.*({says})|({says}).*t10k-images"):
        data.prepare("fashion_mnist", tmp_path / "out.npz", tmp_path / "downloads", folder)
    assert not list(tmp_path.glob("*out*"))


def test_a_wrong_data_path_is_not_passed_over(tmp_path, tiny):
    put(tmp_path / "FashionMNIST" / "raw", tiny)
    with pytest.raises(UserError, match="is not a folder"):
        data.prepare("fashion_mnist", tmp_path / "out.npz", tmp_path, tmp_path / "nowhere")


def test_a_damaged_copy_in_downloads_is_passed_over(tmp_path, tiny, monkeypatch):
    kept = put(tmp_path / "FashionMNIST" / "raw", tiny)
    break_alter(next(kept.iterdir()))
    put(tmp_path / "debian", tiny)
    monkeypatch.setattr(data, "_fetch_mirrors", unreachable)
    monkeypatch.setattr(data, "_fetch_debian", lambda dataset: data._read_folder(dataset, tmp_path / "debian"))
    data.prepare("fashion_mnist", tmp_path / "out.npz", tmp_path)
    assert (tmp_path / "out.npz").exists()


@pytest.mark.parametrize("content", [b"", b"garbage"])
def test_a_damaged_prepared_file_is_named(tmp_path, content):
    (tmp_path / "images.npz").write_bytes(content)
    with pytest.raises(UserError, match=r"images\.npz.*delete it"):
        data.load(tmp_path / "images.npz")
    with pytest.raises(UserError, match="missing"):
        data.load(tmp_path / "absent.npz")


def test_a_prepared_file_of_something_else_is_refused(tmp_path):
    np.savez(tmp_path / "other.npz", **dict.fromkeys([*data.ARRAYS, "dataset"], np.zeros(3)))
    with pytest.raises(UserError, match="not a prepared data set"):
        data.load(tmp_path / "other.npz")


def prepared(folder, images=20, tests=10, classes=data.CLASSES, dataset="fashion_mnist"):
    """Path of prepared images, black ones."""
    parts = {f"{part}_images": np.zeros((n, 784), np.uint8) for part, n in (("train", images), ("test", tests))}
    parts |= {f"{part}_labels": np.arange(n) % classes for part, n in (("train", images), ("test", tests))}
    np.savez(folder / "images.npz", **parts, dataset=np.array(data.identity(dataset)))
    return folder / "images.npz"


def test_images_of_another_data_set_or_too_few_are_refused(tmp_path, monkeypatch):
    """Runs are known by the name of their data set, so the images must be of it."""
    path = prepared(tmp_path)
    data.check_images(path, "fashion_mnist", 20, 10)
    with pytest.raises(UserError, match="images of fashion_mnist, not of mnist"):
        data.check_images(path, "mnist")
    with pytest.raises(UserError, match="20 train images, the runs want 21"):
        data.check_images(path, "fashion_mnist", 21, 10)
    with pytest.raises(UserError, match="10 test images, the runs want 11"):
        data.check_images(path, "fashion_mnist", 20, 11)
    for classes in (9, 11):
        with pytest.raises(UserError, match="10 classes"):
            data.check_images(prepared(tmp_path, 30, 30, classes), "fashion_mnist")
    altered = data.DATASETS["fashion_mnist"] | {"unpacked sha256": ("0",) * 4}
    monkeypatch.setitem(data.DATASETS, "fashion_mnist", altered)
    with pytest.raises(UserError, match="other checksums than data.py has now"):
        data.check_images(path, "fashion_mnist")


def test_a_job_refuses_images_of_another_data_set(tmp_path):
    batch = some_runs("ei_ln")
    with pytest.raises(UserError, match="images of mnist, not of fashion_mnist"):
        job.run(batch, prepared(tmp_path, dataset="mnist"), tmp_path / "absent.npz", tmp_path / "shard.parquet")
    assert not (tmp_path / "shard.parquet").exists()


def test_the_networks_have_a_unit_for_each_class():
    assert data.CLASSES == network.CLASSES


def test_the_real_images_have_the_known_statistics(images):
    pixels = images["train_images"] / np.float32(255)
    assert pixels.shape == (60000, 784) and images["test_images"].shape == (10000, 784)
    assert pixels.mean(dtype=float) == pytest.approx(0.28604, abs=1e-5)
    assert pixels.std(dtype=float) == pytest.approx(0.35302, abs=1e-5)
    assert np.bincount(images["train_labels"]).tolist() == [6000] * 10


def shift_file(folder, epsilon=0.75, seed=0, epochs=3, n=40, tests=20):
    path = folder / f"{epsilon}-{seed}-{epochs}-{n}.npz"
    data.write_shifts("luminosity", epsilon, seed, epochs, n, tests, path)
    return path


def test_shift_tables(tmp_path):
    shifts = data.load_shifts(shift_file(tmp_path, n=20000))
    assert shifts["train"].dtype == np.float32 and shifts["train"].shape == (3, 20000)
    assert np.abs(shifts["train"]).max() <= 0.75
    assert shifts["train"].std() == pytest.approx(0.75 / np.sqrt(3), rel=0.02)
    assert len({row.tobytes() for row in shifts["train"]}) == 3, "every epoch draws anew"
    assert not data.load_shifts(shift_file(tmp_path, epsilon=0))["train"].any()
    other = data.load_shifts(shift_file(tmp_path, n=20000, seed=1))
    assert not np.array_equal(other["train"], shifts["train"])


def test_fewer_epochs_and_images_are_the_beginning_of_more(tmp_path):
    few, many = (data.load_shifts(shift_file(tmp_path, epochs=e, n=n)) for e, n in ((2, 10), (5, 40)))
    np.testing.assert_array_equal(few["train"], many["train"][:2, :10])
    np.testing.assert_array_equal(few["test"], many["test"])


def test_shift_tables_have_equal_bytes_each_time(tmp_path):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
    assert shift_file(tmp_path / "a").read_bytes() == shift_file(tmp_path / "b").read_bytes()


@settings(deadline=None)
@given(epsilon=st.floats(0, 1), seed=st.integers(0, 1000))
def test_shifted_pixels_stay_in_range(epsilon, seed):
    rng = np.random.default_rng(seed)
    draw, apply = tasks.TASKS["luminosity"]
    x, d = rng.integers(0, 256, (5, 9)).astype(np.float32) / 255, draw(rng, epsilon, 5)
    shifted = apply(torch.from_numpy(x), torch.from_numpy(d))
    assert shifted.min() >= 0 and shifted.max() <= 1
    np.testing.assert_array_equal(shifted.numpy(), apply(x, d))
    inside = (x + d[:, None] > 0) & (x + d[:, None] < 1)
    np.testing.assert_array_equal(shifted.numpy()[inside], (x + d[:, None])[inside])


def test_samples_hold_one_shifted_image_per_class(tmp_path, images_path, images):
    experiment = Settings(conditions=["inorm"], epsilons=[0, 0.75], configs=1, epochs=1, test_images=200)
    paths = {("luminosity", e): shift_file(tmp_path, epsilon=e, tests=200) for e in (0, 0.75)}
    write_samples(experiment, images_path, paths, tmp_path / "samples.parquet")
    samples = tables.read(tmp_path / "samples.parquet", "samples")
    assert samples.groupby("epsilon")["label"].apply(sorted).tolist() == [list(range(10))] * 2
    row = samples.iloc[-1]
    expected = np.clip(images["test_images"][row["image"]] / np.float32(255) + np.float32(row["shift"]), 0, 1)
    np.testing.assert_allclose(row["pixels"], expected, atol=1e-7)


@pytest.mark.parametrize("dataset", ["mnist", "kmnist"])
def test_other_data_sets_are_checked_by_their_packed_files(tmp_path, monkeypatch, dataset):
    files = in_place_of_fashion_mnist(monkeypatch)
    folder = put(tmp_path / "mine", files, packed=True)
    with pytest.raises(UserError, match="train-images-idx3-ubyte.gz is truncated or altered \\(its md5 differs"):
        data.prepare(dataset, tmp_path / "out.npz", tmp_path / "downloads", folder)
    sums = tuple(hashlib.md5((folder / f"{name}.gz").read_bytes()).hexdigest() for name in data.FILES)
    monkeypatch.setitem(data.DATASETS, dataset, data.DATASETS[dataset] | {"packed md5": sums, "pixels": 4})
    data.prepare(dataset, tmp_path / "out.npz", tmp_path / "downloads", folder)
    assert data.load(tmp_path / "out.npz")["train_images"].tobytes() == files[data.FILES[0]][16:]


@pytest.mark.parametrize("dataset", ["mnist", "kmnist"])
def test_without_a_host_the_choices_are_named(tmp_path, monkeypatch, dataset):
    monkeypatch.setattr(data, "_fetch_mirrors", unreachable)
    with pytest.raises(UserError) as caught:
        data.prepare(dataset, tmp_path / "out.npz", tmp_path)
    assert all(word in str(caught.value) for word in ("data.path", "mirrors", "fashion_mnist", "Tried"))
    assert "\n" not in str(caught.value) and "apt-get" not in str(caught.value)


@pytest.mark.parametrize("dataset", list(data.DATASETS))
def test_checksums_are_those_torchvision_knows(dataset):
    from torchvision import datasets

    known = dict(getattr(datasets, data.DATASETS[dataset]["torchvision"]).resources)
    if "packed md5" in data.DATASETS[dataset]:
        assert {name: ("md5", md5) for name, md5 in known.items()} == data.checksums(dataset)
    else:
        assert [f"{name}.gz" for name in data.checksums(dataset)] == list(known)


def test_contrast_is_spread_about_the_images_own_mean():
    draw, apply = tasks.TASKS["contrast"]
    x = np.random.default_rng(0).uniform(0.3, 0.7, (4, 784)).astype(np.float32)
    c = np.array([1, 0, 0.5, 10], np.float32)
    shifted = apply(x, c)
    np.testing.assert_allclose(shifted[0], x[0], atol=1e-6)
    np.testing.assert_allclose(shifted[1], x[1].mean(), atol=1e-6)
    np.testing.assert_allclose(shifted[2], (x[2] + x[2].mean()) / 2, atol=1e-6)
    assert shifted[3].min() == 0 and shifted[3].max() == 1
    np.testing.assert_allclose(apply(torch.from_numpy(x), torch.from_numpy(c)), shifted, atol=1e-6)
    drawn = draw(np.random.default_rng(0), 0.75, 10000)
    assert 0.25 <= drawn.min() < 0.26 and 1.74 < drawn.max() <= 1.75 and abs(drawn.mean() - 1) < 0.02


@pytest.mark.parametrize(
    ("entry", "says"),
    [
        ({"classes": 4}, "labels 0 to 3: 10 classes are wanted"),
        ({"first": 1}, "labels 1 to 10"),
        ({"pixels": 3}, "images of 4 pixels: its entry in data.DATASETS says 3"),
    ],
)
def test_what_does_not_fit_its_entry_is_refused_before_anything_is_written(tmp_path, monkeypatch, entry, says):
    folder = put(tmp_path / "files", in_place_of_fashion_mnist(monkeypatch, **entry))
    with pytest.raises(UserError, match=says):
        data.prepare("fashion_mnist", tmp_path / "out.npz", tmp_path, folder)
    assert not (tmp_path / "out.npz").exists()
