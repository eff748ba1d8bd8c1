r"""DSCM: deep structural causal models.

N. Pawlowski, D. C. Castro, B. Glocker: Deep Structural Causal Models for Tractable Counterfactual Inference,
NeurIPS 2020. The synthetic thickness and intensity: their code, github.com/biomedia-mira/deepscm.

    thickness t -> intensity i;  t, i -> image x

    invertible, explicit:  t = f_t(u_t),  i = f_i(u_i; t)       flows: the noise of what was seen is exact
    amortised, explicit:   x = h(u_x; g(z, t, i)), z ~ N(0, I)  the high-level part z of the image's noise is
                                                                inferred by q(z | x, t, i); the low-level part
                                                                u_x = (x - mean) / sd is pulled out given z

A counterfactual is abduction, action, prediction: z from the guide, u_t, u_i and u_x exactly. Nothing in
this file does any of it. `bar` renders its images, so that every counterfactual is known; `morphomnist` are
digits.
"""

import math
from itertools import pairwise

import matplotlib.pyplot as plt
import pandas as pd
import pyro
import pyro.distributions as dist
import torch
from pyro.nn import PyroModule
from torch import Tensor, nn

import pyrocausal as pc
from pyrocausal import mechanisms as m
from pyrocausal.data import morphomnist as load_morphomnist
from pyrocausal.experiment import Experiments
from pyrocausal.image_metrics import composition, effectiveness, reversibility

experiments = Experiments("dscm", __doc__, source="Pawlowski, Castro and Glocker 2020")


class Tabular(PyroModule):
    """t -> i, each by the toolkit's default mechanism: a conditional spline flow."""

    def __init__(self):
        super().__init__()
        self.thickness, self.intensity = m.Continuous(), m.Continuous()

    def forward(self):
        t = pyro.sample("thickness", self.thickness())
        return t, pyro.sample("intensity", self.intensity(t))


class DSCM(PyroModule):
    """The whole model. `decoder` takes z and the standardised parents, of which it sees `reads`."""

    def __init__(self, tabular: Tabular, decoder: nn.Module, latent: int, reads: str = "ti"):
        super().__init__()
        self.tabular, self.decoder, self.latent = tabular, decoder, latent
        self.seen = torch.tensor(["t" in reads, "i" in reads]).float()
        self.log_sd = nn.Parameter(torch.tensor(-2.0))
        self.register_buffer("centre", torch.zeros(2))
        self.register_buffer("scale", torch.ones(2))

    def standardise(self, table: pd.DataFrame) -> "DSCM":
        self.centre.copy_(torch.tensor(table[["thickness", "intensity"]].mean().to_numpy()))
        self.scale.copy_(torch.tensor(table[["thickness", "intensity"]].std().to_numpy()))
        return self

    def parents(self, t: Tensor, i: Tensor) -> Tensor:
        return self.seen * (torch.stack([t, i]) - self.centre) / self.scale

    def forward(self):
        t, i = self.tabular()
        z = pyro.sample("z", dist.Normal(torch.zeros(self.latent), 1.0).to_event(1))
        mean = self.decoder(torch.cat([z, self.parents(t, i)]))
        pyro.sample("image", dist.Normal(mean, self.log_sd.exp()).to_event(2))


class Encoder(PyroModule):
    """q(z | x, t, i)"""

    def __init__(self, scm: DSCM, of_image: nn.Module, merge: nn.Module):
        super().__init__()
        self.parents_of, self.of_image, self.merge = scm.parents, of_image, merge

    def forward(self, image, thickness, intensity):
        parents = self.parents_of(thickness, intensity)
        loc, log_sd = self.merge(torch.cat([self.of_image(image[None]), parents])).chunk(2)
        return dist.Normal(loc, log_sd.exp()).to_event(1)


def dense(*sizes: int) -> nn.Sequential:
    layers = [part for a, b in pairwise(sizes) for part in (nn.Linear(a, b), nn.SiLU())]
    return nn.Sequential(*layers[:-1])


