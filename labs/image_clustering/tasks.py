"""What the child process does with a submission of this lab (sandbox/worker.py runs it there): arrays in, numbers out.

The worker makes arrays of tensors and lists. No right answer is known in here. ``settings`` holds the seed.
"""

import numpy as np
import torch
from huggingface_hub import PyTorchModelHubMixin  # before the child's clock starts  # noqa: F401

# torch loads a part of itself at the first use, which would count against the child's limits.
torch.nn.functional.conv_transpose2d(torch.zeros(1, 1, 2, 2), torch.zeros(1, 1, 2, 2))
torch.nn.functional.conv2d(torch.zeros(1, 1, 2, 2), torch.zeros(1, 1, 2, 2))


def autoencoder(submission, inputs, settings) -> dict:
    """For no activation and for relu: the parameters, the codes and the reconstructions of ``x``."""
    torch.manual_seed(settings["seed"])
    x, answers = torch.from_numpy(inputs["x"].astype(np.float32)), {}
    for activation in ("none", "relu"):
        net = submission.Autoencoder(activation=activation)
        for side in ("encoder", "decoder"):
            for i, parameter in enumerate(getattr(net, side).parameters()):
                answers[f"{activation}_{side}_{i}"] = parameter
        with torch.no_grad():
            codes, output = net(x)
        answers |= {f"{activation}_codes": codes, f"{activation}_output": output}
    return answers


def standardise(submission, inputs, settings) -> dict:
    return {"z": submission.standardise(inputs["codes"].copy())}


def flip(submission, inputs, settings) -> dict:
    cases = range(len(inputs) // 2)
    return {f"flipped_{i}": submission.flip(inputs[f"labels_{i}"].copy(), inputs[f"known_{i}"].copy()) for i in cases}


def consensus(submission, inputs, settings) -> dict:
    return {f"agreed_{i}": submission.consensus(inputs[f"labellings_{i}"].copy()) for i in range(len(inputs))}


TASKS = {"autoencoder": autoencoder, "standardise": standardise, "flip": flip, "consensus": consensus}
