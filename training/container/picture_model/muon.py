"""The Muon optimizer (Keller Jordan, 2024): momentum whose steps are made orthogonal.

PyTorch has one of its own since 2.9; SageMaker's containers have older versions.
"""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

# Coefficients of the quintic Newton-Schulz iteration, from Jordan's publication: five rounds bring
# every singular value of a normalised matrix to between about 0.7 and 1.2.
NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)
ROUNDS = 5


def orthogonalise(matrix: Tensor) -> Tensor:
    """Approximate the nearest (semi-)orthogonal matrix: same singular vectors, values near 1.

    A round multiplies by a polynomial of x @ x.T. Multiplying these small squares first, and the wide
    matrix once at the end, takes half the time.
    """
    a, b, c = NEWTON_SCHULZ
    tall = len(matrix) > matrix.shape[1]
    x = matrix / (torch.linalg.matrix_norm(matrix) + 1e-7)
    x = x.T if tall else x
    square = x @ x.T
    one = torch.eye(len(square), dtype=x.dtype, device=x.device)
    product = one
    for _ in range(ROUNDS):
        polynomial = a * one + b * square + c * square @ square
        product = polynomial @ product
        square = polynomial @ square @ polynomial  # they commute, being polynomials of one matrix
    result: Tensor = product @ x
    return result.T if tall else result


class Muon(torch.optim.Optimizer):
    """Muon for convolution kernels, each taken as a matrix [outputs, inputs * height * width]."""

    def __init__(self, kernels: Iterable[nn.Parameter], lr: float, momentum: float) -> None:
        """Optimise `kernels` with steps of size `lr` and Nesterov `momentum`."""
        super().__init__(kernels, {"lr": lr, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]  # noqa: ARG002  torch's
        """Move every kernel against its gradient."""
        for group in self.param_groups:
            momentum = group["momentum"]
            for kernel in group["params"]:
                state = self.state[kernel]
                if not state:
                    state["average"] = torch.zeros_like(kernel)
                average = state["average"]
                average.lerp_(kernel.grad, 1 - momentum)
                ahead = kernel.grad.lerp(average, momentum)
                update = orthogonalise(ahead.flatten(1)).view_as(kernel)
                # An orthogonal step of a tall matrix moves each output less: compensate.
                tall = max(1.0, len(kernel) / kernel[0].numel()) ** 0.5
                kernel.add_(update, alpha=-group["lr"] * tall)
