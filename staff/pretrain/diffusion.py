"""The diffusion model: class-conditional, trained on images and labels."""

from pathlib import Path

import torch
import torch.nn.functional as F

from hi_mnist.data import DataSet
from model import ClassUNet, add_noise, cosine_schedule
from staff.pretrain.loop import Training


def train(mnist: DataSet, args, folder: Path, device) -> ClassUNet:
    """Train the class-conditional diffusion model on the training images and labels.

    While it trains, one label in ten is replaced by the null class. ``args`` has seed, steps, batch and lr.
    """
    images, labels = map(torch.from_numpy, mnist[:2])
    batch = args.batch
    torch.manual_seed(args.seed)
    net = ClassUNet().to(device, memory_format=torch.channels_last)
    schedule = cosine_schedule()
    training = Training(net, "ddpm", args.steps, folder, lr=args.lr, seed=args.seed, ema=0.9995)

    def loss(generator):
        index = torch.randint(len(images), (batch,), generator=generator)
        x0 = images[index].to(device).float() / 127.5 - 1
        keep = torch.rand(batch, generator=generator) >= 0.1
        classes = torch.where(keep, labels[index], net.num_classes).to(device)
        # Stratified steps: every batch covers the whole process, which calms the gradient.
        t = (torch.arange(batch) + torch.rand(batch, generator=generator)) / batch * 1000
        t = t.long().clamp(max=999).to(device)
        noise = torch.randn(x0.shape, generator=generator).to(device)
        noisy, velocity = add_noise(x0, noise, t, schedule)
        return F.mse_loss(net(noisy.contiguous(memory_format=torch.channels_last), t, classes), velocity)

    training.run(loss)
    net.load_state_dict(training.averaged)
    return net.eval()
