"""Many units from a program about one.

An SCM program is literally about one unit: no plate, no batch dimension. `Program` makes any callable safe to
run and to train; `over_units` maps a function of one unit over all of them with `torch.vmap`, or, for
programs that branch on a unit's value, unit by unit.
"""

from __future__ import annotations

import contextlib
import inspect
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

import pyro
import torch
from pyro.nn.module import PyroModule, PyroSample
from pyro.poutine.messenger import Messenger
from torch import Tensor, nn
from torch.distributions import constraints, transform_to
from torch.utils import _pytree as pytree

from pyrocausal.errors import ProgramError, did_you_mean

logger = logging.getLogger("pyrocausal")


class Program(nn.Module):
    """A user's program (function or module) with every parameter that it uses in one place.

    A `PyroModule` keeps its own parameters. A plain function may use `pyro.param` (the values live here, not
    in Pyro's global store, so two SCMs never share them) and modules that it reaches by closure or global
    name.

    Args:
        program: the function or module.
        arguments: how many it takes: none, or for a guide one, the evidence.
    """

    def __init__(self, program: Callable[..., Any], *, arguments: int = 0):
        super().__init__()
        if isinstance(program, type) or not callable(program):
            raise ProgramError(
                f"{program!r} is not a program",
                why="an SCM wraps a function or a PyroModule instance that takes no arguments",
                fix="pass an instance, e.g. SCM(Smoking())"
                if isinstance(program, type)
                else "pass a callable",
            )
        _check_arguments(program, arguments)
        self.module = program if isinstance(program, nn.Module) else None
        self.function = None if isinstance(program, nn.Module) else program
        self.reached = nn.ModuleDict({} if self.module is not None else _reached_modules(program))
        self.params = nn.ParameterDict()
        self.constraints: dict[str, constraints.Constraint] = {}
        self.posterior = nn.Module()  # buffers: draws of the weights that all units share, if there are any
        self._weights: dict[str, Tensor] = {}
        self._block = 1
        self._refuse_foreign_layers()
        self._localise()
        self.eval()
        self._enter_context = any(_pyro_samples(m) for m in self.modules())

    @property
    def name(self) -> str:
        subject = self.module if self.module is not None else self.function
        return getattr(subject, "__name__", type(subject).__name__)

    @property
    def device(self) -> torch.device:
        """Where the parameters are: units are computed there."""
        return next((t.device for t in chain(self.parameters(), self.buffers())), torch.device("cpu"))

    @property
    def sampled_attributes(self) -> set[str]:
        """The site names of attributes that are `PyroSample`."""
        root = self.module
        modules = root.named_modules() if root is not None else ()
        return {
            f"{path}.{name}".removeprefix(".") for path, module in modules for name in _pyro_samples(module)
        }

    def forward(self, *arguments: Any) -> Any:
        if self.module is None:
            assert self.function is not None
            return self.function(*arguments)
        # Calling .forward directly keeps PyroModule from sending a message for every parameter of every layer
        # on each attribute access; only PyroSample attributes need that context, for their site names.
        return self.module(*arguments) if self._enter_context else self.module.forward(*arguments)

    @contextlib.contextmanager
    def running(self, *handlers: Messenger, validate: bool = False) -> Iterator[None]:
        """Handlers installed, parameters local to this program, distributions unchecked unless asked for."""
        with contextlib.ExitStack() as stack:
            stack.enter_context(pyro.settings.context(module_local_params=True))
            stack.enter_context(pyro.validation_enabled(validate))
            stack.enter_context(_OwnParams(self))
            for handler in handlers:
                stack.enter_context(handler)
            yield

    # ---- weights that all units share

    @property
    def weights_posterior(self) -> dict[str, Tensor]:
        """Draws of the shared weights, `(draws, *shape)`, from their prior until they are fitted."""
        return {name_of(key): x for key, x in self.posterior.named_buffers()}

    def keep_posterior(self, draws: Mapping[str, Tensor]) -> None:
        for name, x in draws.items():
            self.posterior.register_buffer(module_key(name), x.detach().clone())

    @property
    def has_weights(self) -> bool:
        """Whether passes now use draws of weights that units share."""
        return bool(self._weights)

    @contextlib.contextmanager
    def weights(self, draws: Mapping[str, Tensor], block: int) -> Iterator[None]:
        """Within, passes use these draws `(draws, *shape)` of the shared weights.

        The units of a pass are blocks of `block` units, one block a draw, again and again.
        """
        before = self._weights, self._block
        self._weights, self._block = dict(draws), block
        try:
            yield
        finally:
            self._weights, self._block = before

    def map(self, function: Callable[[Any, Any], Any], inputs: Any, *, vectorised: bool) -> Any:
        """`function(inputs, weights)` of one unit for all units, each with the weights of its block."""
        if not self._weights:
            return over_units(lambda one: function(one, {}), inputs, vectorised=vectorised)
        draws = len(next(iter(self._weights.values())))

        def of_draw(arguments: tuple[Any, dict[str, Tensor]]) -> Any:
            units, weights = arguments
            return over_units(lambda one: function(one, weights), units, vectorised=vectorised)

        by_draw = pytree.tree_map(lambda x: _draws_first(x, draws, self._block), inputs)
        found = over_units(of_draw, (by_draw, self._weights), vectorised=vectorised)
        return pytree.tree_map(lambda x: _units_first(x, self._block), found)

    def own_param(self, name: str, init: Any, constraint: constraints.Constraint) -> Tensor:
        """The value of `pyro.param(name, init, constraint)`, created on first use."""
        key = module_key(name)
        if key not in self.params:
            if init is None:
                raise ProgramError(
                    f"pyro.param('{name}') has no initial value",
                    why="the SCM keeps its own parameters and has none of that name yet",
                    fix=f"write pyro.param('{name}', torch.tensor(...))",
                )
            value = init() if callable(init) else init
            if not isinstance(value, nn.Parameter) or constraint is not constraints.real:
                value = nn.Parameter(transform_to(constraint).inv(torch.as_tensor(value).detach().clone()))
            self.params[key] = value
            self.constraints[key] = constraint
        return transform_to(self.constraints[key])(self.params[key])

    def select(self, only: Sequence[str] | None) -> dict[str, nn.Parameter]:
        """Parameters by name; with `only`, those of the parts named, as a user of the program names them."""
        named = {name: p for name, p in self.named_parameters() if p.requires_grad}
        if only is None:
            return named
        parts = [only] if isinstance(only, str) else list(only)
        chosen: dict[str, nn.Parameter] = {}
        for part in parts:
            found = {n: p for n, p in named.items() if f"{_users_name(n)}.".startswith(f"{part}.")}
            if not found:
                known = sorted({_users_name(n).rpartition(".")[0] or _users_name(n) for n in named})
                raise ProgramError(
                    f"only={part!r}: the program has no parameters of that name",
                    why=f"its parts are {', '.join(known)}",
                    fix=did_you_mean(part, known) or "name one of these",
                )
            chosen |= found
        return chosen

    def _localise(self) -> None:
        # A PyroModule made while `module_local_params` was off lacks the state that the setting needs.
        for module in self.modules():
            context = module.__dict__.get("_pyro_context")
            if context is not None and not hasattr(context, "param_state"):
                context.param_state = {"params": {}, "constraints": {}}

    def _refuse_foreign_layers(self) -> None:
        for name, module in self.named_modules():
            if isinstance(module, nn.modules.dropout._DropoutNd) and module.p > 0:
                raise ProgramError(
                    f"{type(module).__name__} at '{name.removeprefix('module.')}' can't be used in an SCM",
                    why="it draws random numbers outside of pyro.sample, which can't be abducted",
                    fix="remove it: fit averages weights and stops on held-out rows instead",
                )
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                raise ProgramError(
                    f"{type(module).__name__} at '{name.removeprefix('module.')}' can't be used in an SCM",
                    why="it mixes units: one unit's value would depend on who else is in the batch",
                    fix="use torch.nn.LayerNorm or torch.nn.GroupNorm",
                )


