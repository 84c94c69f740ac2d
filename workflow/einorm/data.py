"""Images: data sets with their sources and checksums, and the tables of their shifts.

Add a data set as one entry of `DATASETS`. Nothing here needs torch but the download from a data set's own mirrors.
"""

import contextlib
import gzip
import hashlib
import io
import shutil
import socket
import subprocess
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

from .runtime import UserError, atomic_path, digest
from .tasks import TASKS, draw_shifts

Arrays = dict[str, np.ndarray]
FILES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")
# Runs are known by their data set's name: images of other checksums are another data set and need another name.
# name -> torchvision's class, Debian's package, and the checksums of the four IDX files, in the order of `FILES`: of
# the unpacked files or, where those are not published, of the .gz files as torchvision knows them.
DATASETS: dict[str, dict[str, Any]] = {
    "fashion_mnist": {
        "torchvision": "FashionMNIST",
        "debian": "dataset-fashion-mnist",
        "pixels": 784,
        "unpacked sha256": (
            "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
            "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
            "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
            "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
        ),
    },
    "mnist": {
        "torchvision": "MNIST",
        "debian": None,
        "pixels": 784,
        "packed md5": (
            "f68b3c2dcbeaaa9fbdd348bbdeb94873",
            "d53e105ee54ea40749a09fcbcd1e9432",
            "9fb629c4189551a2d022fa330f9573f3",
            "ec29112dd5afa0611ce80d1b7f02629c",
        ),
    },
    "kmnist": {
        "torchvision": "KMNIST",
        "debian": None,
        "pixels": 784,
        "packed md5": (
            "bdb82020997e1d708af4cf47b453dcf7",
            "e144d726b3acfaa3e44228e80efcd344",
            "5c965bf0a639b31b8f53240b1b52f4d7",
            "7320c461ea6c1c855c0b718fb2a4b134",
        ),
    },
}
ARRAYS = ("train_images", "train_labels", "test_images", "test_labels")  # in the order of the files
MEND = "name another, or delete it and run again if the workflow made it"
CLASSES = 10  # of labels, from 0: the networks have a unit for each
NETWORK_TIMEOUT = 30  # seconds
DEBIAN_FOLDER = Path("/usr/share/datasets")  # where Debian's packages of data sets install


def prepare(dataset: str, out: Path | str, downloads: Path | str, path: Path | str | None = None) -> None:
    """Find or fetch a data set, check it, write it as one file: uint8 arrays (`ARRAYS`) and its `identity`.

    Sources, in this order: `path`; a copy in `downloads`; the data set's own mirrors; Debian's package.

    Parameters
    ----------
    dataset : key of `DATASETS`
    out : path of the .npz to write
    downloads : folder that keeps what was fetched
    path : folder with the four IDX files (plain, .gz, or in torchvision's layout), or None

    Raises
    ------
    UserError
        If `path` does not hold the data set, no source can be reached, or `out` cannot be written.
    """
    if path is not None:
        return _write(dataset, out, _read_folder(dataset, path), path)
    kept = Path(downloads) / DATASETS[dataset]["torchvision"] / "raw"
    sources: dict[str, Callable[[], Arrays]] = {
        f"a copy in {kept}": lambda: _read_folder(dataset, kept),
        "its own mirrors": lambda: _fetch_mirrors(dataset, downloads),
        "Debian's package": lambda: _fetch_debian(dataset),
    }
    failures = []
    for source, fetch in sources.items():
        try:
            arrays = fetch()
        except UserError as error:
            failures.append(f"{source}: {error}")
        else:
            return _write(dataset, out, arrays, source)
    package = DATASETS[dataset]["debian"]
    debian = f"or install Debian's package (apt-get install {package}), " if package else ""
    others = ", ".join(name for name in DATASETS if name != dataset)
    raise UserError(
        f"no source of {dataset} could be used. Set data.path to a folder with its four IDX files "
        f"(snakemake --config 'data={{path: FOLDER}}'), {debian}or run where its mirrors can be reached, "
        f"or take another dataset ({others}). Tried: {'; '.join(failures)}"
    )


def _write(dataset: str, out: Path | str, arrays: Arrays, source: object) -> None:
    _check_arrays(arrays, f"the data set {dataset}", DATASETS[dataset]["pixels"])
    _write_arrays(out, arrays | {"dataset": np.array(identity(dataset))})
    print(f"{out}: from {source}, checksums agree")


