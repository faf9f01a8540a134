"""Small training runs that a test can stop anywhere: every optimizer and every scheduler of torch, by name."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import nn, optim
from torch.optim import lr_scheduler as lrs

OPTIMIZERS: dict[str, Callable[[Any], optim.Optimizer]] = {
    "sgd": lambda p: optim.SGD(p, lr=0.05, momentum=0.9, nesterov=True),
    "adam": lambda p: optim.Adam(p, lr=0.01, amsgrad=True),
    "adam_tensor_rate": lambda p: optim.Adam(p, lr=torch.tensor(0.01)),
    "adamw": lambda p: optim.AdamW(p, lr=0.01),
    "adagrad": lambda p: optim.Adagrad(p, lr=0.05, lr_decay=0.01, initial_accumulator_value=0.1),
    "rmsprop": lambda p: optim.RMSprop(p, lr=0.01, momentum=0.9, centered=True),
    "adadelta": optim.Adadelta,
    "nadam": lambda p: optim.NAdam(p, lr=0.01),
    "radam": lambda p: optim.RAdam(p, lr=0.01),
    "adamax": lambda p: optim.Adamax(p, lr=0.01),
    "asgd": lambda p: optim.ASGD(p, lr=0.05, t0=3),
    "rprop": lambda p: optim.Rprop(p, lr=0.01),
    "lbfgs": lambda p: optim.LBFGS(p, lr=0.5, max_iter=3, history_size=4, line_search_fn="strong_wolfe"),
    "adafactor": lambda p: optim.Adafactor(p, lr=0.01),
}


class Warmup:
    """A schedule with state of its own, which ``LambdaLR`` keeps, unlike a function's."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, epoch: int) -> float:
        self.calls += 1
        return 1 / (1 + 0.1 * self.calls)


def _sequential(optimizer: optim.Optimizer) -> lrs.LRScheduler:
    first, second = lrs.ConstantLR(optimizer, factor=0.5, total_iters=4), lrs.ExponentialLR(optimizer, gamma=0.9)
    return lrs.SequentialLR(optimizer, [first, second], milestones=[5])


def _nested(optimizer: optim.Optimizer) -> lrs.LRScheduler:
    return lrs.ChainedScheduler([lrs.LinearLR(optimizer, total_iters=7), lrs.LambdaLR(optimizer, lambda n: 0.97**n)])


SCHEDULERS: dict[str, Callable[[optim.Optimizer], Any]] = {
    "LambdaLR": lambda o: lrs.LambdaLR(o, lambda n: 0.9**n),
    "LambdaLR_object": lambda o: lrs.LambdaLR(o, Warmup()),
    "MultiplicativeLR": lambda o: lrs.MultiplicativeLR(o, lambda n: 0.95),
    "StepLR": lambda o: lrs.StepLR(o, 3),
    "MultiStepLR": lambda o: lrs.MultiStepLR(o, [2, 5, 5, 9]),
    "ConstantLR": lambda o: lrs.ConstantLR(o, total_iters=6),
    "LinearLR": lambda o: lrs.LinearLR(o, total_iters=8),
    "ExponentialLR": lambda o: lrs.ExponentialLR(o, 0.9),
    "SequentialLR": _sequential,
    "CosineAnnealingLR": lambda o: lrs.CosineAnnealingLR(o, 6),
    "ChainedScheduler": _nested,
    "ReduceLROnPlateau": lambda o: lrs.ReduceLROnPlateau(o, patience=0, threshold=0.2),
    "CyclicLR": lambda o: lrs.CyclicLR(o, 0.01, 0.1, step_size_up=3, cycle_momentum=False),
    "CyclicLR_function": lambda o: lrs.CyclicLR(
        o, 0.01, 0.1, step_size_up=3, cycle_momentum=False, scale_fn=lambda x: 0.5**x
    ),
    "CosineAnnealingWarmRestarts": lambda o: lrs.CosineAnnealingWarmRestarts(o, 4, T_mult=2),
    "OneCycleLR": lambda o: lrs.OneCycleLR(o, 0.1, total_steps=30),
    "PolynomialLR": lambda o: lrs.PolynomialLR(o, total_iters=9),
    "SWALR": lambda o: optim.swa_utils.SWALR(o, 0.02, anneal_epochs=5),
    "LRScheduler": None,  # type: ignore[dict-item]  # the base class of all others
}