class _OwnParams(Messenger):
    """Answers `pyro.param` of plain functions from the program's own parameters."""

    def __init__(self, program: Program):
        super().__init__()
        self.program = program

    def _pyro_param(self, msg: Any) -> None:
        if self.program.module is not None:
            return
        name, *init = msg["args"]
        constraint = msg["kwargs"].get("constraint", constraints.real)
        msg["value"] = self.program.own_param(name, init[0] if init else None, constraint)
        msg["done"] = True
        msg["stop"] = True


def _draws_first(x: Tensor, draws: int, block: int) -> Tensor:
    """`(repeats * draws * block, ...)` as `(draws, repeats * block, ...)`."""
    return x.reshape(-1, draws, block, *x.shape[1:]).movedim(1, 0).flatten(1, 2)


def _units_first(x: Tensor, block: int) -> Tensor:
    """The inverse of `_draws_first`."""
    return x.unflatten(1, (-1, block)).movedim(0, 1).flatten(0, 2)


def _users_name(name: str) -> str:
    """A parameter's name without the words that `Program` adds to it."""
    return ".".join(word for word in name.split(".") if word not in ("module", "reached", "params"))


def module_key(name: str) -> str:
    """A name without dots, which torch's modules don't allow; different for different names."""
    return name.replace("%", "%25").replace(".", "%2E")


def name_of(key: str) -> str:
    """The name behind a `module_key`."""
    return key.replace("%2E", ".").replace("%25", "%")


