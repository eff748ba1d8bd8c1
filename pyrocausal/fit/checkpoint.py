"""Training state in one safetensors file: written atomically, read without running code."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from pyrocausal.errors import FitError
from pyrocausal.files import read_tensors, write_tensors
from pyrocausal.fit.options import FitOptions

if TYPE_CHECKING:
    from pyrocausal.fit.loop import Loop


def fingerprint(data: Any, options: FitOptions) -> str:
    """What a resumed training must share with an uninterrupted one to equal it: the data and the options."""
    digest = hashlib.sha256()
    for name, x in _leaves(data):
        digest.update(name.encode())
        digest.update(x.detach().cpu().contiguous().numpy().tobytes())
    apart = ("progress", "checkpoint", "device", "loss")
    settings = {k: v for k, v in vars(options).items() if k not in apart}
    digest.update(json.dumps(settings, sort_keys=True).encode())
    return digest.hexdigest()


def _leaves(data: Any, path: str = "") -> Iterator[tuple[str, Tensor]]:
    """Every tensor of a table, or of tables by name."""
    for name in sorted(data):
        if isinstance(data[name], Tensor):
            yield path + name, data[name]
        else:
            yield from _leaves(data[name], f"{path}{name}/")


def write(path: str | Path, loop: Loop, mark: str) -> None:
    state = loop.optimizer.state
    tensors: dict[str, Tensor] = {}
    for name, p in loop.parameters.items():
        tensors |= {
            f"now/{name}": p.detach(),
            f"average/{name}": loop.average[name],
            f"best/{name}": loop.best[name],
        }
        tensors |= {f"adam/{name}/{k}": v for k, v in state.get(p, {}).items()}
    tensors |= {f"top/{i}": score for i, score in enumerate(loop.top)}
    tensors |= {f"buffer/{name}": b for name, b in loop.scores.program.named_buffers()}
    meta = {
        "mark": mark,
        "step": loop.step,
        "active": sorted(loop.active),
        "best_step": loop.best_step,
        "curves": loop.curves,
    }
    write_tensors(path, tensors, {"pyrocausal_checkpoint": json.dumps(meta)})


def resume(path: str | Path, loop: Loop, mark: str) -> None:
    """Put the state of an earlier run into a loop, if there is one."""
    if not Path(path).exists():
        return
    tensors, metadata = read_tensors(path)
    meta = json.loads(metadata.get("pyrocausal_checkpoint", "{}"))
    if meta.get("mark") != mark:
        raise FitError(
            f"the checkpoint {path} belongs to another training",
            why="its data or options differ from these",
            fix="name another file, or delete it to start anew",
        )
    with torch.no_grad():
        for name, p in loop.parameters.items():
            p.copy_(tensors[f"now/{name}"])
            loop.average[name], loop.best[name] = tensors[f"average/{name}"], tensors[f"best/{name}"]
            adam = {k.rsplit("/", 1)[1]: v for k, v in tensors.items() if k.startswith(f"adam/{name}/")}
            if adam:
                loop.optimizer.state[p] = adam
        for name, b in loop.scores.program.named_buffers():
            b.copy_(tensors[f"buffer/{name}"])
    loop.top = [tensors[f"top/{i}"] for i in range(len(loop.groups))]
    loop.step, loop.active, loop.best_step = meta["step"], set(meta["active"]), meta["best_step"]
    loop.curves = {int(step): curve for step, curve in meta["curves"].items()}
