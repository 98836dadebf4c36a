"""Training a StyleGAN2 on rendered cars: non-saturating loss, lazy R1, style mixing, moving average; resumable.

After Karras et al. (CVPR 2020), appendix B, without path length regularisation, and with the same generated images
for a step of the discriminator and the generator's that follows.  What a step does depends on the settings and on
how many images were seen only, so a training that was killed goes on as if it had not been.
"""

import copy
import csv
import io
import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from pydantic import Field, ValidationError
from torch import Tensor, nn

from navbench import seeds
from navbench.compute import Compute
from navbench.errors import Failure, NavbenchError, reason
from navbench.files import explained, write_atomically
from navbench.generators.stylegan2 import StyleGAN2
from navbench.pickles import read_torch
from navbench.progress import Report, silent
from navbench.settings import Settings
from navbench.testbed import cars
from navbench.testbed.discriminator import Discriminator
from navbench.testbed.pictures import png, sheet

CHANGEABLE = ("batch", "learning_rate", "r1")
"""Settings with which a training may go on otherwise than it began; its log says when."""
UNSEEN = ("images", "save_every", "sample_every")
"""Settings that change nothing about a step."""
LOG = ("seconds", "images", "event", "generator_loss", "discriminator_loss", "penalty", "images_per_second")


class TrainSettings(Settings):
    """What is trained, and how; a training may go on with other `CHANGEABLE` or `UNSEEN` ones.

    Attributes:
        images: how many renderings the discriminator sees.
        batch: renderings of a step.
        latent_dim, style_dim, mapping_layers, channel_base, channel_max: of the generator (see `StyleGAN2`).
        critic_base: the discriminator's channel_base.
        learning_rate: of Adam, betas (0, 0.99), for both networks.
        r1: gamma, the weight of the squared gradient at renderings (Mescheder et al., ICML 2018).
        r1_every: steps between penalties, each of which then counts that many times.
        mixing: the probability that a batch changes its styles at some layer.
        average: images over which the moving average of the weights halves.
        save_every: images between checkpoints.
        sample_every: images between sheets of samples.
        seed: of everything random.
    """

    images: int = Field(500_000, ge=1)
    batch: int = Field(32, ge=2)
    latent_dim: int = Field(128, ge=1)
    style_dim: int = Field(128, ge=1)
    mapping_layers: int = Field(8, ge=1)
    channel_base: int = Field(1024, ge=64)
    channel_max: int = Field(128, ge=1)
    critic_base: int = Field(1024, ge=64)
    learning_rate: float = Field(2e-3, gt=0)
    r1: float = Field(2.0, ge=0)
    r1_every: int = Field(16, ge=1)
    mixing: float = Field(0.9, ge=0, le=1)
    average: int = Field(20_000, ge=1)
    save_every: int = Field(8_000, ge=1)
    sample_every: int = Field(40_000, ge=1)
    seed: int = Field(0, ge=0)

    def generator(self) -> StyleGAN2:
        """The generator of these sizes, its weights drawn from torch's global generator."""
        return StyleGAN2(
            "cars", "StyleGAN2 of 64x64 rendered cars with known factors", cars.RESOLUTION, self.latent_dim,
            self.style_dim, self.mapping_layers, self.channel_base, self.channel_max,
        )  # fmt: skip


