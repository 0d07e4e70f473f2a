"""What the child process does with a submission of this lab (sandbox/worker.py runs it there): arrays in, numbers out.

The worker makes arrays of tensors and lists. No right answer is known in here. ``settings`` holds the seed.
"""

import contextlib
import itertools

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression  # before the child's clock starts  # noqa: F401

# torch loads these at the first use, which would come after the child's limits: before them, nobody pays.
torch.nn.functional.mse_loss(torch.nn.Linear(2, 2)(torch.zeros(1, 2)), torch.zeros(1, 2)).backward()
torch.optim.Adam([torch.nn.Parameter(torch.zeros(1))])


def tensor(array: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(array, np.float32))


def data(submission, inputs, settings) -> dict:
    """Two epochs of the training batches and one of the test batches, with their settings."""
    batch_size, num_workers = (int(inputs[name]) for name in ("batch_size", "num_workers"))

    def loaders(workers):
        given = {name: torch.from_numpy(array.copy()) for name, array in inputs.items()}
        splits = ((given[f"{split}_images"], given[f"{split}_labels"]) for split in ("train", "test"))
        return submission.prepare_dataloaders(*splits, batch_size, workers, torch.Generator().manual_seed(1))

    train, test = loaders(0)
    answers = {"num_workers": [loader.num_workers for loader in loaders(num_workers)]}
    for name, loader in (("first", train), ("second", train), ("test", test), ("again", loaders(0)[0])):
        batches = list(loader)
        answers[f"{name}_sizes"] = [len(x) for x, _ in batches]
        answers[f"{name}_x"] = torch.cat([x for x, _ in batches])
        answers[f"{name}_y"] = torch.cat([y for _, y in batches])
        answers[f"{name}_is_float32"] = all(x.dtype == torch.float32 for x, _ in batches)
    return answers


PARAMETERS = ("fc", "bias_v", "bias_h")


def rbm_parameters(submission, inputs, settings) -> dict:
    """A new machine's ``fc``, ``bias_v`` and ``bias_h``, and whether any of them asks for gradients."""
    rbm = submission.RBM(int(inputs["n_visible"]), int(inputs["n_hidden"]))
    answers = {name: getattr(rbm, name, None) for name in PARAMETERS}
    answers["saved"] = [name in rbm.state_dict() for name in PARAMETERS]
    answers["gradients"] = [bool(getattr(answers[name], "requires_grad", False)) for name in PARAMETERS]
    return answers


def machine(submission, inputs, end="", k=1):
    """A submission's RBM with set parameters, made around its ``__init__``: no other task depends on that one."""
    rbm = object.__new__(submission.RBM)
    torch.nn.Module.__init__(rbm)
    for name in PARAMETERS:
        setattr(rbm, name, torch.nn.Parameter(tensor(inputs[f"{name}{end}"]), requires_grad=False))
    rbm.k, rbm.momentum, rbm.weight_decay, rbm.gaussian_hidden = k, 0.0, 0.0, False
    for name, like in (("fc", rbm.fc), ("v", rbm.bias_v), ("h", rbm.bias_h)):
        rbm.register_buffer(f"velocity_{name}", torch.zeros_like(like))
    return rbm


def rbm_sampling(submission, inputs, settings) -> dict:
    """Two draws from the probabilities ``p`` (n, m)."""
    rbm = machine(submission, inputs)
    p = tensor(inputs["p"])
    return {"first": rbm.sample_p(p), "second": rbm.sample_p(p), "p_after": p}


def rbm_down(submission, inputs, settings) -> dict:
    """``p_v`` for hidden states ``h``."""
    return {"p_v": machine(submission, inputs).propdown(tensor(inputs["h"]))}


def rbm_cd(submission, inputs, settings) -> dict:
    """Mean change of each parameter over many updates of one batch by CD-k, each from the same parameters."""
    answers = {}
    for i in range(int(inputs["cases"])):
        k, lr, times = (float(inputs[f"{name}_{i}"]) for name in ("k", "lr", "times"))
        rbm = machine(submission, inputs, f"_{i}", k=int(k))
        start = {name: getattr(rbm, name).clone() for name in PARAMETERS}
        x = tensor(inputs[f"x_{i}"])
        change = {name: torch.zeros(value.shape, dtype=torch.float64) for name, value in start.items()}
        for _ in range(int(times)):
            for name, value in start.items():
                getattr(rbm, name).data.copy_(value)
            rbm.contrastive_divergence(x, lr)
            for name, value in start.items():
                change[name] += getattr(rbm, name).detach().double() - value
        answers |= {f"{name}_{i}": total / times for name, total in change.items()}
        answers[f"x_after_{i}"] = x
    return answers


class GivenHandle(list):
    """A stack with set machines whose up and down pass are the lab's own."""

    models = property(lambda self: self)

    def v2h(self, x):
        for model in self:
            x = model.propup(x)
        return x

    def h2v(self, h):
        for model in reversed(self):
            h = model.propdown(h)
        return h

    def v2h2v(self, x):
        return self.h2v(self.v2h(x))


