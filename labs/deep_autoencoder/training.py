"""Train the stack of RBMs and the autoencoders of a run, epoch by epoch, so that a killed run goes on where it stopped.

After every epoch the stage's weights, and what its optimiser remembers, are written to ``models/STAGE.safetensors``.
Each epoch draws from generators seeded by (seed, stage, epoch): a run that was killed ends with the same numbers.
Symbols: N images, D = 784 pixels.
"""

import ast
import hashlib
import json
import math
import time
from dataclasses import dataclass, field
from functools import cache, partial
from itertools import pairwise, product
from pathlib import Path

import numpy as np
import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from hi_mnist import data, files, text, training
from hi_mnist.cli import LabError
from hi_mnist.data import N_PIXELS, DataSet
from labs import shared
from labs.deep_autoencoder import submission
from labs.deep_autoencoder.settings import Settings
from labs.deep_autoencoder.submission import RBM, Autoencoder, RBMHandle

TITLES = {  # of the autoencoders
    "pretrained": "autoencoder with pretraining",
    "scratch": "autoencoder without pretraining",
    "longer": "without pretraining, equal time",
    "modern": "today's: ReLU, no pretraining",
    "logistic": "logistic PCA",
}
CRITERIA = {"nn-mse": nn.MSELoss, "nn-bce": nn.BCELoss}
FIRST_MOMENTUM = 0.5  # at most, in an RBM's first epoch, whose gradients are large (paper's supporting material)
GAUSSIAN_LR = 0.01  # of lr_rbm: linear hidden units have no bound, and diverge at the rate of binary ones (as there)
WARM_UP = 50  # fine-tuning steps in which the learning rate rises
EVALUATED = 1000  # training images by which an RBM's epochs are judged
SOURCE = ast.parse(Path(submission.__file__).read_bytes())  # now, as it was loaded: it may be edited during a run
RBM_COST = 1.25  # processor time of a multiplication in contrastive divergence, which also draws, by one in fine-tuning
# What a stage's weights do not depend on: these parts of submission.py may change without its being trained anew.
ANALYSIS = frozenset({"squared_error_per_image", "probe", "score"})
TUNING = ANALYSIS | {"reconstruct", "basic_block", "Autoencoder", "load_rbm_pretrained_models", "train_step"}


@dataclass
class Stage:
    """A trained RBM or autoencoder; wall and processor time in seconds, over all its epochs."""

    model: nn.Module
    loss: list[float] = field(default_factory=list)  # by epoch
    test_error: list[float] = field(default_factory=list)  # of an autoencoder by epoch: squared error per test image
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


def train(settings: Settings, folder: Path, images: DataSet, device="cpu", num_workers: int = 0) -> Trained:
    """Train what ``models/`` in the run's folder does not hold yet, and print a line for each stage that is done.

    Raises LabError where a saved model is damaged, or a loss is not finite.
    """
    (folder / "models").mkdir(exist_ok=True)
    generator = torch.Generator()
    splits = (tuple(map(torch.from_numpy, split)) for split in (images[:2], images[2:]))
    loader, _ = submission.prepare_dataloaders(*splits, settings.batch_size, num_workers, generator)
    trainer = _Trainer(settings, folder / "models", loader, generator, torch.device(device))
    trained = Trained([], {})
    if settings.do_train_rbm:
        trained.rbms = trainer.rbms(torch.from_numpy(pixels(images.train[:EVALUATED])).to(device))
    for kind, number in kinds(settings).items():
        trained.autoencoders[kind] = trainer.autoencoder(kind, number, trained.stack, pixels(images.test))
    return trained


def kinds(settings: Settings) -> dict[str, int]:
    """The autoencoders that a run trains, each with the number that seeds it."""
    with_rbms, scratch, paper = settings.do_train_rbm, not settings.without_scratch, settings.paper
    wanted = (with_rbms, scratch and not paper, with_rbms and scratch, paper, paper)
    return {kind: 100 + i for i, (kind, is_wanted) in enumerate(zip(TITLES, wanted, strict=True)) if is_wanted}


def equal_epochs(settings: Settings) -> int:
    """Epochs of fine-tuning alone that take the processor time of pretraining and fine-tuning, by multiplications."""
    weights = [a * b for a, b in pairwise(settings.layers)]
    rbms = sum((3 + 2 * settings.k) * n + sum(weights[:i]) for i, n in enumerate(weights))
    share = RBM_COST * rbms / (6 * sum(weights))
    return settings.max_epoch + math.ceil(share * (settings.max_epoch_rbm or settings.max_epoch))


