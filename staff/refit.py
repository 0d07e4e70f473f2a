"""What the child process does to reproduce a run: arrays in, parameters out (``staff.rerun`` sends it there).

``settings`` holds ``n_components``, ``max_iter``, ``seed``, ``embedding_dim`` and ``mode``. With ``mode`` "own" the
submission's own ``fit`` runs; with "steps" the lab's, from ``given.py``, around the submission's E-step and M-step.
"""

import inspect
import sys

import numpy as np

PARTS = ("means", "covs", "pi")
STEPS = ("_e_step", "_m_step")


def fit(submission, inputs, settings) -> dict:
    """Repeat a run: ``means covs pi components mean`` from ``images`` uint8 (N, 784)."""
    gmm_class, pca_class = classes(submission, inputs, settings["mode"])
    images = inputs["images"]
    # Files of earlier years take no seed: there, train.py seeded NumPy's generator after its imports.
    np.random.seed(settings["seed"])
    pca = pca_class(settings["embedding_dim"])
    pca.fit(images.copy())
    gmm = fitted(gmm_class, pca.transform(images), settings)
    return {name: getattr(gmm, name) for name in PARTS} | {"components": pca.components, "mean": pca.mean}


def probe(submission, inputs, settings) -> dict:
    """Fit ``codes`` (N, d), which gives ``means covs pi``, then again with an E-step and an M-step that fail.

    The second should fail; if it does not, it leaves ``idle_means idle_covs idle_pi``, ``called``, whether it tried one
    of the steps, and ``borrowed``, whether it ran a mixture of scikit-learn's.
    """
    gmm_class, _ = classes(submission, inputs, settings["mode"])
    np.random.seed(settings["seed"])
    gmm, called, borrowed = fitted(gmm_class, inputs["codes"].copy(), settings), [], []
    answers = {name: np.array(getattr(gmm, name)) for name in PARTS}

    def stop(*_, **__):
        called.append(True)
        raise Stopped

    if lent := sys.modules.get("sklearn.mixture._base"):
        whole = lent.BaseMixture.fit_predict
        lent.BaseMixture.fit_predict = lambda *args, **options: (borrowed.append(True), whole(*args, **options))[1]
    theirs = [getattr(getattr(gmm, name, None), "__func__", stop) for name in STEPS]
    for owner in gmm_class.__mro__[:-1]:
        for name, value in list(vars(owner).items()):  # the steps may have further names
            if name in STEPS or any(value is step for step in theirs):
                setattr(owner, name, stop)
    np.random.seed(settings["seed"])
    try:
        gmm = fitted(gmm_class, inputs["codes"].copy(), settings)
        answers |= {"called": bool(called), "borrowed": bool(borrowed)}
        return answers | {f"idle_{name}": getattr(gmm, name) for name in PARTS}
    except BaseException:  # as it should
        return answers


class Stopped(BaseException):
    """A step was called; not an Exception, which a student's loop might catch."""


def classes(submission, inputs: dict, mode: str) -> tuple[type, type]:
    """The classes GMM and PCA; in the mode "steps" with the lab's ``fit`` and ``transform``."""
    if mode == "own":
        return submission.GMM, submission.PCA
    lab = {"__name__": "given"}
    exec(compile(inputs["given.py"].tobytes(), "given.py", "exec"), lab)
    kept = {name: vars(lab["GMM"])[name] for name in ("__init__", "fit", "_mean_log_likelihood")}
    restored = {name: vars(lab["PCA"])[name] for name in ("__init__", "transform")}
    return type("GMM", (submission.GMM,), kept), type("PCA", (submission.PCA,), restored)


def fitted(gmm_class: type, codes: np.ndarray, settings: dict):
    """A new mixture after its ``fit``, which gets those settings that its signature takes."""
    gmm = gmm_class(settings["n_components"], settings["embedding_dim"])
    taken = inspect.signature(gmm.fit).parameters
    any_name = any(parameter.kind is parameter.VAR_KEYWORD for parameter in taken.values())
    gmm.fit(codes, **{name: settings[name] for name in ("max_iter", "seed") if any_name or name in taken})
    return gmm


TASKS = {"fit": fit, "probe": probe}
