"""Data sets that come as files: what is in them, where they are found, and what is refused.

Facts about the real files are tested where these are at hand; no test downloads from the internet. All else
is tested with small files of the tests' own, served from this machine.
"""

import gzip
import hashlib
import socket
import subprocess
import sys
import threading
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pooch
import pytest
import torch

from pyrocausal.data import ihdp, mnist, morphomnist
from pyrocausal.data.download import Files
from pyrocausal.data.idx import read_idx
from pyrocausal.errors import DataError

from .data_at_hand import MODULES, need


def unused_address() -> str:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return f"http://127.0.0.1:{server.getsockname()[1]}/"


@pytest.fixture(autouse=True)
def no_internet(monkeypatch):
    """Every data set's address is one where nobody answers."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    for module in MODULES.values():
        monkeypatch.setattr(module, "FILES", replace(module.FILES, address=unused_address()))


# ---- the real files


def test_ihdp_is_what_was_published():
    need("ihdp", "ihdp_npci_1.csv")
    table = ihdp()
    assert list(table) == ["t", "y", "y_cf", "mu0", "mu1", *(f"x{k}" for k in range(1, 26))]
    assert len(table) == 747 and table.t.sum() == 139
    effect = table.mu1 - table.mu0
    assert effect[table.t == 1].mean() == pytest.approx(4.0, abs=0.02)
    assert effect.mean() == pytest.approx(4.016, abs=0.001)


@pytest.mark.parametrize("replication", range(1, 11))
def test_ihdp_types_and_noise_of_each_replication(replication):
    need("ihdp", f"ihdp_npci_{replication}.csv")
    table = ihdp(replication)
    assert table.shape == (747, 30) and not table.isna().any(axis=None)
    binary = ["t", *(f"x{k}" for k in range(7, 26))]
    for name in table:
        assert table[name].dtype == (np.int64 if name in binary else np.float64)
    assert all(set(table[name]) == {0, 1} for name in binary)
    numbers = table[[f"x{k}" for k in range(1, 7)]]
    assert np.allclose(numbers.mean(), 0.0) and np.allclose(numbers.std(), 1.0)
    factual, other = table.mu1.where(table.t == 1, table.mu0), table.mu0.where(table.t == 1, table.mu1)
    for noise in (table.y - factual, table.y_cf - other):
        assert abs(noise.mean()) < 0.15 and noise.std() == pytest.approx(1.0, abs=0.1)


@pytest.mark.parametrize(
    ("split", "counts"),
    [
        ("train", [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]),
        ("test", [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]),
    ],
)
def test_mnist_is_what_was_published(split, counts):
    need("mnist")
    images, labels = mnist(split)
    assert images.shape == (sum(counts), 28, 28) and images.dtype == torch.uint8
    assert labels.shape == (sum(counts),) and labels.dtype == torch.int64
    assert labels.bincount().tolist() == counts
    assert labels[:5].tolist() == {"train": [5, 0, 4, 1, 9], "test": [7, 2, 1, 0, 4]}[split]
    assert images.amax() == 255 and images.float().mean() == pytest.approx(33.5, abs=0.5)


def test_morphomnist_is_what_its_equations_say():
    need("morphomnist")
    images, table = morphomnist()
    assert images.shape == (10_000, 28, 28) and images.dtype == torch.uint8
    assert list(table) == ["label", "thickness", "intensity"] and table.label.dtype == np.int64
    assert table.index.equals(table.reset_index(drop=True).index)
    assert np.bincount(table.label).tolist()[:3] == [980, 1135, 1032]
    t, i = table.thickness, table.intensity
    assert t.mean() == pytest.approx(2.50, abs=0.02) and t.corr(i) == pytest.approx(0.908, abs=0.002)
    share = (i - 64) / 191
    noise = 2 * (np.log(share / (1 - share)) - (2 * t - 5))
    assert abs(noise.mean()) < 0.04 and noise.std() == pytest.approx(1.0, abs=0.02)
    assert abs(noise.corr(t)) < 0.04


def test_morphomnist_images_have_the_intensity_of_the_table():
    need("morphomnist")
    images, table = morphomnist()
    pixels = images[:500].flatten(1).numpy()
    measured = [np.median(image[image >= image.max() / 2]) for image in pixels]
    assert np.abs(measured - table.intensity[:500]).mean() < 1.0


# ---- files of the tests' own

ROW = ",".join(["1", "5.5", "1.5", "1.25", "5.25", *["0.1"] * 6, *["0"] * 7, "2", *["1"] * 11])
CSV = f"{ROW}\n{ROW}\n".encode()


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def idx(*shape: int, kind: int = 8) -> bytes:
    header = bytes([0, 0, kind, len(shape)]) + b"".join(size.to_bytes(4, "big") for size in shape)
    return header + bytes(int(np.prod(shape)))


@pytest.fixture
def data(tmp_path, monkeypatch):
    """The user's folder of data."""
    monkeypatch.setenv("PYROCAUSAL_DATA", str(tmp_path / "data"))
    return tmp_path / "data"


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache, and no folder of data."""
    monkeypatch.delenv("PYROCAUSAL_DATA", raising=False)
    monkeypatch.setattr(pooch, "os_cache", lambda project: tmp_path / "cache" / project)
    return tmp_path / "cache" / "pyrocausal"


@pytest.fixture
def web(tmp_path):
    """A folder that is served on this machine, its address, and the paths asked for so far."""
    folder, asked = tmp_path / "web", []
    folder.mkdir()

    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, *_):
            asked.append(self.path)

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(folder))) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield folder, f"http://127.0.0.1:{server.server_port}/", asked
        server.shutdown()
        thread.join()


def save(path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def use(monkeypatch, data_set: str, **changes) -> None:
    module = MODULES[data_set]
    monkeypatch.setattr(module, "FILES", replace(module.FILES, **changes))


def complaint(call, *arguments) -> DataError:
    with pytest.raises(DataError) as caught:
        call(*arguments)
    assert caught.value.what and caught.value.why and caught.value.fix
    return caught.value


def test_a_file_of_the_users_is_read_and_x14_brought_to_0_and_1(data, monkeypatch):
    use(monkeypatch, "ihdp", sha256={"ihdp_npci_3.csv": sha256(CSV)})
    save(data / "ihdp" / "ihdp_npci_3.csv", CSV)
    table = ihdp(np.int64(3))
    assert table.loc[0, ["t", "y", "y_cf", "mu0", "mu1", "x1", "x13", "x14", "x15"]].tolist() == [
        *(1, 5.5, 1.5, 1.25, 5.25),
        *(0.1, 0, 1, 1),
    ]


@pytest.mark.parametrize("replication", [0, 11, -1, "1", True, 1.0, None])
def test_ihdp_refuses_a_replication_that_is_not(replication):
    error = complaint(ihdp, replication)
    assert f"no replication {replication!r}" in error.what and "from 1 to 10" in error.fix


@pytest.mark.parametrize("split", ["validation", "Train", 0, None, ["train"]])
def test_mnist_refuses_a_split_that_is_not(split):
    error = complaint(mnist, split)
    assert f"no split {split!r}" in error.what and '"train" or "test"' in error.fix


@pytest.mark.parametrize(
    "damage", [lambda packed: packed[:-12], lambda packed: packed[:20] + b"x" + packed[21:]]
)
def test_a_damaged_gzip_file_is_refused(data, damage):
    path = data / "mnist" / "t10k-images-idx3-ubyte.gz"
    save(path, damage(gzip.compress(bytes(range(256)))))
    error = complaint(mnist, "test")
    assert str(path) in error.what and "gzip file is damaged" in error.why and str(path) in error.fix


def test_a_file_of_other_content_is_refused(data):
    path = data / "ihdp" / "ihdp_npci_1.csv"
    save(path, CSV)
    error = complaint(ihdp)
    assert str(path) in error.what and sha256(CSV) in error.why
    assert str(path) in error.fix and "http" in error.fix


def test_an_idx_file_of_another_shape_is_refused(data, monkeypatch):
    content, name = idx(7, 28, 28), "t10k-images-idx3-ubyte.gz"
    use(monkeypatch, "mnist", sha256={name: sha256(content)})
    save(data / "mnist" / name, gzip.compress(content))
    error = complaint(mnist, "test")
    assert name in error.what and "(10000, 28, 28)" in error.what
    assert "(7, 28, 28)" in error.why and f"{7 * 28 * 28:,} bytes" in error.why


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (idx(4, 2)[:-1], "its header says (4, 2), and 7 bytes follow"),
        (idx(4, 2) + b"\0", "9 bytes follow"),
        (idx(2, 4), "(2, 4)"),
        (idx(8), "(8,)"),
        (idx(4, 2)[:9], "0 bytes follow"),
        (idx(4, 2, kind=13), "starts with"),
        (b"<html>", "starts with b'<htm'"),
        (b"", "starts with b''"),
        (b"\0\0\x08", "starts with"),
    ],
)
def test_what_is_no_idx_file_of_the_shape_is_refused(content, reason):
    assert reason in complaint(read_idx, content, "images", (4, 2)).why


def test_idx_values_are_in_row_order():
    content = idx(2, 3)[:12] + bytes([0, 1, 2, 3, 4, 255])
    assert read_idx(content, "images", (2, 3)).tolist() == [[0, 1, 2], [3, 4, 255]]


# ---- downloads, from this machine


def served(web, **contents: bytes) -> Files:
    """The files a.csv, b.gz, … of the data set `toy`; what is packed is known by its content."""
    folder, address, _ = web
    names = {name.replace("_", "."): content for name, content in contents.items()}
    for name, content in names.items():
        save(folder / name, gzip.compress(content) if name.endswith(".gz") else content)
    return Files("toy", address, {name: sha256(content) for name, content in names.items()})


def test_a_download_is_unpacked_verified_and_kept(web, cache):
    files = served(web, a_csv=b"1,2\n", b_gz=b"digits")
    for _ in range(2):
        assert files.read("a.csv") == b"1,2\n" and files.read("b.gz") == b"digits"
    assert web[2] == ["/a.csv", "/b.gz"]
    assert sorted(path.name for path in (cache / "toy").iterdir()) == ["a.csv", "b"]


def test_the_folder_of_data_goes_before_the_web(web, cache, data):
    files = served(web, b_gz=b"digits")
    save(data / "toy" / "b.gz", gzip.compress(b"digits", compresslevel=1))
    assert files.read("b.gz") == b"digits"
    assert not web[2] and not cache.exists()


def test_what_the_folder_of_data_lacks_is_downloaded(web, cache, data):
    files = served(web, b_gz=b"digits")
    assert files.read("b.gz") == b"digits"
    assert web[2] == ["/b.gz"] and not data.exists()


def test_a_data_set_is_loaded_from_its_address(web, cache, monkeypatch):
    folder, address, _ = web
    save(folder / "ihdp_npci_1.csv", CSV)
    use(monkeypatch, "ihdp", address=address, sha256={"ihdp_npci_1.csv": sha256(CSV)})
    assert ihdp().shape == (2, 30)
    assert (cache / "ihdp" / "ihdp_npci_1.csv").read_bytes() == CSV


def test_a_damaged_file_of_the_cache_is_fetched_again(web, cache):
    files = served(web, b_gz=b"digits")
    save(cache / "toy" / "b", b"dig")
    assert files.read("b.gz") == b"digits" == (cache / "toy" / "b").read_bytes()


@pytest.mark.parametrize(
    ("arrives", "reason"),
    [(gzip.compress(b"others"), "SHA256"), (b"<html>", "SHA256"), (gzip.compress(b"digits")[:-9], "damaged")],
    ids=["others", "a page", "cut off"],
)
def test_a_download_of_other_content_is_refused_and_not_kept(web, cache, arrives, reason):
    files = served(web, b_gz=b"digits")
    (web[0] / "b.gz").write_bytes(arrives)
    error = complaint(files.read, "b.gz")
    assert files.address + "b.gz" in error.what and reason in error.why and "try again" in error.fix
    assert not list((cache / "toy").iterdir())


def test_a_file_that_is_not_on_the_web_is_named(web, cache):
    files = served(web, b_gz=b"digits")
    (web[0] / "b.gz").unlink()
    error = complaint(files.read, "b.gz")
    assert files.address + "b.gz" in error.what and "404" in error.why
    assert not list((cache / "toy").iterdir())


@pytest.mark.parametrize("call", [ihdp, mnist, morphomnist])
def test_without_a_network_the_error_says_where_to_put_the_file(cache, call):
    error = complaint(call)
    name = {"ihdp": "ihdp_npci_1.csv", "mnist": "train-images-idx3-ubyte.gz"}.get(
        call.__name__, "t10k-images-idx3-ubyte.gz"
    )
    assert f"{name} can't be downloaded from http" in error.what
    assert "$PYROCAUSAL_DATA" in error.fix and "set the environment variable" in error.fix
    assert call.__name__ in error.fix and name in error.fix


def test_without_a_network_the_error_names_the_folder_that_is_set(cache, data):
    assert str(data / "ihdp" / "ihdp_npci_4.csv") in complaint(ihdp, 4).fix


def test_pooch_is_imported_by_a_download_only():
    program = "import sys, pyrocausal, pyrocausal.data; assert 'pooch' not in sys.modules"
    subprocess.run([sys.executable, "-c", program], check=True)