def check_networks() -> None:
    """Raise LabError where submission.py builds networks that a run cannot save, unroll or encode by."""
    model = Autoencoder((4, 3, 2), linear_code=True)
    blocks = product(("encoder", "decoder"), (0, 1), ("weight", "bias"))
    wanted = ["fc", "bias_v", "bias_h", *(f"{side}.{i}.0.{what}" for side, i, what in blocks)]
    try:
        if missing := [name for name in wanted if name not in {**RBM(4, 3).state_dict(), **model.state_dict()}]:
            raise RuntimeError(f"no parameter is named {missing[0]}")
        model.decoder(model.encoder(torch.zeros(1, 4)))
    except RuntimeError as error:  # layers that do not fit each other, or no nn.Sequential
        told = f"{text.one_line(error)}; keep the structure that its docstrings tell, and use --check"
        raise LabError(f"{submission.__file__}: {told}") from None


def modernise(model: Autoencoder) -> None:
    """Make an autoencoder of today of one with a linear code: rectified layers in place of sigmoid ones, He's weights.

    Source: He et al. 2015, Delving Deep into Rectifiers, arXiv 1502.01852.
    """
    parts = [*model.encoder.modules(), *model.decoder.modules()]
    for layer in parts:
        if isinstance(layer, nn.Linear):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            nn.init.zeros_(layer.bias)
    sigmoids = [(part, name) for part in parts for name, child in part.named_children() if type(child) is nn.Sigmoid]
    for part, name in sigmoids[:-1]:  # the last one makes pixels
        setattr(part, name, nn.ReLU())


@cache
def code_key(without: frozenset[str], source: ast.Module) -> str:
    """A hash of a submission.py but for some of its functions and classes; comments and its docstring do not count."""
    kept = [node for node in source.body if getattr(node, "name", "") not in without]
    parts = [ast.unparse(node) for node in kept if not isinstance(node, ast.Expr)]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def pixels(images: np.ndarray) -> np.ndarray:
    """Images uint8 (N, 1, 28, 28) of 0..255 as float32 (N, 784) in [0, 1]."""
    return data.flatten(images).astype(np.float32) / 255