class _Units(Messenger):
    """Marks sites as a unit's own."""

    def _pyro_sample(self, msg: Any) -> None:
        msg["infer"] = {**msg["infer"], OWN: True}


OWN = "_pyrocausal_unit"  # in a site's infer: it was met within `units()`


def units() -> Messenger:
    """In a program, `with pc.units():` says where one unit begins: sites before it are shared by all units.

    Such sites are weights with a prior: `SCM.fit` infers their posterior from all rows, and every answer
    averages over it. Attributes that are `PyroSample` are shared wherever they are read. Without this mark
    everything in the program is one unit's own.

    >>> import pyro, pyro.distributions as dist, pyrocausal as pc
    >>> def program():
    ...     slope = pyro.sample("slope", dist.Normal(0.0, 10.0))
    ...     with pc.units():
    ...         x = pyro.sample("x", dist.Normal(0.0, 1.0))
    ...         pyro.sample("y", dist.Normal(slope * x, 1.0))
    >>> scm = pc.SCM(program)
    >>> scm.graph.to_string(), list(scm.weights)
    ('x -> y', ['slope'])
    """
    return _Units()


def over_units(function: Callable[[Any], Any], inputs: Any, *, vectorised: bool = True) -> Any:
    """Map `function` of one unit's inputs (a pytree of tensors, units first) over all units, outputs stacked.

    Random draws inside are refused: all randomness comes in as an input, so the same noise gives the same
    numbers. With `vectorised=False` the units run one after the other.
    """
    if vectorised:
        return torch.vmap(function)(inputs)
    leaves, spec = pytree.tree_flatten(inputs)
    rows = [
        function(pytree.tree_unflatten([leaf[i] for leaf in leaves], spec)) for i in range(len(leaves[0]))
    ]
    return _stack(rows)


def _stack(rows: list[Any]) -> Any:
    """Stack per-unit results; a variable that does not occur for a unit is NaN there (or 0 for integers)."""
    if isinstance(rows[0], dict):
        keys = list(dict.fromkeys(key for row in rows for key in row))
        return {key: _stack_column([row.get(key) for row in rows]) for key in keys}
    return torch.stack(rows)


def _stack_column(column: list[Any]) -> Any:
    present = [value for value in column if value is not None]
    if isinstance(present[0], dict):
        return _stack([value if value is not None else {} for value in column])
    shape = present[0].shape
    blank = (
        torch.full(shape, float("nan"))
        if present[0].is_floating_point()
        else torch.zeros(shape).to(present[0])
    )
    return torch.stack([blank.to(present[0]) if value is None else value for value in column])


def _check_arguments(program: Callable[..., Any], count: int) -> None:
    call = program.forward if isinstance(program, nn.Module) else program
    try:
        inspect.signature(call).bind(*[None] * count)
    except TypeError as error:
        if count:
            raise ProgramError(
                f"the guide can't be called with the evidence alone: {error}",
                why="a guide is about one unit and gets a mapping of variable to value",
                fix='write def guide(evidence): …, and read evidence["x"] in it',
            ) from None
        raise ProgramError(
            f"the program can't be called without arguments: {error}",
            why="an SCM program is about one unit, whose values are all pyro.sample sites",
            fix="give the arguments defaults, or fix them with functools.partial",
        ) from None
    except ValueError:  # a callable without a signature to read
        return


def _pyro_samples(module: nn.Module) -> list[str]:
    """The names of a module's `PyroSample` attributes."""
    if not isinstance(module, PyroModule):
        return []
    of_class = [name for name, v in vars(type(module)).items() if isinstance(v, PyroSample)]
    return [*module.__dict__.get("_pyro_samples", ()), *of_class]


def _reached_modules(function: Callable[..., Any]) -> dict[str, nn.Module]:
    """Modules that a plain function (or bound method) uses by closure, global name or `self`."""
    found: dict[str, Any] = {}
    target = inspect.unwrap(getattr(function, "func", function))
    if inspect.ismethod(target):
        found["self"] = target.__self__
        target = target.__func__
    if inspect.isfunction(target):
        scope = inspect.getclosurevars(target)
        found.update(scope.globals)
        found.update(scope.nonlocals)
    modules = {module_key(name): value for name, value in found.items() if isinstance(value, nn.Module)}
    for name, value in found.items():
        if isinstance(value, (list, tuple)) and any(isinstance(v, nn.Module) for v in value):
            modules[name] = nn.ModuleList([v for v in value if isinstance(v, nn.Module)])
        elif isinstance(value, dict) and any(isinstance(v, nn.Module) for v in value.values()):
            inner = {module_key(str(k)): v for k, v in value.items() if isinstance(v, nn.Module)}
            modules[name] = nn.ModuleDict(inner)
    return modules