def checksums(dataset: str) -> dict[str, tuple[str, str]]:
    """File name -> (algorithm, checksum) of a data set; the names end with .gz where the packed files are checked."""
    ((kind, values),) = [(key, value) for key, value in DATASETS[dataset].items() if key.split()[0].endswith("packed")]
    form, algorithm = kind.split()
    ending = ".gz" if form == "packed" else ""
    return {f"{name}{ending}": (algorithm, value) for name, value in zip(FILES, values, strict=True)}


def identity(dataset: str) -> str:
    """The name of a data set and a digest of its checksums, as a prepared file holds them."""
    return f"{dataset} {digest(checksums(dataset))[:16]}"


def _read_folder(dataset: str, folder: Path | str) -> Arrays:
    """The four arrays from a folder, each file checked against its checksum."""
    folder = Path(folder).expanduser()
    raw = folder / DATASETS[dataset]["torchvision"] / "raw"
    folder = raw if raw.is_dir() else folder
    if not folder.is_dir():
        raise UserError(f"{folder} is not a folder")
    contents = [_read_checked(folder, name, *checksum) for name, checksum in checksums(dataset).items()]
    return dict(zip(ARRAYS, map(parse_idx, contents), strict=True))


def _read_checked(folder: Path, name: str, algorithm: str, checksum: str) -> bytes:
    """The unpacked content of a file that is there as named or, if it is named without .gz, packed."""
    plain, packed = folder / name, folder / f"{name.removesuffix('.gz')}.gz"
    path = plain if plain.exists() else packed
    try:
        content = path.read_bytes()
        unpacked = gzip.decompress(content) if path == packed else content
    except FileNotFoundError:
        raise UserError(f"{folder} holds no {' or '.join(dict.fromkeys([name, packed.name]))}") from None
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(f"{path} cannot be read ({error}): replace or delete it") from None
    if hashlib.new(algorithm, content if name == packed.name else unpacked).hexdigest() != checksum:
        raise UserError(f"{path} is truncated or altered (its {algorithm} differs): replace or delete it")
    return unpacked


def parse_idx(content: bytes) -> np.ndarray:
    """The uint8 array of an IDX file's bytes: labels (n) or images (n, pixels)."""
    shape = np.frombuffer(content, ">u4", count=content[3], offset=4)
    values = np.frombuffer(content, np.uint8, offset=4 + 4 * len(shape))
    return values.reshape(shape[0], -1) if len(shape) > 1 else values


def _fetch_mirrors(dataset: str, downloads: Path | str) -> Arrays:
    import torchvision

    name = DATASETS[dataset]["torchvision"]
    if not hasattr(torchvision.datasets, name):
        raise UserError("there are none")
    noise = io.StringIO()
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(NETWORK_TIMEOUT)
    try:
        with contextlib.redirect_stdout(noise), contextlib.redirect_stderr(noise):
            getattr(torchvision.datasets, name)(downloads, download=True)
        for packed in (Path(downloads) / name / "raw").glob("*.gz"):
            packed.with_suffix("").unlink(missing_ok=True)  # the unpacked copy: one of the two is enough
    except (OSError, RuntimeError) as error:
        raise UserError(" ".join(str(error).split()) or "not reached") from None
    finally:
        socket.setdefaulttimeout(before)
    return _read_folder(dataset, downloads)


def _fetch_debian(dataset: str) -> Arrays:
    package = DATASETS[dataset]["debian"]
    if package is None:
        raise UserError("there is none")
    installed = DEBIAN_FOLDER / package.removeprefix("dataset-")
    if installed.is_dir():
        return _read_folder(dataset, installed)
    if not (shutil.which("apt-get") and shutil.which("dpkg-deb")):
        raise UserError("not a Debian system")
    with tempfile.TemporaryDirectory() as folder:
        _run("apt-get", "download", package, cwd=folder)
        archives = list(Path(folder).glob("*.deb"))
        if not archives:
            raise UserError(f"apt-get download {package} brought nothing")
        _run("dpkg-deb", "-x", archives[0].name, ".", cwd=folder)
        return _read_folder(dataset, Path(folder, *installed.parts[1:]))


