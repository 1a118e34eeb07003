"""Forward and backward passes of one network, shared out over threads by splitting the batch."""

import copy
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import torch
from network import Network
from torch import Tensor


class Replicas:
    """A network and copies that share its weights, each with a thread and gradients of its own.

    The threads meet once a step. PyTorch's own threads meet in every operation: that takes a fifth
    longer on two free cores (68 against 57 ms a step of 64 pictures), and was seen to take ten
    times longer on busy ones.
    """

    def __init__(self, network: Network, count: int) -> None:
        """Make `count` replicas, the network itself being the first.

        Batch statistics are taken by replica, and the first one's are kept for serving. PyTorch's
        own threads are switched off, in the caller too: the optimizer's small matrices need none.
        """
        self._networks = [network]
        for _ in range(count - 1):
            replica = copy.deepcopy(network)
            for shared, own in zip(network.parameters(), replica.parameters(), strict=True):
                own.data = shared.data
            self._networks.append(replica)
        torch.set_num_threads(1)
        self._pool = ThreadPoolExecutor(count, initializer=torch.set_num_threads, initargs=(1,))

    def backward(
        self, loss: Callable[[Network, Tensor, Tensor], Tensor], pictures: Tensor, labels: Tensor
    ) -> Tensor:
        """Set the network's gradients to those of the mean loss over the batch, and give that loss.

        `loss` takes a network, pictures [n, 3, S, S] and labels [n], and gives their mean loss.
        """

        def run(network: Network, part: Tensor, part_labels: Tensor) -> Tensor:
            network.train()
            network.zero_grad()
            share = loss(network, part, part_labels) * (len(part) / len(pictures))
            torch.autograd.backward(share)
            return share.detach()

        count = len(self._networks)
        parts = pictures.tensor_split(count), labels.tensor_split(count)
        losses = list(self._pool.map(run, self._networks, *parts))
        for first, *others in zip(*(n.parameters() for n in self._networks), strict=True):
            for other in others:
                if first.grad is not None and other.grad is not None:  # not of the frozen layer
                    first.grad += other.grad
        return torch.stack(losses).sum()

    def map(self, function: Callable[[Tensor], Tensor], pictures: Tensor) -> Tensor:
        """Apply `function` to parts of `pictures` in the threads, and put the answers together."""
        return torch.cat(list(self._pool.map(function, torch.split(pictures, 64))))