def trained(run, table, images, *, decoder, encoder, latent, epochs, reads="ti"):
    """The tabular part by its exact likelihood, then the image and the guide by the evidence lower bound."""
    tabular = Tabular()
    pc.SCM(tabular, seed=run.seed).fit(table, seed=run.seed, progress=run.progress)
    program = DSCM(tabular, decoder, latent, reads).standardise(table)
    guide = pc.guides.Amortized(z=Encoder(program, *encoder))
    scm = pc.SCM(program, latent=["z"], guide=guide, seed=run.seed)
    data = {name: torch.tensor(column.to_numpy()).float() for name, column in table.items()} | {
        "image": images
    }
    scm.fit(
        data, only=["decoder", "log_sd", "guide"], epochs=epochs, batch_size=128, learning_rate=1e-3,
        seed=run.seed, device=run.device, progress=run.progress, checkpoint=run.file("checkpoint"),
    )  # fmt: skip
    scm.save(run.file("safetensors"))
    return scm


# ---- images that can be rendered: every counterfactual image is known

SIZE, SHARP, NOISE = 16, 0.5, 0.02


def generate(n: int, seed: int) -> dict[str, Tensor]:
    """The exogenous variables: of the image they are its angle, offset, length and pixels."""
    g = torch.Generator().manual_seed(seed)
    uniform = torch.rand(4, n, generator=g, dtype=torch.double)
    gamma = -torch.rand(10, n, generator=g, dtype=torch.double).log().sum(0) / 5
    return {
        "thickness": 0.5 + gamma, "intensity": torch.randn(n, generator=g, dtype=torch.double),
        "angle": math.pi * uniform[0], "x": 3 * uniform[1] - 1.5, "y": 3 * uniform[2] - 1.5,
        "length": 6 + 6 * uniform[3], "pixels": torch.randn(n, SIZE, SIZE, generator=g, dtype=torch.double),
    }  # fmt: skip


def render(u: dict[str, Tensor], do: dict[str, float]) -> dict[str, Tensor]:
    """Thickness, intensity (grey levels 0 to 255) and image (0 to 1) in the world `do`."""
    t = torch.full_like(u["thickness"], do["thickness"]) if "thickness" in do else u["thickness"]
    i = 191 * torch.sigmoid(0.5 * u["intensity"] + 2 * t - 5) + 64
    i = torch.full_like(i, do["intensity"]) if "intensity" in do else i
    place = torch.arange(SIZE, dtype=torch.double) - (SIZE - 1) / 2
    x, y = (
        axis - u[k][:, None, None] for k, axis in {"x": place[None, None], "y": place[None, :, None]}.items()
    )
    cos, sin = u["angle"].cos()[:, None, None], u["angle"].sin()[:, None, None]
    along, across = x * cos + y * sin, y * cos - x * sin
    inside = torch.sigmoid((t[:, None, None] / 2 - across.abs()) / SHARP)
    inside = inside * torch.sigmoid((u["length"][:, None, None] / 2 - along.abs()) / SHARP)
    image = i[:, None, None] / 255 * inside + NOISE * u["pixels"]
    return {"thickness": t, "intensity": i, "image": image}


WORLDS = {
    "t=1.5": {"thickness": 1.5}, "t=3.5": {"thickness": 3.5}, "i=100": {"intensity": 100.0},
    "i=224": {"intensity": 224.0}, "t=3, i=180": {"thickness": 3.0, "intensity": 180.0},
}  # fmt: skip