class Run:
    """One run from a fixed seed: a network with batch norm and dropout, an optimizer, a scheduler, and its losses."""

    def __init__(self, optimizer: str = "adamw", scheduler: str | None = None, *, seed: int = 5) -> None:
        random.seed(seed)
        np.random.seed(seed)
        torch.manual_seed(seed)
        self.network = nn.Sequential(nn.Linear(5, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.3), nn.Linear(8, 1))
        self.optimizer = OPTIMIZERS[optimizer](self.network.parameters())
        self.scheduler = None if scheduler is None else SCHEDULERS[scheduler](self.optimizer)
        self.losses: list[float] = []

    def step(self) -> None:
        """One step on data drawn from all three global generators."""
        noise = torch.from_numpy(np.random.normal(size=(16, 5))).float() * random.random()
        features = torch.randn(16, 5) + noise
        wanted = features.sum(1, keepdim=True)

        def closure() -> torch.Tensor:
            self.optimizer.zero_grad()
            loss = nn.functional.mse_loss(self.network(features), wanted)
            loss.backward()
            return loss

        loss = self.optimizer.step(closure).detach()
        self.losses.append(float(loss))
        if isinstance(self.scheduler, lrs.ReduceLROnPlateau):
            self.scheduler.step(float(loss))
        elif self.scheduler is not None:
            self.scheduler.step()

    def steps(self, count: int) -> Run:
        for _ in range(count):
            self.step()
        return self

    def parts(self) -> dict[str, Any]:
        """The arguments of ``save_checkpoint`` and ``restore``."""
        return {"networks": self.network, "optimizers": self.optimizer, "schedulers": self.scheduler}

    def trace(self) -> tuple[Any, ...]:
        """Everything that must be the same bit for bit: losses, weights, learning rates."""
        weights = {name: tensor.numpy().tobytes() for name, tensor in self.network.state_dict().items()}
        return self.losses, weights, [float(group["lr"]) for group in self.optimizer.param_groups]


class Adversaries:
    """Two networks, two optimizers, two schedulers, and an average of the generator."""

    def __init__(self, seed: int = 11) -> None:
        random.seed(seed)
        np.random.seed(seed)
        torch.manual_seed(seed)
        self.networks = {
            "generator": nn.Sequential(nn.Linear(3, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 2)),
            "discriminator": nn.Sequential(nn.Linear(2, 8), nn.LeakyReLU(), nn.Dropout(0.2), nn.Linear(8, 1)),
        }
        self.optimizers = {
            "generator": optim.Adam(self.networks["generator"].parameters(), lr=0.01, betas=(0.5, 0.9)),
            "discriminator": optim.RMSprop(self.networks["discriminator"].parameters(), lr=0.01),
        }
        self.schedulers = {
            "generator": lrs.CosineAnnealingLR(self.optimizers["generator"], 8),
            "discriminator": lrs.StepLR(self.optimizers["discriminator"], 4),
        }
        self.ema = {
            "generator": optim.swa_utils.AveragedModel(
                self.networks["generator"], multi_avg_fn=optim.swa_utils.get_ema_multi_avg_fn(0.9)
            )
        }
        self.losses: list[tuple[float, float]] = []

    def step(self) -> None:
        generator, discriminator = self.networks["generator"], self.networks["discriminator"]
        real = torch.randn(16, 2) * 0.3 + float(np.random.normal())
        fake = generator(torch.randn(16, 3))
        self.optimizers["discriminator"].zero_grad()
        first = (
            nn.functional.softplus(discriminator(fake.detach())).mean()
            + nn.functional.softplus(-discriminator(real)).mean()
        )
        first.backward()
        self.optimizers["discriminator"].step()
        self.optimizers["generator"].zero_grad()
        second = nn.functional.softplus(-discriminator(fake)).mean()
        second.backward()
        self.optimizers["generator"].step()
        self.ema["generator"].update_parameters(generator)
        for scheduler in self.schedulers.values():
            scheduler.step()
        self.losses.append((first.item(), second.item()))

    def steps(self, count: int) -> Adversaries:
        for _ in range(count):
            self.step()
        return self

    def parts(self) -> dict[str, Any]:
        return {
            "networks": self.networks,
            "optimizers": self.optimizers,
            "schedulers": self.schedulers,
            "ema": self.ema,
        }

    def trace(self) -> tuple[Any, ...]:
        modules = {**self.networks, **{f"ema_{name}": module for name, module in self.ema.items()}}
        weights = {
            f"{name}.{key}": tensor.numpy().tobytes()
            for name, module in modules.items()
            for key, tensor in module.state_dict().items()
        }
        rates = [group["lr"] for optimizer in self.optimizers.values() for group in optimizer.param_groups]
        return self.losses, weights, rates
