"""The paper's optimizer and learning rate (section 5.3)."""

from collections.abc import Iterable

import torch


def learning_rate(
    step: int, *, d_model: int, warmup_steps: int = 4000, peak_learning_rate: float | None = None
) -> float:
    """Equation 3: `d_model^-0.5 * min(step^-0.5, step * warmup_steps^-1.5)`.

    Args:
        step: number of the update, from 1.
        d_model: width of the model.
        warmup_steps: updates over which the rate rises in a straight line, before it falls with the root of the step.
        peak_learning_rate: the rate at `step == warmup_steps`; None for the paper's, `(d_model * warmup_steps)^-0.5`.

    Raises:
        ValueError: a step below 1.
    """
    if step < 1:
        raise ValueError(f"steps are counted from 1, but step is {step}")
    peak = (d_model * warmup_steps) ** -0.5 if peak_learning_rate is None else peak_learning_rate
    return peak * min((warmup_steps / step) ** 0.5, step / warmup_steps)


def adam(
    parameters: Iterable[torch.nn.Parameter], *, beta1: float = 0.9, beta2: float = 0.98, epsilon: float = 1e-9
) -> torch.optim.Adam:
    """Adam with the paper's constants. Its rate is 0 until `PaperSchedule` sets it."""
    parameters = [parameter for parameter in parameters if parameter.requires_grad]
    # One fused pass over the weights instead of several where torch has it: the values are Adam's either way.
    fused = all(parameter.device.type in ("cpu", "cuda") for parameter in parameters)
    return torch.optim.Adam(parameters, lr=0.0, betas=(beta1, beta2), eps=epsilon, fused=fused)


class PaperSchedule:
    """Sets the learning rate before each update, counting updates itself.

    It is not handed to `accelerator.prepare`: a scheduler prepared by Accelerate advances once per process for every
    update, which would run the paper's schedule N times too fast on N processes.
    """

    def __init__(
        self,
        optimizer: torch.optim.Optimizer,
        *,
        d_model: int,
        warmup_steps: int = 4000,
        peak_learning_rate: float | None = None,
        updates: int = 0,
    ) -> None:
        self.optimizer = optimizer
        self.d_model = d_model
        self.warmup_steps = warmup_steps
        self.peak_learning_rate = peak_learning_rate
        self.updates = updates

    def step(self) -> float:
        """Count one update, set its learning rate, and return it."""
        self.updates += 1
        rate = learning_rate(
            self.updates,
            d_model=self.d_model,
            warmup_steps=self.warmup_steps,
            peak_learning_rate=self.peak_learning_rate,
        )
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        return rate

    def state_dict(self) -> dict[str, int]:
        """What a run needs to go on where it stopped."""
        return {"updates": self.updates}

    def load_state_dict(self, state: dict[str, int]) -> None:
        self.updates = state["updates"]
