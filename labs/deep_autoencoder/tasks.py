"""What the child process does with a submission of this lab (sandbox/worker.py runs it there): arrays in, numbers out.

The worker makes arrays of tensors and lists. No right answer is known in here: what one task needs of another is looked
up in recorded tables, so that a fault is charged once. ``settings`` holds the seed.
"""

import contextlib

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression  # before the child's clock starts, as all that is imported here
from torch import nn

# torch loads these at the first use, which would come after the child's limits: before them, nobody pays.
nn.functional.mse_loss(nn.Linear(2, 2)(torch.zeros(1, 2)), torch.zeros(1, 2)).backward()
torch.optim.Adam([nn.Parameter(torch.zeros(1))])
PARAMETERS = ("fc", "bias_v", "bias_h")


def tensor(array: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.array(array, np.float32))


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


def rbm_parameters(submission, inputs, settings) -> dict:
    """A new machine's ``fc``, ``bias_v`` and ``bias_h``, and by parameter how each is kept."""
    rbm = submission.RBM(int(inputs["n_visible"]), int(inputs["n_hidden"]))
    answers = {name: getattr(rbm, name, None) for name in PARAMETERS}
    answers["saved"] = [name in rbm.state_dict() for name in PARAMETERS]
    answers["gradients"] = [bool(getattr(answers[name], "requires_grad", False)) for name in PARAMETERS]
    answers["float32"] = [getattr(answers[name], "dtype", None) == torch.float32 for name in PARAMETERS]
    return answers


class Recorded:
    """The passes of a machine as tables, by the nearest recorded row; ``strange`` keeps one that was not recorded."""

    gaussian_hidden = False

    def looked_up(self, name: str, rows: torch.Tensor) -> torch.Tensor:
        asked, answered = self.tables[name]
        if rows.ndim != 2 or rows.shape[1] != asked.shape[1]:
            raise ValueError(f"{name} was given shape {tuple(rows.shape)}, wanted is (N, {asked.shape[1]})")
        distances, places = torch.cdist(rows.float(), asked, compute_mode="donot_use_mm_for_euclid_dist").min(dim=1)
        if (far := distances > 1e-4).any():
            self.strange.setdefault(name, rows[far][0].clone())
        return answered[places]

    def propup(self, v):
        return self.looked_up("propup", v)

    def propdown(self, h):
        return self.looked_up("propdown", h)

    def sample_p(self, p):
        return tensor(np.random.binomial(1, p.numpy()))

    def ascend(self, gradient_fc, gradient_v, gradient_h, lr):
        self.handed = [torch.as_tensor(gradient) * lr for gradient in (gradient_fc, gradient_v, gradient_h)]


def machine(submission, inputs, end="", recorded=True):
    """A submission's RBM with set parameters, made around its ``__init__``; with ``recorded`` passes, where wanted."""
    bases = (Recorded, submission.RBM) if recorded else (submission.RBM,)
    rbm = object.__new__(type("RBM", bases, {}))
    nn.Module.__init__(rbm)
    for name in PARAMETERS:
        setattr(rbm, name, nn.Parameter(tensor(inputs[f"{name}{end}"]), requires_grad=False))
    rbm.k, rbm.momentum, rbm.weight_decay, rbm.gaussian_hidden = 1, 0.0, 0.0, False
    for name, like in (("fc", rbm.fc), ("v", rbm.bias_v), ("h", rbm.bias_h)):
        rbm.register_buffer(f"velocity_{name}", torch.zeros_like(like))
    if recorded:
        names, parts, rbm.strange = ("propup", "propdown"), ("asked", "answered"), {}
        rbm.tables = {name: [tensor(inputs[f"{name}_{part}{end}"]) for part in parts] for name in names}
    return rbm


def rbm_sampling(submission, inputs, settings) -> dict:
    """Two draws from the probabilities ``p`` (n, m), each from a copy of its own."""
    rbm, p, other = machine(submission, inputs, recorded=False), tensor(inputs["p"]), tensor(inputs["p"])
    first = rbm.sample_p(p)
    is_float32 = [getattr(first, "dtype", None) == torch.float32]
    return {"is_float32": is_float32, "first": first, "second": rbm.sample_p(other), "p_after": p}


def rbm_down(submission, inputs, settings) -> dict:
    """``p_v`` for hidden states ``h``."""
    return {"p_v": machine(submission, inputs, recorded=False).propdown(tensor(inputs["h"]))}


def rbm_cd(submission, inputs, settings) -> dict:
    """Mean change of each parameter over many updates of one batch by CD-k, each from the same parameters.

    What ``ascend`` is given and what changes without it count together; no right update gives a ``strange_PASS``.
    """
    answers = {}
    for i in range(int(inputs["cases"])):
        k, lr, times = (float(inputs[f"{name}_{i}"]) for name in ("k", "lr", "times"))
        rbm = machine(submission, inputs, f"_{i}")
        rbm.k = int(k)
        start = [getattr(rbm, name).clone() for name in PARAMETERS]
        x, totals = tensor(inputs[f"x_{i}"]), [0, 0, 0]
        for _ in range(int(times)):
            rbm.handed = [0, 0, 0]
            for name, value in zip(PARAMETERS, start, strict=True):
                getattr(rbm, name).data.copy_(value)
            rbm.contrastive_divergence(x, lr)
            for j, (name, old, handed) in enumerate(zip(PARAMETERS, start, rbm.handed, strict=True)):
                same = isinstance(handed, int) or handed.shape == old.shape
                totals[j] = totals[j] + handed + (getattr(rbm, name).detach() - old if same else 0)
        answers |= {f"{name}_{i}": total / times for name, total in zip(PARAMETERS, totals, strict=True)}
        answers |= {f"strange_{name}": row for name, row in rbm.strange.items()}
        answers[f"x_after_{i}"] = x
    return answers


