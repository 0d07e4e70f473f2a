"""What the child process does with a submission of this lab (sandbox/worker.py runs it there): arrays in, numbers out.

The worker makes arrays of tensors and lists. No right answer is known in here. ``settings`` holds the seed.
"""

from contextlib import suppress

import numpy as np
import sklearn.decomposition  # before the child's clock starts, as all that is imported here  # noqa: F401
import sklearn.manifold  # noqa: F401
import torch
from huggingface_hub import PyTorchModelHubMixin  # noqa: F401

# torch loads a part of itself at the first use, which would count against the child's limits.
output = torch.sigmoid(torch.nn.Linear(2, 2)(torch.zeros(1, 2)))
torch.nn.functional.binary_cross_entropy(output, torch.zeros(1, 2)).backward()
torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)


def autoencoder(submission, inputs, settings) -> dict:
    """The dense layers of a new network and what it makes of ``x``: weights, codes and reconstructions."""
    torch.manual_seed(settings["seed"])
    net = submission.AutoEncoder(*(int(size) for size in inputs["sizes"]))
    answers = {}
    for side in ("encoder", "decoder"):
        part = getattr(net, side, None)
        if not isinstance(part, torch.nn.Module):
            return answers
        layers = [module for module in part.modules() if isinstance(module, torch.nn.Linear)]
        for i, layer in enumerate(layers):
            answers |= {f"{side}_weight_{i}": layer.weight, f"{side}_bias_{i}": layer.bias}
        answers[f"{side}_is_float32"] = all(p.dtype == torch.float32 for p in part.parameters())
    # Layers that do not fit each other raise RuntimeError: their shapes tell which.
    with suppress(RuntimeError), torch.no_grad():
        answers["codes"] = net.encoder(torch.tensor(inputs["x"]))
    with suppress(RuntimeError), torch.no_grad():
        net.encoder = torch.nn.Identity()  # what the decoder gives does not depend on the encoder
        answers["output"] = net(torch.tensor(inputs["z"]))
    return answers


class OneLayer(torch.nn.Module):
    """A network small enough to be differentiated by hand: sigmoid(x W^T)."""

    def __init__(self, weight: np.ndarray):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.tensor(weight))

    def forward(self, x):
        return torch.sigmoid(x @ self.weight.T)


def train_step(submission, inputs, settings) -> dict:
    """The weights and the loss after each of three steps of plain gradient descent."""
    net = OneLayer(inputs["weight"])
    optimizer = torch.optim.SGD(net.parameters(), lr=float(inputs["learning_rate"]))
    answers = {}
    for i in range(3):
        answers[f"loss_{i}"] = submission.train_step(net, torch.tensor(inputs[f"x_{i}"]), optimizer)
        answers[f"weight_{i}"] = net.weight.detach().clone()
    return answers


def projections(submission, inputs, settings) -> dict:
    """Each projection of ``x``, under its name in small letters; one that fails costs the others nothing."""
    methods = submission.projections(int(inputs["n_neighbors"]), float(inputs["kernel_width"]), settings["seed"])
    names = {"pca": "PCA", "kernel_pca": "kernel PCA", "t_sne": "t-SNE", "lle": "LLE", "isomap": "Isomap"}
    answers, raised = {}, None
    for key, name in names.items():
        try:
            if name in methods:
                answers[key] = np.array(methods[name].fit_transform(inputs["x"].copy()), np.float64)
                answers[f"{key}_perplexity"] = np.array(getattr(methods[name], "perplexity", 30.0), np.float64)
        except Exception as error:
            raised = raised or error
    if raised:
        raised.answers = answers
        raise raised
    return answers


TASKS = {"autoencoder": autoencoder, "train_step": train_step, "projections": projections}
