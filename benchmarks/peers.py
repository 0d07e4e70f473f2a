"""The alternatives to this project: the other side of each comparison.

The textbook's loops write the lab's formulas down literally: a loop over the components, ``inv`` and ``det``, float64
throughout. The shapes and sizes of the original lab's networks come from its description; here they have random
weights, which cost as much as trained ones.
"""

import numpy as np


class TextbookGMM:
    """EM exactly as in the formulas: means (K, d), covs (K, d, d), pi (K,), all float64."""

    def __init__(self, means: np.ndarray, covs: np.ndarray, pi: np.ndarray):
        self.means, self.covs, self.pi = means.copy(), covs.copy(), pi.copy()

    def e_step(self, X: np.ndarray) -> np.ndarray:
        """Responsibilities (N, K) of X (N, d)."""
        d = X.shape[1]
        joint = np.empty((len(X), len(self.pi)))
        for k in range(len(self.pi)):
            difference = X - self.means[k]
            inverse = np.linalg.inv(self.covs[k])
            exponent = -0.5 * np.sum(difference @ inverse * difference, axis=1)
            joint[:, k] = self.pi[k] * np.exp(exponent) / np.sqrt((2 * np.pi) ** d * np.linalg.det(self.covs[k]))
        return joint / joint.sum(axis=1, keepdims=True)

    def m_step(self, X: np.ndarray, gamma: np.ndarray) -> None:
        """New parameters for the responsibilities (N, K)."""
        n_soft = gamma.sum(axis=0)
        self.pi = n_soft / len(X)
        for k in range(len(self.pi)):
            self.means[k] = gamma[:, k] @ X / n_soft[k]
            difference = X - self.means[k]
            self.covs[k] = (gamma[:, k, None] * difference).T @ difference / n_soft[k] + 1e-6 * np.eye(X.shape[1])


def size(net) -> str:
    """A network's number of parameters, in words."""
    return f"{sum(weights.numel() for weights in net.parameters()) / 1e6:.1f} M"


def original_ae():
    """An autoencoder of the original's shape: 51.6 million parameters, a code of two numbers."""
    from torch import nn

    encoder = nn.Sequential(
        nn.Conv2d(1, 32, 3, padding=1), nn.ReLU(), nn.Conv2d(32, 128, 3, padding=1), nn.ReLU(),
        nn.Flatten(), nn.Linear(128 * 28 * 28, 256), nn.ReLU(), nn.Linear(256, 2),
    )  # fmt: skip
    decoder = nn.Sequential(
        nn.Linear(2, 256), nn.ReLU(), nn.Linear(256, 128 * 28 * 28), nn.ReLU(), nn.Unflatten(1, (128, 28, 28)),
        nn.ConvTranspose2d(128, 32, 3, padding=1), nn.ReLU(), nn.ConvTranspose2d(32, 1, 3, padding=1), nn.Sigmoid(),
    )  # fmt: skip
    return nn.ModuleDict({"encoder": encoder, "decoder": decoder}).eval()


def encode_one_by_one(ae, images: np.ndarray) -> np.ndarray:
    """Codes (N, 2) of uint8 images (N, 1, 28, 28), one image per call, as the original lab encodes its data set."""
    import torch

    with torch.no_grad():
        return np.concatenate([ae["encoder"](torch.from_numpy(image[None]).float() / 255).numpy() for image in images])


class DiffusersSampler:
    """Ancestral sampling with diffusers' own U-Net of 1.7 million parameters and its own scheduler."""

    def __init__(self):
        import torch
        from diffusers import DDPMScheduler, UNet2DModel

        self.embedding = torch.nn.Embedding(10, 4)  # the class enters as four planes
        self.unet = UNet2DModel(
            sample_size=28,
            in_channels=1 + 4,
            out_channels=1,
            layers_per_block=2,
            block_out_channels=(32, 64, 64),
            down_block_types=("DownBlock2D", "AttnDownBlock2D", "AttnDownBlock2D"),
            up_block_types=("AttnUpBlock2D", "AttnUpBlock2D", "UpBlock2D"),
        ).eval()
        self.scheduler = DDPMScheduler(num_train_timesteps=1000, beta_schedule="squaredcos_cap_v2")

    def draw(self, label: int, steps: int = 1000):
        """One image, float32 (1, 1, 28, 28), of the first ``steps`` of 1,000 steps."""
        import torch

        with torch.inference_mode():
            image = torch.randn(1, 1, 28, 28)
            planes = self.embedding(torch.tensor([label]))[:, :, None, None].expand(-1, -1, 28, 28)
            for t in self.scheduler.timesteps[:steps]:
                noise = self.unet(torch.cat([image, planes], dim=1), t).sample
                image = self.scheduler.step(noise, t, image).prev_sample
        return image