def rbm_reconstruction(submission, inputs, settings) -> dict:
    """The reconstruction while the highest of the machines is in training."""
    *below, model = (machine(submission, inputs, f"_{i}") for i in range(int(inputs["machines"])))
    return {"reconstructed": submission.reconstruct(model, submission.RBMHandle(below), tensor(inputs["x"]))}


def ae_layers(submission, inputs, settings) -> dict:
    """The dense layers of encoder and decoder, and what they and the whole give for ``x`` and for codes ``z``."""
    layers = tuple(int(n) for n in inputs["layers"])
    answers = {}
    for kind, linear in (("sigmoid", False), ("linear", True)):
        model = submission.Autoencoder(layers, linear_code=linear)
        names = list(model.state_dict())
        answers["named"] = [f"{side}.{i}.0.weight" in names for side in ("encoder", "decoder") for i in (0, 1, 2)]
        for side in ("encoder", "decoder"):
            dense = [m for m in getattr(model, side).modules() if isinstance(m, nn.Linear)]
            for i, layer in enumerate(dense[:6]):
                layer.weight.data.mul_(5)  # far enough from the middle of the logistic function to see where it stands
                answers |= {f"{kind}_{side}_weight_{i}": layer.weight, f"{kind}_{side}_bias_{i}": layer.bias}
        # Layers that do not fit each other raise RuntimeError: their shapes tell which.
        with contextlib.suppress(RuntimeError), torch.no_grad():
            answers[f"{kind}_decoder"] = model.decoder(tensor(inputs["z"]))
        with contextlib.suppress(RuntimeError), torch.no_grad():
            x = tensor(inputs["x"])
            answers[f"{kind}_encoder"] = codes = model.encoder(x)
            answers |= {f"{kind}_rebuilt": model.decoder(codes), f"{kind}_whole": model(x)}
    return answers


class Named(nn.Module):
    """Dense layers at given names, which keeps what is loaded into it, the names wrong or right."""

    def __init__(self, inputs: dict[str, np.ndarray]):
        super().__init__()
        for side in ("encoder", "decoder"):
            shapes = [array.shape for name, array in inputs.items() if name.startswith(f"{side}_")]
            setattr(self, side, nn.Sequential(*(nn.Sequential(nn.Linear(*shape[::-1])) for shape in shapes)))
        self.loaded = {}

    def load_state_dict(self, given, *_, **__):
        self.loaded |= given


def ae_unrolling(submission, inputs, settings) -> dict:
    """The autoencoder's parameters after the stack was loaded into it, and a name that it lacks."""
    machines = [machine(submission, inputs, f"_{i}", recorded=False) for i in range(int(inputs["machines"]))]
    model = Named(inputs)
    names = list(model.state_dict())
    submission.load_rbm_pretrained_models(model, submission.RBMHandle(machines))
    found = model.state_dict() | model.loaded
    unknown = next((name for name in found if name not in names), "")
    return {name.replace(".", "_"): found[name] for name in names} | {"unknown": list(unknown.encode()[:80])}


class OneLayer(nn.Module):
    """A network small enough to be differentiated by hand, whose code has as many numbers as its input."""

    def __init__(self, weight):
        super().__init__()
        self.encoder, self.decoder = nn.Linear(*weight.shape, bias=False), nn.Identity()
        self.encoder.weight.data = tensor(weight)

    def forward(self, x):
        return self.encoder(x)


def ae_fine_tuning(submission, inputs, settings) -> dict:
    """The loss and the weights of each of two steps of plain gradient descent."""
    model = OneLayer(inputs["weight"])
    optimizer = torch.optim.SGD(model.parameters(), lr=float(inputs["learning_rate"]))
    answers = {}
    for i in range(2):
        try:
            answers[f"loss_{i}"] = submission.train_step(model, tensor(inputs[f"x_{i}"]), nn.MSELoss(), optimizer)
        except AttributeError as error:
            if "'float'" not in str(error):
                raise
            answers["is_a_number"] = True  # the loss, by .item()
        answers[f"weight_{i}"] = model.encoder.weight.detach().clone()
    return answers


def squared_error(submission, inputs, settings) -> dict:
    return {"error": submission.squared_error_per_image(tensor(inputs["x"]), tensor(inputs["reconstructed"]))}


def probe(submission, inputs, settings) -> dict:
    """The two accuracies of scikit-learn's classifier."""
    names = ("train_codes", "train_labels", "test_codes", "test_labels")
    return {"returned": submission.probe(*(inputs[name].copy() for name in names), LogisticRegression())}


def score(submission, inputs, settings) -> dict:
    """The scores of each coloured data set."""
    given = ([inputs[f"{name}_{i}"].copy() for name in ("images", "labels")] for i in range(len(inputs) // 2))
    return {f"scores_{i}": submission.score(*arrays) for i, arrays in enumerate(given)}


RBM_TASKS = (rbm_parameters, rbm_sampling, rbm_down, rbm_cd, rbm_reconstruction)
AE_TASKS = (ae_layers, ae_unrolling, ae_fine_tuning, squared_error, probe)
TASKS = {task.__name__: task for task in (data, *RBM_TASKS, *AE_TASKS, score)}