@dataclass
class _Trainer:
    """The stages of one run."""

    settings: Settings
    folder: Path
    loader: torch.utils.data.DataLoader
    generator: torch.Generator
    device: torch.device

    def rbms(self, evaluated: Tensor) -> list[Stage]:
        s, stack, stages = self.settings, RBMHandle(), []
        shapes = list(pairwise(s.layers))
        for i, (n_visible, n_hidden) in enumerate(shapes):
            gaussian = s.code == "linear" and i == len(shapes) - 1
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

            how = (i, name, "squared error per image", s.max_epoch_rbm or s.max_epoch)
            stages.append(self.run(f"rbm-{i + 1}", *how, rbm, None, step, loss))
            stack.append(rbm)
        return stages

    def autoencoder(self, kind: str, number: int, stack: RBMHandle, test: np.ndarray) -> Stage:
        s = self.settings
        self.seed(number, 0)
        layers = (s.layers[0], s.layers[-1]) if kind == "logistic" else s.layers
        model = Autoencoder(layers, s.code == "linear").to(self.device)
        if kind == "pretrained":
            submission.load_rbm_pretrained_models(model, stack)
        if kind == "modern":
            modernise(model)
        epochs = equal_epochs(s) if kind == "longer" else s.max_epoch
        criterion, per_epoch, losses = CRITERIA[s.loss_fn](), len(self.loader), []
        make = torch.optim.Adam if s.optimizer == "adam" else partial(torch.optim.SGD, momentum=0.9)
        # Fused takes on a CPU a quarter of the time.
        optimizer = make(model.parameters(), lr=s.lr_ae, weight_decay=s.weight_decay, fused=True)

        def step(x, epoch):
            done = epoch * per_epoch + len(losses)
            for group in optimizer.param_groups:
                group["lr"] = s.lr_ae * learning_rate_factor(done, epochs * per_epoch)
            losses.append(submission.train_step(model, x, criterion, optimizer))

        def loss():
            mean = float(torch.stack(losses).mean())
            losses.clear()
            return mean

        def error():
            return float(((shared.in_batches(model, test, self.device) - test) ** 2).sum(axis=1).mean())

        return self.run(f"ae-{kind}", number, TITLES[kind], s.loss_fn, epochs, model, optimizer, step, loss, error)

    def run(self, file: str, number: int, name: str, measure: str, epochs, model, optimizer, step, loss, error=None):
        """Train one stage from the epoch that its file holds to the last."""
        path, per_epoch = self.folder / f"{file}.safetensors", len(self.loader)
        code = code_key(ANALYSIS if optimizer else TUNING, SOURCE)
        stage = self.restored(path, model, optimizer, code)
        epoch = min(len(stage.loss), epochs)
        if stage.loss:
            state = "is trained" if epoch == epochs else f"goes on after epoch {epoch} of {epochs}"
            print(f"{name}: {state}", flush=True)
        with shared.progress(total=epochs * per_epoch, initial=epoch * per_epoch, desc=name, unit="batch") as bar:
            while epoch < epochs:
                self.seed(number, epoch + 1)
                wall, cpu = time.monotonic(), time.process_time()
                for x, _ in self.loader:
                    step(x.flatten(1).to(self.device), epoch)
                    bar.update()
                stage.loss.append(loss())
                epoch += 1
                if not math.isfinite(stage.loss[-1]):
                    flag = "--lr_ae" if optimizer else "--lr_rbm"
                    raise LabError(f"{name}: the loss is {stage.loss[-1]} after epoch {epoch}; lower {flag}")
                stage.seconds += time.monotonic() - wall
                stage.cpu_seconds += time.process_time() - cpu
                if error:
                    stage.test_error.append(error())
                bar.set_postfix_str(f"{measure} {stage.loss[-1]:.4g}", refresh=False)
                self.save(path, stage, optimizer, code, final=epoch == epochs)
        times = f"{stage.seconds:.0f} s ({stage.cpu_seconds:.0f} s of processor time)"
        print(f"{name}: {measure} {stage.loss[-1]:.4g} after {epoch} epochs, {times}", flush=True)
        return stage

    def seed(self, *key: int) -> None:
        """Seed all that an epoch draws from: by what it is, so that no epoch depends on those before it."""
        a, b = np.random.SeedSequence([self.settings.seed, *key]).generate_state(2).tolist()
        training.set_seed(a)
        self.generator.manual_seed(b)

    def save(self, path: Path, stage: Stage, optimizer, code: str, final: bool) -> None:
        """Write the weights and, until the last epoch, what the training needs to go on."""
        kept = stage.model.state_dict().items()
        tensors = {f"model.{key}": value for key, value in kept if not (final and key.startswith("velocity_"))}
        if optimizer is not None and not final:
            for i, state in optimizer.state_dict()["state"].items():
                tensors |= {f"optimizer.{i}.{key}": torch.as_tensor(value) for key, value in state.items()}
        tensors = {key: value.detach().cpu().contiguous() for key, value in tensors.items()}
        facts = {key: value for key, value in vars(stage).items() if key != "model"} | {"code": code}
        with files.atomic_path(path) as partial:
            # Not save_file, whose files only the owner can read.
            partial.write_bytes(safetensors.torch.save(tensors, {"stage": json.dumps(facts)}))

    def restored(self, path: Path, model: nn.Module, optimizer, code: str) -> Stage:
        """The stage as its file left it, as many losses as epochs behind it; a fresh one where no such file is."""
        if not path.is_file():
            return Stage(model)
        try:
            with safetensors.safe_open(path, framework="pt") as file:
                facts = json.loads(file.metadata()["stage"])
                if facts.pop("code", code) != code:  # files of earlier versions tell nothing
                    print(f"{path.stem} was trained by other code of submission.py: it begins anew", flush=True)
                    return Stage(model)
                tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (not a dict)
            weights = {key.removeprefix("model."): v for key, v in tensors.items() if key.startswith("model.")}
            model.load_state_dict(model.state_dict() | weights)  # a finished stage has kept no velocities
            remembered: dict[int, dict] = {}
            for key in tensors.keys() - {f"model.{key}" for key in weights}:
                _, i, what = key.split(".")
                remembered.setdefault(int(i), {})[what] = tensors[key]
            if optimizer is not None and remembered:
                optimizer.load_state_dict(optimizer.state_dict() | {"state": remembered})
            return Stage(model, **facts)
        except (safetensors.SafetensorError, RuntimeError, ValueError, KeyError, TypeError) as error:
            told = f"{path} cannot be read ({text.one_line(error)}); delete it, and its training begins anew"
            raise LabError(told) from None


def learning_rate_factor(step: int, total: int) -> float:
    """Share of the largest learning rate at a step of fine-tuning: a short rise, then half a cosine down to 0."""
    return min(1.0, (step + 1) / WARM_UP) * 0.5 * (1 + math.cos(math.pi * step / total))
