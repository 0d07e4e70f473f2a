"""The names that the course's text, notebooks and earlier hand-ins use, gathered from ``hi_mnist/``.

    >>> import utils
    >>> images, labels = utils.load_split("train")          # uint8 (N, 1, 28, 28), int64 (N,)
    >>> run = utils.load_run("results/2026-01-31_09-30-00")
    >>> clusters = utils.cluster_labels(run, images)        # int64 (N,)

It is for people outside the project: nothing inside imports it. Only functions that need a network import torch.
"""
# ruff: noqa: F401  passing names on is this file's job

from hi_mnist.cli import LabError, explain, run_script
from hi_mnist.data import DATASETS, IMAGE_SHAPE, N_CLASSES, N_PIXELS, flatten, load_split, prepared_dir, read_source
from hi_mnist.files import ROOT, cache_dir, lab_home, results_dir
from hi_mnist.networks import (
    DDPM_STEPS,
    DEFAULT_GUIDANCE,
    ae_encode,
    draw_digits,
    get_device,
    load_ae,
    load_ddpm,
    sample_from_ddpm,
    save_network,
)
from hi_mnist.runs import SavedRun, TrainConfig, cluster_labels, embed, find_run, load_run, mixture
from hi_mnist.training import set_seed
