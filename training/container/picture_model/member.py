"""One network of the ensemble in training, with all that belongs to it alone.

Members share nothing that changes, so that threads can train them side by side, and each comes out
the same whatever the others do.
"""

import argparse
import math
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from .augment import augment
from .muon import Muon
from .network import TURNS, Classifier, Network
from .outliers import outliers
from .replicas import Replicas

# Both optimizers' steps grow from zero over this share of the training, while the batch statistics
# settle, then shrink to zero in a straight line.
WARM_UP = 0.2


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
        """Begin the training of member `number` on the pictures at the places `learned_from`.

        Each batch is shared out over as many `threads` as have 32 pictures, for their statistics.
        """
        self.network = classifier.ensemble.networks()[number]
        self.normalise = classifier.normalise
        self._replicas = Replicas(self.network, max(1, min(threads, arguments.batch_size // 32)))
        self.learned_from = learned_from
        self.loss = math.nan  # of the last epoch, nats a picture
        self._outliers = math.ceil(arguments.batch_size * arguments.outlier_share)
        self._label_smoothing: float = arguments.label_smoothing
        # Two integers make one seed: no member of one run is that of another.
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
        """Go once over its part of all pictures: uint8 [N, 3, S, S] with int64 labels [N]."""
        order = self.learned_from[
            torch.randperm(len(self.learned_from), generator=self._generator, device=self._generator.device)
        ]
        total = torch.zeros((), device=pixels.device)
        for batch in order.tensor_split(self._steps_per_epoch):
            total += self._learn(self.normalise(pixels[batch]), labels[batch]) * len(batch)
        self.loss = total.item() / len(order)

    def _learn(self, pictures: Tensor, labels: Tensor) -> Tensor:
        """Take one step, and give the loss on `pictures`."""
        moved, turns = augment(pictures, self._generator)
        # A class and a turn together are one label: telling turns apart teaches shapes too.
        labels = labels * TURNS + turns
        strange = outliers(moved[: self._outliers], self._generator)
        count = len(moved) + len(strange)

        def loss(network: Network, known: Tensor, right: Tensor, unknown: Tensor) -> Tensor:
            with torch.autocast(known.device.type, torch.bfloat16, enabled=self._half):
                scores = network(torch.cat([known, unknown])).flatten(1)
            logs, doubtful = scores.float().split([len(known), len(unknown)])
            wrong = functional.cross_entropy(logs, right, label_smoothing=self._label_smoothing, reduction="sum")
            losses.append(wrong.detach())
            # Every class and turn is as likely as any other, where there is none to be seen.
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
        """Give all that changes in training, for a checkpoint."""
        return {
            "network": self.network.state_dict(),
            "optimizers": [optimizer.state_dict() for optimizer in self._optimizers],
            "generator": self._generator.get_state(),
            "step": self._step,
            "loss": self.loss,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a state that `state` gave."""
        self.network.load_state_dict(state["network"])
        for optimizer, former in zip(self._optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(former)
        self._generator.set_state(state["generator"])
        self._step = state["step"]
        self.loss = state["loss"]


def has_fast_bfloat16(device: torch.device) -> bool:
    """Tell whether 16-bit products make this device faster: half the time of a step where they do.

    On a processor that has no instructions for them they are slower, and so they are on GPUs before
    Ampere, such as V100 and T4, which imitate them: there 32 bits are used.
    """
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    try:
        flags = Path("/proc/cpuinfo").read_text("ascii", "replace").split()
    except OSError:  # not Linux
        return False
    return "avx512_bf16" in flags or "amx_bf16" in flags
