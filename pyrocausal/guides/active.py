"""Which dimensions of a latent the evidence tells anything about."""

from __future__ import annotations

from torch import Tensor

from pyrocausal.samples import Samples


def active_dimensions(posterior: Samples, name: str, *, least: float = 0.01) -> Tensor:
    r"""Whether each dimension of a latent is in use: :math:`Var_x(E[z_d \mid x]) >` `least`.

    A wide latent whose surplus dimensions stay at their prior is as good as a narrow one. One with more
    active dimensions than there are hidden causes may split what belongs together, and then effects that are
    computed from it are not to be trusted, however well it fits (Rissanen and Marttinen 2021). The
    statistic is that of Y. Burda, R. Grosse, R. Salakhutdinov: Importance Weighted Autoencoders, ICLR 2016,
    section 5.2.

    Args:
        posterior: draws of the latent for many units, as in `scm.abduct(data, method="guide").factual`.
        name: the latent.
        least: the variance, between units, above which a dimension's mean counts as moving.

    Returns:
        A boolean tensor in the shape of the latent.

    >>> import pyro, pyro.distributions as dist, torch, pyrocausal as pc
    >>> def program():
    ...     z = pyro.sample("z", dist.Normal(torch.zeros(2), 1.0).to_event(1))
    ...     pyro.sample("x", dist.Normal(z[0], 1.0))                 # z[1] plays no part
    >>> def encode(x):
    ...     return dist.Normal(torch.stack([x / 2, 0 * x]), torch.tensor([0.5**0.5, 1.0])).to_event(1)
    >>> scm = pc.SCM(program, latent=["z"], guide=pc.guides.Amortized(z=encode))
    >>> data = {"x": scm.sample(500, seed=0)["x"]}
    >>> noise = scm.abduct(data, method="guide", num_samples=100, seed=0)
    >>> pc.guides.active_dimensions(noise.factual, "z", least=0.05)
    tensor([ True, False])
    """
    return posterior.mean(name).var(0) > least
