"""What the child process does with a submission of this lab (sandbox/worker.py runs it there): arrays in, numbers out.

The worker makes arrays of tensors and lists. No right answer is known in here. ``settings`` holds the seed.
"""

from contextlib import suppress

import torch
from huggingface_hub import PyTorchModelHubMixin  # before the child's clock starts  # noqa: F401

# torch loads a part of itself at the first use, which would count against the child's limits.
torch.nn.functional.conv_transpose2d(torch.zeros(1, 1, 2, 2), torch.zeros(1, 1, 2, 2))
torch.nn.functional.conv2d(torch.zeros(1, 1, 2, 2), torch.zeros(1, 1, 2, 2))


def autoencoder(submission, inputs, settings) -> dict:
    """The parameters, the codes of ``x``, and what the decoder makes of the codes ``z``."""
    torch.manual_seed(settings["seed"])
    net = submission.Autoencoder()
    answers = {}
    for side in ("encoder", "decoder"):
        part = getattr(net, side, None)
        if not isinstance(part, torch.nn.Module):
            return answers
        answers |= {f"{side}_{i}": parameter for i, parameter in enumerate(part.parameters())}
        answers[f"{side}_is_float32"] = all(parameter.dtype == torch.float32 for parameter in part.parameters())
    # Layers that do not fit each other raise RuntimeError: the parameters' shapes tell which.
    with suppress(RuntimeError), torch.no_grad():
        answers["codes"] = net.encoder(torch.tensor(inputs["x"]))
    with suppress(RuntimeError), torch.no_grad():
        net.encoder = torch.nn.Identity()  # what the decoder gives does not depend on the encoder
        answers["output"] = net(torch.tensor(inputs["z"]))[1]
    return answers


def standardise(submission, inputs, settings) -> dict:
    return {"z": submission.standardise(inputs["codes"].copy())}


def flip(submission, inputs, settings) -> dict:
    cases = range(len(inputs) // 2)
    return {f"flipped_{i}": submission.flip(inputs[f"labels_{i}"].copy(), inputs[f"known_{i}"].copy()) for i in cases}


def consensus(submission, inputs, settings) -> dict:
    return {f"agreed_{i}": submission.consensus(inputs[f"labellings_{i}"].copy()) for i in range(len(inputs))}


TASKS = {"autoencoder": autoencoder, "standardise": standardise, "flip": flip, "consensus": consensus}