class GivenRBM(torch.nn.Module):
    """A machine with set parameters and the lab's own passes."""

    gaussian_hidden = False

    def __init__(self, fc, bias_v, bias_h):
        super().__init__()
        self.fc, self.bias_v, self.bias_h = (torch.nn.Parameter(tensor(a), False) for a in (fc, bias_v, bias_h))

    def propup(self, v):
        return torch.sigmoid(v @ self.fc + self.bias_h)

    def propdown(self, h):
        return torch.sigmoid(h @ self.fc.T + self.bias_v)

    def v2h(self, v):
        p_h = self.propup(v)
        return p_h, (torch.rand_like(p_h) < p_h).float()

    def h2v(self, h):
        p_v = self.propdown(h)
        return p_v, (torch.rand_like(p_v) < p_v).float()

    def v2h2v(self, v):
        return self.propdown(self.propup(v))


def given_stack(inputs) -> list[GivenRBM]:
    return [GivenRBM(*(inputs[f"{name}_{i}"] for name in PARAMETERS)) for i in range(int(inputs["machines"]))]


def rbm_reconstruction(submission, inputs, settings) -> dict:
    """The reconstruction while the highest of the machines is in training."""
    *below, model = given_stack(inputs)
    return {"reconstructed": submission.reconstruct(model, GivenHandle(below), tensor(inputs["x"]))}


def ae_layers(submission, inputs, settings) -> dict:
    """Parameters of encoder and decoder, and what they and the whole give for ``x`` with their own random weights."""
    layers = tuple(int(n) for n in inputs["layers"])
    answers = {}
    for kind, linear in (("sigmoid", False), ("linear", True)):
        model = submission.Autoencoder(layers, linear_code=linear)
        for name, value in model.state_dict().items():
            value.mul_(5)  # far enough from the middle of the logistic function to see where it stands
            answers[f"{kind}_{name.replace('.', '_')}"] = value
        # Layers that do not fit each other raise RuntimeError: their shapes tell which.
        with contextlib.suppress(RuntimeError), torch.no_grad():
            x = tensor(inputs["x"])
            code = answers[f"{kind}_code"] = model.encoder(x)
            answers[f"{kind}_decoded"] = model.decoder(code)
            answers[f"{kind}_whole"] = model(x)
    return answers


class Blocks(torch.nn.Module):
    """The autoencoder of the lab, as a submission should build it."""

    def __init__(self, layers):
        super().__init__()
        self.encoder, self.decoder = self.blocks(layers), self.blocks(layers[::-1])

    @staticmethod
    def blocks(layers):
        pairs = itertools.pairwise(layers)
        return torch.nn.Sequential(*(torch.nn.Sequential(torch.nn.Linear(*p), torch.nn.Sigmoid()) for p in pairs))

    def forward(self, x):
        return self.decoder(self.encoder(x))


def ae_unrolling(submission, inputs, settings) -> dict:
    """The autoencoder's parameters and its output for ``x`` after the stack was loaded into it."""
    stack = given_stack(inputs)
    layers = [stack[0].fc.shape[0], *(rbm.fc.shape[1] for rbm in stack)]
    model = Blocks(layers)
    submission.load_rbm_pretrained_models(model, GivenHandle(stack))
    answers = {name.replace(".", "_"): value for name, value in model.state_dict().items()}
    with torch.no_grad():
        answers["output"] = model(tensor(inputs["x"]))
    return answers


def ae_fine_tuning(submission, inputs, settings) -> dict:
    """Losses and outputs of two steps of plain gradient descent, a second batch coming after a first one."""
    torch.manual_seed(0)
    model = Blocks([int(n) for n in inputs["layers"]])
    for i, parameter in enumerate(model.parameters()):
        parameter.data.copy_(tensor(inputs[f"parameter_{i}"]))
    optimizer = torch.optim.SGD(model.parameters(), lr=float(inputs["lr"]))
    answers = {}
    for i in range(2):
        answers[f"loss_{i}"] = submission.train_step(model, tensor(inputs[f"x_{i}"]), torch.nn.MSELoss(), optimizer)
    return answers | {f"after_{i}": parameter for i, parameter in enumerate(model.parameters())}


def squared_error(submission, inputs, settings) -> dict:
    return {"error": submission.squared_error_per_image(tensor(inputs["x"]), tensor(inputs["reconstructed"]))}


class Recorder:
    """A classifier that learns by heart and notes what it was asked; its score tells who was scored after which fit."""

    def __init__(self):
        self.fitted, self.scores = (np.nan,) * 3, []

    def fit(self, x, y):
        self.fitted = self.mark(x, y)
        return self

    def score(self, x, y):
        self.scores.append(self.fitted + self.mark(x, y))
        return len(self.scores) / 7

    def mark(self, x, y):
        """Numbers that tell one pair of codes and labels from another."""
        return float(np.asarray(x, np.float64).sum()), float(np.asarray(y, np.float64).sum()), len(x)


def probe(submission, inputs, settings) -> dict:
    """What was fitted and scored, and the two numbers returned."""
    recorder = Recorder()
    names = ("train_codes", "train_labels", "test_codes", "test_labels")
    returned = submission.probe(*(inputs[name].copy() for name in names), recorder)
    return {"scores": recorder.scores, "returned": returned}


TASKS = {
    task.__name__: task
    for task in (
        data, rbm_parameters, rbm_sampling, rbm_down, rbm_cd, rbm_reconstruction, ae_layers, ae_unrolling,
        ae_fine_tuning, squared_error, probe,
    )
}  # fmt: skip
