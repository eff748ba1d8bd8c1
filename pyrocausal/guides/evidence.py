"""One unit's evidence, as a guide sees it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from torch import Tensor

from pyrocausal.errors import EvidenceError, PyrocausalError, did_you_mean


class GuideError(PyrocausalError):
    """A guide that does not fit its model, or is asked for what it can't give."""


class NotGiven(EvidenceError, KeyError):
    """A guide reads a variable that is not in its evidence."""


class Evidence(Mapping[str, Tensor]):
    """One unit's evidence, as a guide sees it; it remembers what was looked at."""

    def __init__(self, values: Mapping[str, Tensor]):
        self._values = values
        self.seen: set[str] = set()

    def __getitem__(self, name: str) -> Tensor:
        if name not in self._values:
            raise NotGiven(
                f"the guide reads '{name}', which it is not given",
                why=f"it is given {', '.join(self._values) or 'nothing'}",
                fix=did_you_mean(str(name), list(self._values))
                or f"pass '{name}' as evidence, or use another method=",
            )
        self.seen.add(name)
        return self._values[name]

    def joined(self, values: Mapping[str, Tensor]) -> Evidence:
        """With these values too."""
        return Evidence({**self._values, **values})

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)
