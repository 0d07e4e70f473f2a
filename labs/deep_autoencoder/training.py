"""Train the stack of RBMs and the autoencoders of a run, epoch by epoch, so that a killed run goes on where it stopped.

    settings = Settings(do_train_rbm=True, max_epoch=10)
    trained = train(settings, Path("results/deep_autoencoder-x"), train_split, test_split)
    trained.autoencoders["pretrained"].model(x)

After every epoch the stage's weights, and what its optimiser remembers, are written to ``models/STAGE.safetensors``.
Each epoch draws from generators seeded by (seed, stage, epoch): a run that was killed ends with the same numbers.
Symbols: N images, D = 784 pixels.
"""

import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn
from tqdm import tqdm

from hi_mnist import data, files, training
from hi_mnist.cli import LabError
from hi_mnist.data import N_PIXELS
from labs.deep_autoencoder import submission
from labs.deep_autoencoder.settings import Settings
from labs.deep_autoencoder.submission import RBM, Autoencoder, RBMHandle

CRITERIA = {"nn-mse": nn.MSELoss, "nn-bce": nn.BCELoss}
FIRST_MOMENTUM = 0.5  # at most, in an RBM's first epoch, whose gradients are large (paper's supporting material)
GAUSSIAN_LR = 0.01  # of lr_rbm: linear hidden units have no bound, and diverge at the rate of binary ones (as there)
WARM_UP = 50  # fine-tuning steps in which the learning rate rises
EVALUATED = 1000  # training images by which an RBM's epochs are judged


@dataclass
class Stage:
    """A trained RBM or autoencoder: ``loss`` by epoch; wall and processor time in seconds, over all its epochs."""

    model: nn.Module
    loss: list[float] = field(default_factory=list)
    seconds: float = 0.0
    cpu_seconds: float = 0.0


@dataclass
class Trained:
    """What a run trained: the RBMs, the lowest first (none without ``do_train_rbm``), and the autoencoders by name."""

    rbms: list[Stage]
    autoencoders: dict[str, Stage]

    @property
    def stack(self) -> RBMHandle:
        return RBMHandle([stage.model for stage in self.rbms])


Split = tuple[np.ndarray, np.ndarray]  # images uint8 (N, 1, 28, 28), labels int64 (N,)


def train(
    settings: Settings,
    folder: Path,
    train_split: Split,
    test_split: Split,
    *,
    device: torch.device | str = "cpu",
    num_workers: int = 0,
    report: Callable[[str], None] = lambda line: None,
) -> Trained:
    """Train what is not trained yet.

    Args:
        settings: checked.
        folder: of the run; ``models/`` in it holds what an earlier call left.
        train_split, test_split: of the prepared data set.
        device: to compute on.
        num_workers: processes that fetch batches.
        report: gets a line for each stage that is done.

    Raises:
        LabError: a saved model is damaged, or a loss is not finite.
    """
    (folder / "models").mkdir(exist_ok=True)
    generator = torch.Generator()
    loader, _ = submission.prepare_dataloaders(
        *(tuple(map(torch.from_numpy, split)) for split in (train_split, test_split)),
        settings.batch_size,
        num_workers,
        generator,
    )
    trainer = _Trainer(settings, folder / "models", loader, generator, torch.device(device), report)
    trained = Trained([], {})
    if settings.do_train_rbm:
        trained.rbms = trainer.rbms(evaluated=pixels(train_split[0][:EVALUATED]).to(device))
        trained.autoencoders["pretrained"] = trainer.autoencoder("pretrained", 100, trained.stack)
    trained.autoencoders["scratch"] = trainer.autoencoder("scratch", 101, RBMHandle())
    return trained


def pixels(images: np.ndarray) -> Tensor:
    """Images uint8 (N, 1, 28, 28) of 0..255 as float32 (N, 784) in [0, 1]."""
    return torch.from_numpy(data.flatten(images)).float() / 255


