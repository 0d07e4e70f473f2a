"""The training loop that all networks share: schedule, moving average, checkpoint, log and progress bar."""

import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn
from tqdm import tqdm

from hi_mnist import files
from hi_mnist.cli import LabError

CHECKPOINT_SECONDS = 60
LOG_STEPS = 100


class Training:
    """Optimiser, learning-rate schedule, moving average, checkpoint and progress bar of one stage.

    Args:
        net: what is trained.
        name: file name of the checkpoint and label of the progress bar.
        steps: number of optimiser steps.
        work_dir: folder of the checkpoint, and of ``log.csv`` with the mean loss of every hundred steps.
        lr: peak learning rate; it rises for 2 % of the steps and falls linearly over the last ``decay``.
        ema: decay of the moving average of the weights, ``averaged``; 0 keeps the last weights.
    """

    def __init__(self, net: nn.Module, name: str, steps: int, work_dir: Path, *, lr: float, seed, ema=0.0, decay=0.4):
        self.net, self.name, self.steps = net, name, steps
        self.path, self.log = work_dir / f"{name}.ckpt", work_dir / "log.csv"
        self.optimizer = torch.optim.AdamW(net.parameters(), lr=lr, weight_decay=1e-4)
        self.peak, self.warmup, self.decay = lr, max(1, steps // 50), max(1, int(decay * steps))
        self.ema = ema
        self.averaged = {k: v.detach().clone() for k, v in net.state_dict().items()}
        self.generator = torch.Generator().manual_seed(seed)
        self.step, self.seconds = 0, 0.0
        if self.path.exists():
            state = torch.load(self.path, map_location="cpu", weights_only=True)
            net.load_state_dict(state["net"])
            self.optimizer.load_state_dict(state["optimizer"])
            self.generator.set_state(state["generator"])
            self.step, self.seconds = state["step"], state["seconds"]
            self.averaged = {k: v.to(self.averaged[k].device) for k, v in state["averaged"].items()}

    def save(self) -> None:
        state = {"net": self.net.state_dict(), "optimizer": self.optimizer.state_dict(), "averaged": self.averaged}
        state |= {"generator": self.generator.get_state(), "step": self.step, "seconds": self.seconds}
        with files.atomic_path(self.path) as partial:
            torch.save(state, partial)

    def run(self, loss_of_step: Callable[[torch.Generator], Tensor]) -> None:
        """Take the remaining steps; ``loss_of_step(generator)`` returns the loss of one batch."""
        self.net.train()
        saved = last = time.monotonic()
        losses = []
        bar = tqdm(total=self.steps, initial=self.step, desc=self.name, unit="step", dynamic_ncols=True, mininterval=1)
        try:
            while self.step < self.steps:
                rise, fall = (self.step + 1) / self.warmup, (self.steps - self.step) / self.decay
                for group in self.optimizer.param_groups:
                    group["lr"] = self.peak * min(1.0, rise, fall)
                loss = loss_of_step(self.generator)
                losses.append(loss.item())
                if not torch.isfinite(loss):
                    what = f"the loss is {losses[-1]} at step {self.step}"
                    raise LabError(f"{self.name}: {what}; start again with --restart and another --seed")
                self.optimizer.zero_grad(set_to_none=True)
                loss.backward()
                nn.utils.clip_grad_norm_(self.net.parameters(), 1.0)
                self.optimizer.step()
                self._average()
                self.step += 1
                bar.update()
                bar.set_postfix(loss=f"{losses[-1]:.4f}", refresh=False)
                now = time.monotonic()
                self.seconds, last = self.seconds + now - last, now
                if self.step % LOG_STEPS == 0:
                    with self.log.open("a", encoding="utf-8") as log:
                        log.write(f"{self.name},{self.step},{sum(losses) / len(losses):.5f},{self.seconds:.0f}\n")
                    losses.clear()
                if now - saved > CHECKPOINT_SECONDS:
                    self.save()
                    saved = now
        finally:
            bar.close()
        self.save()
        self.net.eval()

    def _average(self) -> None:
        # A young average forgets faster; otherwise the random first weights would stay in it for long.
        decay = min(self.ema, (1 + self.step) / (10 + self.step))
        for key, value in self.net.state_dict().items():
            if value.is_floating_point():
                self.averaged[key].lerp_(value, 1 - decay)
            else:
                self.averaged[key].copy_(value)
