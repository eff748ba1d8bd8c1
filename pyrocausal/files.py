"""Files that are written whole or not at all; tensors as safetensors, so that loading runs no code."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from pyrocausal.errors import SaveError


def write_tensors(path: str | Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Write to a temporary file beside `path`, then put it in place in one move."""
    if not isinstance(path, (str, os.PathLike)) or Path(path).is_dir():
        raise SaveError(f"{path!r} is no file name", fix='pass one, such as "model.safetensors"')
    if not Path(path).parent.is_dir():
        raise SaveError(f"there is no folder {Path(path).parent}", fix="make it first")
    write_whole(
        path, save({k: v.detach().cpu().contiguous().clone() for k, v in tensors.items()}, dict(metadata))
    )


def write_whole(path: str | Path, content: bytes) -> None:
    """A file that has all of its content, or is as it was."""
    path = Path(path)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def read_tensors(path: str | Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """(tensors, metadata) of a file that `write_tensors` wrote."""
    if not Path(path).is_file():
        raise SaveError(f"there is no file {path}", fix="check the path")
    try:
        with safe_open(path, framework="pt") as file:
            names = file.keys()
            return {name: file.get_tensor(name) for name in names}, dict(file.metadata() or {})
    except SafetensorError as error:
        raise SaveError(f"{path} is no safetensors file, or is damaged", why=str(error)) from error