@experiments
def bar(run, *, rows: int = 20_000, epochs: int = 30, latent: int = 8, particles: int = 16):
    """A rendered bar: counterfactual images beside the true ones, no abduction, and the factual image."""
    rows, epochs = (4000, 15) if run.quick else (rows, epochs)
    train, u = render(generate(rows, run.seed), {}), generate(500, run.seed + 1)
    table = pd.DataFrame({name: train[name].numpy() for name in ("thickness", "intensity")})
    pixels = SIZE * SIZE
    scm = trained(
        run, table, train["image"].float(), latent=latent, epochs=epochs,
        decoder=nn.Sequential(dense(latent + 2, 256, 256, pixels), nn.Unflatten(0, (SIZE, SIZE))),
        encoder=(nn.Flatten(0), dense(pixels + 2, 256, 256, 2 * latent)),
    )  # fmt: skip
    factual = {name: x.float() for name, x in render(u, {}).items()}
    noise = scm.abduct(factual, method="guide", num_samples=particles, seed=run.seed)
    fresh = scm.abduct(factual, method="guide", num_samples=particles, seed=run.seed).replaced(
        {"z": torch.randn_like(noise["z"]), "image": torch.randn_like(noise["image"])}
    )
    details = []
    for world, do in WORLDS.items():
        truth, submodel = render(u, do)["image"], scm.do(do)
        answers = {
            "abducted": submodel.predict(noise)["image"].mean(0),
            "without u": submodel.predict(noise.replaced({"image": torch.zeros_like(noise["image"])}))[
                "image"
            ].mean(0),
            "no abduction": submodel.predict(fresh)["image"].mean(0),
            "factual": factual["image"],
        }
        row = {name: (image - truth).abs().mean().item() for name, image in answers.items()}
        details.append({"world": world, **row})
    errors = pd.DataFrame(details).set_index("world")
    print(errors.round(4).to_string())
    draw(run, factual["image"], {w: scm.do(do).predict(noise)["image"].mean(0) for w, do in WORLDS.items()})
    run.claim(
        "counterfactual images: error beside no abduction, worst of five worlds",
        (errors["abducted"] / errors["no abduction"]).max(), below=0.75,
    )  # fmt: skip
    better = int((errors["abducted"] < errors["factual"]).sum())
    run.claim(
        "counterfactual images: nearer to the truth than the factual one, of five worlds", better, above=3.5
    )
    composed = (scm.predict(noise)["image"] - factual["image"]).abs().mean().item()
    run.claim(
        "composition: the factual image back from its noise, mean error (grey 0 to 1)", composed, below=1e-4
    )
    return details


# ---- digits


@experiments
def tabular(run):
    """Thickness and intensity of Morpho-MNIST: counterfactual intensities beside the known ones."""
    _, table = load_morphomnist()
    table = table[["thickness", "intensity"]].astype(float)
    train, test = table[:8000], table[8000:]
    scm = pc.SCM(Tabular(), seed=run.seed).fit(train, seed=run.seed, progress=run.progress)
    t, i = (torch.tensor(test[name].to_numpy()) for name in ("thickness", "intensity"))
    luck = 2 * (torch.logit((i - 64) / 191) - (2 * t - 5))  # of the generator that made these data

    def truth(at, noise):
        return 191 * torch.sigmoid(0.5 * noise + 2 * at - 5) + 64

    details = []
    for at in (1.5, 2.5, 3.5):
        answer = scm.counterfactual(test, do={"thickness": at})["intensity"].double()
        error = (answer - truth(at, luck)).abs().mean().item()
        fresh = scm.do(thickness=at).sample(len(test), seed=run.seed)["intensity"]
        details.append({"do(t)": at, "error": error,
                        "no abduction": (fresh - truth(at, luck)).abs().mean().item()})  # fmt: skip
    given_t = scm.log_prob(test) - pc.SCM(
        lambda: pyro.sample("thickness", scm.mechanisms["thickness"]())
    ).log_prob(test[["thickness"]])
    errors = pd.DataFrame(details)
    print(errors.round(3).to_string(index=False))
    run.claim(
        "log p(i | t), test (nat)", given_t.mean().item(), above=-4.22, published="-4.303 (their notebook)"
    )
    run.claim(
        "counterfactual intensity: error (grey levels), worst of three worlds",
        errors["error"].max(),
        below=1.0,
    )
    ratio = (errors["error"] / errors["no abduction"]).max()
    run.claim("counterfactual intensity: error beside no abduction, worst", ratio, below=0.1)
    return details


DIGITS = {"t=1.5": {"thickness": 1.5}, "t=5": {"thickness": 5.0}, "i=64": {"intensity": 64.0},
          "i=224": {"intensity": 224.0}, "t=1.5, i=224": {"thickness": 1.5, "intensity": 224.0}}  # fmt: skip


