"""One network of the ensemble in training.

Members share no mutable state, so that threads can train them side by side with reproducible results.
"""

import argparse
import copy
import math
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from .augment import augment
from .muon import Muon
from .network import TURNS, Classifier, Network
from .outliers import outliers

# Learning rates grow linearly over this share of the training, then shrink linearly to zero.
WARM_UP = 0.2


class Replicas:
    """A network and copies that share its weights, each with its own thread and gradients.

    They split a batch and synchronise once a step. PyTorch's own threads synchronise in every
    operation: a fifth slower on two free cores (68 against 57 ms a step of 64 pictures), and up to
    ten times slower on busy ones.
    """

    def __init__(self, network: Network, count: int) -> None:
        """Create `count` replicas; the network is the first, whose batch statistics are served."""
        self._networks = [network]
        for _ in range(count - 1):
            replica = copy.deepcopy(network)
            for shared, own in zip(network.parameters(), replica.parameters(), strict=True):
                own.data = shared.data
            self._networks.append(replica)
        self._pool = ThreadPoolExecutor(count, initializer=torch.set_num_threads, initargs=(1,))

    def split(self, pictures: Tensor) -> list[Tensor]:
        """Split [N, ...] evenly into one part per replica."""
        return list(pictures.tensor_split(len(self._networks)))

    def backward(self, loss: Callable[..., Tensor], parts: Sequence[tuple[Tensor, ...]]) -> None:
        """Set the network's gradients to those of the sum of `loss` over the parts.

        `loss` takes a network and the tensors of one part.
        """

        def run(network: Network, part: tuple[Tensor, ...]) -> None:
            network.train()
            network.zero_grad()
            torch.autograd.backward(loss(network, *part))

        list(self._pool.map(run, self._networks, parts))
        for first, *others in zip(*(n.parameters() for n in self._networks), strict=True):
            for other in others:
                if first.grad is not None and other.grad is not None:  # the frozen layer has none
                    first.grad += other.grad


class Member:
    """A network, the pictures that it learns from, its optimizers and its random numbers."""

    def __init__(
        self,
        classifier: Classifier,
        number: int,
        learned_from: Tensor,
        arguments: argparse.Namespace,
        *,
        threads: int,
    ) -> None:
        """Prepare the training of member `number` on the pictures at the positions `learned_from`.

        Each batch is split over at most `threads`, with at least 32 pictures each, for their statistics.
        """
        self.network = classifier.ensemble.networks()[number]
        self.normalise = classifier.normalise
        self._replicas = Replicas(self.network, max(1, min(threads, arguments.batch_size // 32)))
        self.learned_from = learned_from
        self.loss = math.nan  # of the last epoch, nats per picture
        self._outliers = math.ceil(arguments.batch_size * arguments.outlier_share)
        self._label_smoothing: float = arguments.label_smoothing
        # Unique for each pair of run and member.
        seed = arguments.seed * 1000 + number
        self._generator = torch.Generator(classifier.device).manual_seed(seed)
        learned = [p for p in self.network.parameters() if p.requires_grad]
        self._optimizers: list[torch.optim.Optimizer] = [
            # 2 points of accuracy above Adam on the convolutions, for a tenth more time.
            Muon([p for p in learned if p.ndim == 4], lr=arguments.learning_rate, momentum=0.95),
            torch.optim.Adam([p for p in learned if p.ndim < 4], lr=arguments.adam_learning_rate),
        ]
        self._peaks = (arguments.learning_rate, arguments.adam_learning_rate)
        self._steps_per_epoch = math.ceil(len(learned_from) / arguments.batch_size)
        self._steps = arguments.epochs * self._steps_per_epoch
        self._step = 0
        self._half = has_fast_bfloat16(classifier.device)

    def run_epoch(self, pixels: Tensor, labels: Tensor) -> None:
        """Train one epoch on its part of all pictures, uint8 [N, 3, S, S], with int64 labels [N]."""
        order = self.learned_from[
            torch.randperm(len(self.learned_from), generator=self._generator, device=self._generator.device)
        ]
        total = torch.zeros((), device=pixels.device)
        for batch in order.tensor_split(self._steps_per_epoch):
            total += self._learn(self.normalise(pixels[batch]), labels[batch]) * len(batch)
        self.loss = total.item() / len(order)

    def _learn(self, pictures: Tensor, labels: Tensor) -> Tensor:
        """Take one step, and return the loss on `pictures`."""
        moved, turns = augment(pictures, self._generator)
        # Class and turn together are one label: predicting turns teaches shapes too.
        labels = labels * TURNS + turns
        strange = outliers(moved[: self._outliers], self._generator)
        count = len(moved) + len(strange)

        def loss(network: Network, known: Tensor, right: Tensor, unknown: Tensor) -> Tensor:
            with torch.autocast(known.device.type, torch.bfloat16, enabled=self._half):
                scores = network(torch.cat([known, unknown])).flatten(1)
            logs, doubtful = scores.float().split([len(known), len(unknown)])
            wrong = functional.cross_entropy(logs, right, label_smoothing=self._label_smoothing, reduction="sum")
            losses.append(wrong.detach())
            # The target of outliers: all classes and turns equally likely.
            doubt = -doubtful.log_softmax(1).mean(1).sum()
            share: Tensor = (wrong + doubt) / count
            return share

        losses: list[Tensor] = []
        split = self._replicas.split
        self._replicas.backward(loss, list(zip(split(moved), split(labels), split(strange), strict=True)))
        self._step += 1
        pace = min(self._step / WARM_UP, (self._steps - self._step + 1) / (1 - WARM_UP)) / self._steps
        for optimizer, peak in zip(self._optimizers, self._peaks, strict=True):
            optimizer.param_groups[0]["lr"] = peak * pace
            optimizer.step()
        total: Tensor = torch.stack(losses).sum() / len(moved)
        return total

    def state(self) -> dict[str, Any]:
        """Return the state of the training for a checkpoint."""
        return {
            "network": self.network.state_dict(),
            "optimizers": [optimizer.state_dict() for optimizer in self._optimizers],
            "generator": self._generator.get_state(),
            "step": self._step,
            "loss": self.loss,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Resume from what `state` returned."""
        self.network.load_state_dict(state["network"])
        for optimizer, former in zip(self._optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(former)
        self._generator.set_state(state["generator"])
        self._step = state["step"]
        self.loss = state["loss"]


def has_fast_bfloat16(device: torch.device) -> bool:
    """Return whether bfloat16 products are faster on this device: they halve the time of a step.

    Processors without instructions for them, and GPUs before Ampere, such as V100 and T4, emulate them.
    """
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    try:
        flags = Path("/proc/cpuinfo").read_text("ascii", "replace").split()
    except OSError:  # not Linux
        return False
    return "avx512_bf16" in flags or "amx_bf16" in flags
