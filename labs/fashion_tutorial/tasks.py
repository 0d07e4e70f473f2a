"""What the child process does with a submission of this lab (sandbox/worker.py runs it there): arrays in, numbers out.

The worker makes arrays of tensors and lists. No right answer is known in here. ``settings`` holds the seed.
"""

import numpy as np
import sklearn.decomposition  # before the child's clock starts, as all that is imported here  # noqa: F401
import sklearn.manifold  # noqa: F401
import torch
from huggingface_hub import PyTorchModelHubMixin  # noqa: F401

# torch loads a part of itself at the first use, which would count against the child's limits.
output = torch.sigmoid(torch.nn.Linear(2, 2)(torch.zeros(1, 2)))
torch.nn.functional.binary_cross_entropy(output, torch.zeros(1, 2)).backward()
torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)


def tensor(array: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.array(array, np.float32))


def autoencoder(submission, inputs, settings) -> dict:
    """The dense layers of a new network and what it makes of ``x``: weights, codes and reconstructions."""
    torch.manual_seed(settings["seed"])
    net = submission.AutoEncoder(*(int(size) for size in inputs["sizes"]))
    answers = {}
    for side in ("encoder", "decoder"):
        part = getattr(net, side, torch.nn.Identity())
        for i, layer in enumerate(m for m in part.modules() if isinstance(m, torch.nn.Linear)):
            answers[f"{side}_weight_{i}"] = layer.weight
            answers[f"{side}_bias_{i}"] = layer.bias
    with torch.no_grad():
        answers["codes"] = net.encoder(tensor(inputs["x"]))
        answers["output"] = net(tensor(inputs["x"]))
    return answers


class OneLayer(torch.nn.Module):
    """A network small enough to be differentiated by hand: sigmoid(x W^T)."""

    def __init__(self, weight: np.ndarray):
        super().__init__()
        self.weight = torch.nn.Parameter(tensor(weight))

    def forward(self, x):
        return torch.sigmoid(x @ self.weight.T)


def train_step(submission, inputs, settings) -> dict:
    """The weights and the loss after each of three steps of plain gradient descent."""
    net = OneLayer(inputs["weight"])
    optimizer = torch.optim.SGD(net.parameters(), lr=float(inputs["learning_rate"]))
    answers = {}
    for i in range(3):
        answers[f"loss_{i}"] = submission.train_step(net, tensor(inputs[f"x_{i}"]), optimizer)
        answers[f"weight_{i}"] = net.weight.detach().clone()
    return answers


def projections(submission, inputs, settings) -> dict:
    """Each projection of ``x``, under its name in small letters."""
    methods = submission.projections(int(inputs["n_neighbors"]), float(inputs["kernel_width"]), settings["seed"])
    names = {"pca": "PCA", "kernel_pca": "kernel PCA", "t_sne": "t-SNE", "lle": "LLE", "isomap": "Isomap"}
    found = {key: methods[name] for key, name in names.items() if methods.get(name) is not None}
    return {key: method.fit_transform(inputs["x"].copy()) for key, method in found.items()}


TASKS = {"autoencoder": autoencoder, "train_step": train_step, "projections": projections}