@experiments
def morphomnist(run, *, epochs: int = 40, latent: int = 16, reads: str = "ti"):
    """Morpho-MNIST: composition, effectiveness and reversibility, and the figure of the paper."""
    images, everything = load_morphomnist()
    images = images.float() / 255
    table = everything[["thickness", "intensity"]].astype(float)
    rows = 1000 if run.quick else 8000
    scm = trained(
        run, table[:rows], images[:rows], latent=latent, epochs=3 if run.quick else epochs, reads=reads,
        decoder=nn.Sequential(
            dense(latent + 2, 256, 64 * 7 * 7), nn.SiLU(), nn.Unflatten(0, (64, 7, 7)),
            nn.ConvTranspose2d(64, 32, 4, 2, 1), nn.SiLU(),
            nn.ConvTranspose2d(32, 1, 4, 2, 1), nn.Flatten(0, 1),
        ),
        encoder=(
            nn.Sequential(
                nn.Conv2d(1, 32, 4, 2, 1), nn.SiLU(), nn.Conv2d(32, 64, 4, 2, 1), nn.SiLU(), nn.Flatten(0)
            ),
            dense(64 * 7 * 7 + 2, 256, 2 * latent),
        ),
    )  # fmt: skip
    test = slice(8000, 8200 if run.quick else 9000)
    seen = {name: torch.tensor(table[name].to_numpy()[test]).float() for name in table} | {
        "image": images[test]
    }
    measures, digit = instruments(run, images[:8000], everything[:8000])
    options = {"method": "guide", "seed": run.seed}
    for rounds in (1, 10):
        full, decoded = (
            composition(scm, seen, rounds=rounds, drop=d, **options).mean() for d in ((), ["image"])
        )
        run.claim(f"composition, {rounds} rounds: mean error (grey 0 to 1)", full.item(), below=1e-3)
        run.claim(f"composition, {rounds} rounds, by the decoder alone", decoded.item())
    cf = scm.counterfactual(seen, do=DIGITS, num_samples=1, **options)
    details = []
    for world, do in DIGITS.items():
        answer = {name: x[0] for name, x in cf.worlds[world].items()}
        due = {name: answer[name] for name in measures}
        found = effectiveness(answer["image"], measures, due)
        kept = (digit(answer["image"]) == digit(seen["image"])).float().mean().item()
        back = reversibility(scm, seen, do=do, **options).mean().item()
        details.append({"world": world, **found, "digit kept": kept, "reversibility": back})
    real = effectiveness(seen["image"], measures, {name: seen[name] for name in measures})
    print(pd.DataFrame(details).round(3).to_string(index=False))
    for name, error in real.items():
        worst = max(row[name] for row in details)
        run.claim(
            f"effectiveness: {name} as measured, worst of five worlds (real images: {error:.2f})", worst
        )
    run.claim("digit kept, worst of five worlds", min(row["digit kept"] for row in details))
    run.claim(
        "reversibility, worst of five worlds (grey 0 to 1)", max(row["reversibility"] for row in details)
    )
    draw(run, seen["image"], {name: world["image"][0] for name, world in cf.worlds.items()})
    return details


def instruments(run, images, table):
    """What measures thickness and intensity on an image, and what reads its digit: from real images."""
    from scipy.ndimage import distance_transform_edt
    from sklearn.linear_model import LinearRegression
    from sklearn.neural_network import MLPClassifier

    def features(x):
        rows = []
        for image in x.clamp(0, 1).numpy():
            ink = image > 0.5 * image.max()
            depth = distance_transform_edt(ink)
            rows.append(
                [2 * depth[ink].mean(), depth.max(), ink.sum() ** 0.5, 255 * pd.Series(image[ink]).median()]
            )
        return rows

    def ruler(name):
        fit = LinearRegression().fit(known, table[name])
        return lambda x: torch.tensor(fit.predict(features(x)))

    known = features(images)
    reader = MLPClassifier((200,), early_stopping=True, random_state=run.seed)
    reader.fit(images.flatten(1).numpy(), table["label"])
    rulers = {name: ruler(name) for name in ("thickness", "intensity")}
    return rulers, lambda x: torch.tensor(reader.predict(x.clamp(0, 1).flatten(1).numpy()))


def draw(run, factual, worlds, count: int = 8):
    """Factual images, and in each world the counterfactual ones and the differences."""
    fig, axes = plt.subplots(1 + 2 * len(worlds), count, figsize=(count, 1.05 * (1 + 2 * len(worlds))))
    rows = [("factual", factual)]
    for name, images in worlds.items():
        rows += [(name, images), ("difference", images - factual)]
    for row, (title, images) in enumerate(rows):
        look = (
            {"vmin": -1, "vmax": 1, "cmap": "RdBu"}
            if title == "difference"
            else {"vmin": 0, "vmax": 1, "cmap": "gray"}
        )
        for column in range(count):
            axes[row, column].imshow(images[column].numpy(), **look)
            axes[row, column].set(xticks=[], yticks=[])
        axes[row, 0].set_ylabel(title, fontsize=7)
    fig.savefig(run.file("figure.png"), dpi=110, bbox_inches="tight")
    plt.close(fig)


if __name__ == "__main__":
    experiments.main()