def _run(*command: str, cwd: Path | str) -> None:
    done = subprocess.run(command, cwd=cwd, capture_output=True, encoding="utf-8", errors="replace")
    if done.returncode:
        reason = done.stderr.strip().splitlines()
        raise UserError(f"{' '.join(command)} failed: {reason[-1] if reason else 'no reason given'}")


def load(path: Path | str) -> Arrays:
    """Prepared images: dict of train_images and test_images (n, pixels), train_labels and test_labels (n), uint8.

    Its entry dataset is the `identity` of the data set.

    Raises
    ------
    UserError
        If the file is missing, truncated or something else.
    """
    arrays = _load_npz(path, (*ARRAYS, "dataset"))
    for part in ("train", "test"):
        images, labels = arrays[f"{part}_images"], arrays[f"{part}_labels"]
        if images.dtype != np.uint8 or images.ndim != 2 or labels.shape != images.shape[:1]:
            raise UserError(f"{path} is not a prepared data set: {MEND}")
    return arrays


def check_images(path: Path | str, dataset: str, train_images: int = 0, test_images: int = 0) -> None:
    """Check that prepared images are of a data set as `DATASETS` has it now, of ten classes, and at least so many.

    Raises
    ------
    UserError
        If they are of another data set or other classes, or too few, or as `load`.
    """
    arrays = _load_npz(path, ("train_labels", "test_labels", "dataset"))
    found = str(arrays["dataset"])
    if found != identity(dataset):
        other = f"of {found.split()[0]}" if found.split()[0] != dataset else "of other checksums than data.py has now"
        raise UserError(
            f"{path} holds images {other}, not of {dataset}: name the right file. "
            "A data set that was changed needs a new name, since runs are known by it"
        )
    _check_arrays(arrays, path)
    for part, wanted in (("train", train_images), ("test", test_images)):
        if (there := len(arrays[f"{part}_labels"])) < wanted:
            raise UserError(f"{path} holds {there} {part} images, the runs want {wanted}: set {part}_images lower")


def _check_arrays(arrays: Arrays, what: Path | str, pixels: int | None = None) -> None:
    """Raise UserError unless labels are 0 to 9 and, where `pixels` is given, images have so many."""
    labels = sorted({*np.unique(arrays["train_labels"]), *np.unique(arrays["test_labels"])})
    if labels != [*range(CLASSES)]:
        raise UserError(f"{what} has labels {labels[0]} to {labels[-1]}: {CLASSES} classes are wanted, from 0")
    if pixels and (found := arrays["train_images"].shape[1]) != pixels:
        raise UserError(f"{what} has images of {found} pixels: its entry in data.DATASETS says {pixels}")


def write_shifts(
    task: str,
    epsilon: float,
    seed: int,
    epochs: int,
    train_images: int,
    test_images: int,
    out: Path | str,
    randomness: str = "own",
) -> None:
    """Write the shift of every training image in every epoch, train (epochs, n), and of the test set, test (n).

    All conditions and configurations see the same shifts. With the release's random numbers, all E and E-I networks do,
    and test shifts are drawn anew in every epoch: `release_randomness.draw_shifts` of sequence 0.

    Raises UserError if `out` cannot be written.
    """
    draw, sizes = TASKS[task][0], (epochs, train_images, test_images)
    if randomness == "release":
        from .release_randomness import draw_shifts as draw_as_released  # brings torch

        return _write_arrays(out, draw_as_released(draw, epsilon, 0, *sizes, seed))
    _write_arrays(out, draw_shifts(draw, epsilon, (seed, "shift", task, float(epsilon)), *sizes))


def _write_arrays(out: Path | str, arrays: Arrays) -> None:
    with atomic_path(out) as temporary, open(temporary, "wb") as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]  # an array might be called allow_pickle


def load_shifts(path: Path | str) -> Arrays:
    """A shift table: dict of float32 arrays, see `write_shifts`. Raises UserError as `load`."""
    return _load_npz(path, ("train", "test"), optional=("evaluation",))


def _load_npz(path: Path | str, names: Iterable[str], optional: Iterable[str] = ()) -> Arrays:
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in (*names, *(name for name in optional if name in file))}
    except FileNotFoundError:
        raise UserError(f"{path} is missing: run snakemake to make it") from None
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise UserError(f"{path} cannot be read ({error}): {MEND}") from None