PRESETS = {
    "cpu": TrainSettings(),
    "gpu": TrainSettings(
        images=5_000_000, batch=32, latent_dim=512, style_dim=512, channel_base=16384, channel_max=256,
        critic_base=16384, save_every=100_000, sample_every=200_000,
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Checkpoint:
    """A training as it was saved.

    Attributes:
        images, seconds: how far it was.
        states: of its networks and optimisers by name, as `state_dict` gives them.
    """

    settings: TrainSettings
    images: int
    seconds: float
    states: dict[str, Any]


class Training:
    """Both networks, the moving average, both optimisers, and how many renderings they have seen.

    Attributes:
        average: the generator that is kept: the moving average of the trained one.
        images: renderings seen.
    """

    def __init__(self, settings: TrainSettings, compute: Compute, folder: Path) -> None:
        """Begin in an empty folder, or go on from the checkpoint that a folder holds."""
        self.settings, self.compute, self.folder = settings, compute, folder
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seeds.derived(settings.seed, "weights"))
            self.generator = settings.generator()
            self.critic = Discriminator(cars.RESOLUTION, settings.critic_base, settings.channel_max)
        self.average = copy.deepcopy(self.generator).requires_grad_(False)
        for network in (self.generator, self.critic, self.average):
            network.to(compute.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.generator_steps = self._adam(self.generator)
        self.critic_steps = self._adam(self.critic)
        self.images, self.seconds = 0, 0.0
        self._begun_as = "begun"
        self._penalty: dict[str, float] = {}
        if self.checkpoint.exists():
            self._resume()

    @property
    def checkpoint(self) -> Path:
        """The file of the checkpoint."""
        return self.folder / "checkpoint.pt"

    def run(self, report: Report = silent) -> None:
        """Train until the images of the settings have been seen.

        Raises:
            Failure: a loss or a weight became NaN or infinite; the checkpoint is that of before.
        """
        settings, begun, saved = self.settings, time.monotonic() - self.seconds, self.images
        self._log(self._begun_as)
        report(self.images, settings.images)
        while self.images < settings.images:
            losses = self.step()
            self.seconds = time.monotonic() - begun
            self._check(all(map(math.isfinite, losses.values())))
            report(self.images, settings.images, f"critic {losses['discriminator_loss']:.2f}")
            done = self.images >= settings.images
            if done or self._passed(settings.sample_every):
                self._sheet()
            if done or self.images - saved >= settings.save_every:
                saved = self.images
                self._save(losses)

    def _check(self, good: bool) -> None:
        if not good:
            raise Failure(
                f"The training diverged at {self.images} images; go on from the last checkpoint in {self.folder} "
                "with a lower learning rate or a larger r1."
            )

    def _passed(self, every: int) -> bool:
        """Whether the last step went past a multiple of `every` images."""
        return self.images // every != (self.images - self.settings.batch) // every

    # --- one step

    def step(self) -> dict[str, float]:
        """One step of the discriminator and one of the generator, on the same generated images; the losses."""
        settings, number = self.settings, self.images // self.settings.batch
        random = torch.Generator().manual_seed(seeds.derived(settings.seed, "step", self.images))
        indices = range(self.images, self.images + settings.batch)
        factors = cars.sample(indices, seeds.derived(settings.seed, "renderings")).to(self.compute.device)
        real = cars.render(factors).contiguous(memory_format=torch.channels_last)
        with self.compute.autocast():
            fake = self._images(random)
        critic_loss = self._improve_critic(real, fake.detach())
        if number % settings.r1_every == 0:
            self._penalise_critic(real)
        self.critic.requires_grad_(False)
        with self.compute.autocast():
            loss = F.softplus(-self.critic(fake).float()).mean()
        self.generator_steps.zero_grad(set_to_none=True)
        loss.backward()
        self.generator_steps.step()
        self.critic.requires_grad_(True)
        self.images += settings.batch
        self._move_average()
        return {"generator_loss": float(loss.detach()), "discriminator_loss": critic_loss, **self._penalty}

    def _improve_critic(self, real: Tensor, fake: Tensor) -> float:
        with self.compute.autocast():
            on_fake, on_real = self.critic(fake).float(), self.critic(real).float()
            loss = F.softplus(on_fake).mean() + F.softplus(-on_real).mean()
        self.critic_steps.zero_grad(set_to_none=True)
        loss.backward()
        self.critic_steps.step()
        return float(loss.detach())

    def _penalise_critic(self, real: Tensor) -> None:
        """A separate step for the lazy penalty, with the same optimiser (appendix B)."""
        real = real.clone().requires_grad_(True)
        with self.compute.autocast():
            logits = self.critic(real).float()
        (slope,) = torch.autograd.grad(logits.sum(), real, create_graph=True)
        penalty = slope.float().square().sum(dim=(1, 2, 3)).mean()
        self.critic_steps.zero_grad(set_to_none=True)
        (penalty * self.settings.r1 / 2 * self.settings.r1_every).backward()
        self.critic_steps.step()
        self._penalty = {"penalty": float(penalty.detach())}

    def _images(self, random: torch.Generator) -> Tensor:
        """Generated images with mixed styles and fresh noise, with a graph."""
        settings, generator, device = self.settings, self.generator, self.compute.device
        z = torch.randn(2, settings.batch, settings.latent_dim, generator=random).to(device)
        w = generator.style(z[0])[:, None].expand(-1, generator.styles_per_image, -1)
        if float(torch.rand((), generator=random)) < settings.mixing:
            cut = int(torch.randint(1, generator.styles_per_image, (), generator=random))
            other = generator.style(z[1])[:, None].expand(-1, generator.styles_per_image - cut, -1)
            w = torch.cat([w[:, :cut], other], dim=1)
        sizes = generator.noise_sizes()
        noise = [torch.randn(settings.batch, 1, *size, generator=random).to(device) for size in sizes]
        return generator.synthesise(w, noise)

    @torch.no_grad()
    def _move_average(self) -> None:
        """A short memory at first, so that the random start is soon forgotten."""
        half_life = min(self.settings.average, 0.05 * self.images)
        keep = 0.5 ** (self.settings.batch / half_life)
        for ours, theirs in zip(self.average.parameters(), self.generator.parameters(), strict=True):
            ours.lerp_(theirs.detach(), 1 - keep)

    def _adam(self, network: nn.Module) -> torch.optim.Adam:
        """Adam; the discriminator's memory is for the one step more per penalty that it takes (appendix B)."""
        betas = (0.0, 0.99 ** self._lazy(network))
        return torch.optim.Adam(network.parameters(), lr=self._rate(network), betas=betas, fused=True)

    def _rate(self, network: nn.Module) -> float:
        return self.settings.learning_rate * self._lazy(network)

    def _lazy(self, network: nn.Module) -> float:
        return self.settings.r1_every / (self.settings.r1_every + 1) if isinstance(network, Discriminator) else 1.0

    # --- what is kept

    def _save(self, losses: dict[str, float]) -> None:
        weights = [*self.generator.parameters(), *self.critic.parameters()]
        self._check(all(bool(torch.isfinite(weight).all()) for weight in weights))
        state = {name: part.state_dict() for name, part in self._parts().items()}
        kept = {**state, "images": self.images, "seconds": self.seconds, "settings": self.settings.model_dump()}
        buffer = io.BytesIO()
        torch.save(kept, buffer)
        write_atomically(self.checkpoint, buffer.getvalue())
        self._log("saved", **losses)

    def _parts(self) -> dict[str, Any]:
        return {
            "generator": self.generator, "critic": self.critic, "average": self.average,
            "generator_steps": self.generator_steps, "critic_steps": self.critic_steps,
        }  # fmt: skip

    def _resume(self) -> None:
        kept = read_checkpoint(self.checkpoint)
        before, now = kept.settings.model_dump(), self.settings.model_dump()
        changed = [key for key in now if before[key] != now[key] and key not in UNSEEN]
        if wrong := [key for key in changed if key not in CHANGEABLE]:
            differences = ", ".join(f"{key} {before[key]} (not {now[key]})" for key in wrong)
            raise NavbenchError(f"{self.checkpoint} was trained with {differences}; use the same, or another folder.")
        for name, part in self._parts().items():
            load_state(part, kept, name, self.checkpoint)
        for steps, network in ((self.generator_steps, self.generator), (self.critic_steps, self.critic)):
            for group in steps.param_groups:  # the checkpoint's rate came with its state
                group["lr"] = self._rate(network)
        self.images, self.seconds = kept.images, kept.seconds
        self._begun_as = ", ".join(["resumed", *(f"{key} {before[key]} -> {now[key]}" for key in changed)])

    def _sheet(self) -> None:
        """Sixty-four images of the average, as a picture."""
        with torch.no_grad():
            images = self.average(self.average.sample(range(64), seeds.derived(self.settings.seed, "sheet")))
        write_atomically(self.folder / f"samples-{self.images:08d}.png", png([sheet(images)]))

    def _log(self, event: str, **values: float) -> None:
        """One more line of log.csv."""
        path = self.folder / "log.csv"
        speed = self.images / self.seconds if self.seconds else 0.0
        row = {"seconds": round(self.seconds, 1), "images": self.images, "event": event}
        row |= {key: round(value, 4) for key, value in values.items()} | {"images_per_second": round(speed, 1)}
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            new = not path.exists()
            with path.open("a", newline="", encoding="utf-8") as file:
                writer = csv.DictWriter(file, LOG)
                if new:
                    writer.writeheader()
                writer.writerow(row)
        except OSError as error:
            raise explained(error, path) from error


def read_checkpoint(path: Path) -> Checkpoint:
    """What a checkpoint holds, as data; nothing in the file is run."""
    if not path.is_file():
        raise NavbenchError(f"There is no checkpoint {path}; name a folder that navbench testbed train wrote.")
    try:
        kept = read_torch(path)
        settings = TrainSettings.model_validate(kept.pop("settings"))
        return Checkpoint(settings, int(kept.pop("images")), float(kept.pop("seconds")), kept)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise NavbenchError(f"{path} has settings of another version ({where}: {first['msg']}).") from None
    except (NavbenchError, AttributeError, KeyError, TypeError, ValueError):
        raise NavbenchError(f"{path} is not a checkpoint of a training; delete it to start over.") from None


def load_state(part: Any, checkpoint: Checkpoint, name: str, path: Path) -> None:
    """Give a network or an optimiser the state that a checkpoint has under that name."""
    try:
        part.load_state_dict(checkpoint.states[name])
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise NavbenchError(
            f"{path} holds no usable state of {name!r} ({reason(error)}); train in another folder."
        ) from None
