"""Files of public data sets: found in a folder of the user's, or else downloaded once into a cache."""

from __future__ import annotations

import gzip
import hashlib
import os
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pyrocausal.errors import DataError

#: The environment variable that names the user's folder of data.
VARIABLE = "PYROCAUSAL_DATA"


@dataclass(frozen=True)
class Files:
    """The files of one data set, of known content.

    Args:
        folder: where they are inside `$PYROCAUSAL_DATA`, and inside the cache.
        address: where they are on the web.
        sha256: for each file the SHA-256 of its content; of the unpacked content, if the file is packed
            with gzip, since mirrors pack differently.
    """

    folder: str
    address: str
    sha256: Mapping[str, str]

    def read(self, name: str) -> bytes:
        """The content, unpacked and verified, from `$PYROCAUSAL_DATA`, or else the cache, or else the web."""
        path = self.given(name)
        if path is None:
            return self._download(name).read_bytes()
        try:
            content = unpacked(path.read_bytes())
        except (OSError, ValueError) as error:
            raise DataError(f"{path} can't be read", why=str(error), fix=self._by_hand(name)) from error
        if (found := hashlib.sha256(content).hexdigest()) != self.sha256[name]:
            why = f"the SHA-256 of its content is {found}, not {self.sha256[name]}"
            raise DataError(f"{path} is not the file that was published", why=why, fix=self._by_hand(name))
        return content

    def given(self, name: str) -> Path | None:
        """The file in `$PYROCAUSAL_DATA`, if it is there."""
        if not (root := os.environ.get(VARIABLE)):
            return None
        path = Path(root).expanduser() / self.folder / name
        return path if path.is_file() else None

    def cached(self, name: str) -> Path:
        """Where the cache has the file, unpacked, once it is downloaded."""
        import pooch

        return Path(pooch.os_cache("pyrocausal")) / self.folder / name.removesuffix(".gz")

    def _download(self, name: str) -> Path:
        """The cached file, verified; fetched if it is missing or damaged, and put in place in one move."""
        import pooch

        path, url = self.cached(name), self.address + name
        try:
            pooch.retrieve(url, self.sha256[name], path.name, path.parent, downloader=_fetch_unpacked)
        except OSError as error:
            what = f"{name} can't be downloaded from {url}"
            raise DataError(what, why=str(error), fix=self._by_hand(name)) from error
        except ValueError as error:
            what = f"what came from {url} is not the file that was published"
            raise DataError(what, why=str(error), fix=f"try again, or {self._by_hand(name)}") from error
        return path

    def _by_hand(self, name: str) -> str:
        root = os.environ.get(VARIABLE)
        place = Path(root or f"${VARIABLE}").expanduser() / self.folder / name
        choose = "" if root else f"; set the environment variable {VARIABLE} to any folder"
        return f"get {self.address}{name} by other means and save it as {place}{choose}"


def unpacked(content: bytes) -> bytes:
    """The content of a gzip file; any other content as it is.

    >>> unpacked(gzip.compress(b"digits")), unpacked(b"digits")
    (b'digits', b'digits')
    """
    if not content.startswith(b"\x1f\x8b"):
        return content
    try:
        return gzip.decompress(content)
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(f"the gzip file is damaged: {error}") from error


def _fetch_unpacked(url: str, file: str, pooch_: object) -> None:
    from pooch import HTTPDownloader

    HTTPDownloader(stream=False, chunk_size=1 << 20)(url, file, pooch_)  # a stream leaks its socket on a 404
    Path(file).write_bytes(unpacked(Path(file).read_bytes()))