def in_batches(function: Callable[[Tensor], Tensor], x: Tensor, device, batch_size: int = 1000) -> Tensor:
    """``function`` of all rows of x without gradients, on ``device``, brought back to the CPU."""
    with torch.no_grad():
        return torch.cat([function(rows.to(device)).cpu() for rows in x.split(batch_size)])


class _Trainer:
    """The stages of one run."""

    def __init__(self, settings, folder, loader, generator, device, report):
        self.settings = settings
        self.folder = folder
        self.loader = loader
        self.generator = generator
        self.device = device
        self.report = report

    def rbms(self, evaluated: Tensor) -> list[Stage]:
        s = self.settings
        stack, stages = RBMHandle(), []
        shapes = list(zip(s.layers[:-1], s.layers[1:], strict=True))
        for i, (n_visible, n_hidden) in enumerate(shapes):
            gaussian = s.linear_code and i == len(shapes) - 1
            self.seed(i, 0)
            rbm = RBM(n_visible, n_hidden, s.k, s.momentum, s.weight_decay_rbm, gaussian).to(self.device)
            lr = s.lr_rbm * (GAUSSIAN_LR if gaussian else 1)
            name = f"RBM {i + 1}/{len(shapes)}, {n_visible}-{n_hidden}"

            def step(x, epoch, rbm=rbm, lr=lr):
                rbm.momentum = min(FIRST_MOMENTUM, s.momentum) if epoch == 0 else s.momentum
                rbm.contrastive_divergence(stack.v2h(x), lr)

            def loss(rbm=rbm):
                with torch.no_grad():
                    rebuilt = submission.reconstruct(rbm, stack, evaluated)
                return float(nn.functional.mse_loss(rebuilt, evaluated)) * N_PIXELS

            stage = self.run(f"rbm-{i + 1}", i, name, "squared error per image", rbm, None, step, loss, s.epochs_rbm)
            stack.append(rbm)
            stages.append(stage)
        return stages

    def autoencoder(self, kind: str, number: int, stack: RBMHandle) -> Stage:
        s = self.settings
        self.seed(number, 0)
        model = Autoencoder(s.layers, s.linear_code).to(self.device)
        submission.load_rbm_pretrained_models(model, stack)
        criterion = CRITERIA[s.loss_fn]()
        options = {"lr": s.lr_ae, "weight_decay": s.weight_decay, "fused": True}  # on a CPU a quarter of the time
        if s.optimizer == "adam":
            optimizer = torch.optim.Adam(model.parameters(), **options)
        else:
            optimizer = torch.optim.SGD(model.parameters(), momentum=0.9, **options)
        done, total = 0, s.max_epoch * len(self.loader)
        losses: list[Tensor] = []

        def step(x, epoch):
            nonlocal done
            if not losses:
                done = epoch * len(self.loader)
            for group in optimizer.param_groups:
                group["lr"] = s.lr_ae * learning_rate_factor(done, total)
            done += 1
            losses.append(submission.train_step(model, x, criterion, optimizer))

        def loss():
            mean = float(torch.stack(losses).mean())
            losses.clear()
            return mean

        with_or_without = "with" if kind == "pretrained" else "without"
        name = f"autoencoder {with_or_without} pretraining"
        return self.run(f"ae-{kind}", number, name, s.loss_fn, model, optimizer, step, loss, s.max_epoch)

    def run(self, file: str, number: int, name: str, measure: str, model, optimizer, step, loss, epochs) -> Stage:
        """Train one stage from the epoch that its file holds to the last."""
        path = self.folder / f"{file}.safetensors"
        stage, epoch = self.restored(path, model, optimizer, epochs)
        if stage.loss:
            state = "is trained" if epoch == epochs else f"goes on after epoch {epoch} of {epochs}"
            self.report(f"{name}: {state}")
        with tqdm(
            total=epochs * len(self.loader),
            initial=epoch * len(self.loader),
            desc=name,
            unit="batch",
            delay=1,
            leave=False,
            ascii=True,
        ) as bar:
            while epoch < epochs:
                self.seed(number, epoch + 1)
                wall, cpu = time.monotonic(), time.process_time()
                for x, _ in self.loader:
                    step(x.flatten(1).to(self.device), epoch)
                    bar.update()
                stage.loss.append(loss())
                if not math.isfinite(stage.loss[-1]):
                    flag = "--lr_ae" if optimizer else "--lr_rbm"
                    raise LabError(f"{name}: the loss is {stage.loss[-1]} after epoch {epoch + 1}; lower {flag}")
                stage.seconds += time.monotonic() - wall
                stage.cpu_seconds += time.process_time() - cpu
                epoch += 1
                bar.set_postfix_str(f"{measure} {stage.loss[-1]:.4g}")
                self.save(path, stage, None if epoch == epochs else optimizer, final=epoch == epochs)
        self.report(
            f"{name}: {measure} {stage.loss[-1]:.4g} after {epoch} epochs, {stage.seconds:.0f} s "
            f"({stage.cpu_seconds:.0f} s of processor time)"
        )
        return stage

    def seed(self, *key: int) -> None:
        """Seed all that an epoch draws from: by what it is, so that no epoch depends on those before it."""
        a, b = np.random.SeedSequence([self.settings.seed, *key]).generate_state(2).tolist()
        training.set_seed(a)
        self.generator.manual_seed(b)

    def save(self, path: Path, stage: Stage, optimizer, final: bool) -> None:
        tensors = {f"model.{key}": value for key, value in stage.model.state_dict().items()}
        if final:
            tensors = {key: value for key, value in tensors.items() if ".velocity_" not in key}
        if optimizer is not None:
            for i, state in optimizer.state_dict()["state"].items():
                tensors |= {f"optimizer.{i}.{key}": torch.as_tensor(value) for key, value in state.items()}
        tensors = {key: value.detach().cpu().contiguous() for key, value in tensors.items()}
        facts = {key: getattr(stage, key) for key in ("loss", "seconds", "cpu_seconds")}
        content = safetensors.torch.save(tensors, {"stage": json.dumps(facts)})
        with files.atomic_path(path) as partial:
            partial.write_bytes(content)

    def restored(self, path: Path, model: nn.Module, optimizer, epochs: int) -> tuple[Stage, int]:
        """The stage as its file left it, and how many epochs it has behind it; a fresh one where there is no file."""
        stage = Stage(model)
        if not path.is_file():
            return stage, 0
        try:
            with safetensors.safe_open(path, framework="pt") as file:
                facts = json.loads(file.metadata()["stage"])
                tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118, it is no dict
            weights = {key.removeprefix("model."): v for key, v in tensors.items() if key.startswith("model.")}
            left_out = model.load_state_dict(weights, strict=False)
            lost = [key for key in left_out.missing_keys if not key.startswith("velocity_")]
            if lost or left_out.unexpected_keys:
                raise ValueError(f"it lacks {lost}, and has {left_out.unexpected_keys} besides")
            stage.loss = [float(value) for value in facts["loss"]]
            stage.seconds, stage.cpu_seconds = float(facts["seconds"]), float(facts["cpu_seconds"])
            remembered: dict[int, dict] = {}
            for key, value in tensors.items():
                if key.startswith("optimizer."):
                    _, i, what = key.split(".")
                    remembered.setdefault(int(i), {})[what] = value
            if optimizer is not None and remembered:
                optimizer.load_state_dict(optimizer.state_dict() | {"state": remembered})
        except (safetensors.SafetensorError, RuntimeError, ValueError, KeyError, TypeError) as error:
            cause = " ".join(str(error).split())[:200]
            raise LabError(f"{path} cannot be read ({cause}); delete it, and its training begins anew") from None
        return stage, min(len(stage.loss), epochs)


def learning_rate_factor(step: int, total: int) -> float:
    """Share of the largest learning rate at a step of fine-tuning: a short rise, then half a cosine down to 0."""
    return min(1.0, (step + 1) / WARM_UP) * 0.5 * (1 + math.cos(math.pi * step / total))
