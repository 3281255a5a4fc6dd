"""The eye network in PyTorch.

One convolutional network reads both eyes: the left eye's image is mirrored, so both look like a right eye, and
everything inside is in that canonical frame, where the left eye's yaw and its `right` are negated. Each eye answers
alone. The answer of both eyes is the mean of two views of the same pair, one in each eye's canonical frame, so
mirroring a person mirrors every answer exactly.

A trained network averages that common direction with the mean of the eyes' own. On rendered people this changes little;
on real ones, whose eyes differ from the rendered in ways that the common answer has learnt to rely on, it errs less.
"""

from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from func.adapters.eye_network_opencv import CONTRAST_FLOOR
from gaze_core.eye_images import EYE_IMAGE_HEIGHT_PX, EYE_IMAGE_WIDTH_PX

KERNELS = (5, 3, 3, 3, 3, 3)
STRIDES = (2, 1, 2, 1, 2, 1)
"""Kernel sizes and strides of the convolutions; three strides of 2 leave 6 x 9 positions."""


@dataclass(frozen=True, slots=True)
class Widths:
    """Layer widths of the network.

    Attributes:
        channels: Channels of the convolutions.
        embedding: Length of an eye's embedding.
        one_eye: Hidden units between an eye's embedding and its answer.
        both_eyes: Hidden units between both embeddings and their common answer.
    """

    channels: tuple[int, ...] = (8, 16, 24, 32, 32, 32)
    embedding: int = 64
    one_eye: int = 48
    both_eyes: int = 64


class EyeNetworkModule(nn.Module):
    """The network; `forward` takes normalised images.

    Args:
        widths: Layer widths.
    """

    def __init__(self, widths: Widths) -> None:
        super().__init__()
        self.widths = widths
        blocks: list[Any] = []
        before = 1
        for channels, kernel, stride in zip(widths.channels, KERNELS, STRIDES, strict=True):
            blocks += [
                nn.Conv2d(before, channels, kernel, stride, kernel // 2, bias=False),
                nn.BatchNorm2d(channels),
                nn.ReLU(inplace=True),
            ]
            before = channels
        self.convolutions = nn.Sequential(*blocks)
        positions = (EYE_IMAGE_HEIGHT_PX // 8) * (EYE_IMAGE_WIDTH_PX // 8)
        self.embed = nn.Linear(before * positions, widths.embedding)
        self.one_hidden = nn.Linear(widths.embedding + 2, widths.one_eye)
        self.one_answer = nn.Linear(widths.one_eye, 4)
        self.both_hidden = nn.Linear(2 * widths.embedding + 2, widths.both_eyes)
        self.both_answer = nn.Linear(widths.both_eyes, 4)
        self.register_buffer("canonical_head", torch.tensor([[1.0, -1.0], [1.0, 1.0]]))
        self.register_buffer("canonical_gaze", torch.tensor([[-1.0, 1.0, 1.0, 1.0], [1.0, 1.0, 1.0, 1.0]]))

    def forward(self, images: Tensor, head: Tensor) -> tuple[Tensor, Tensor]:
        """Return the answers of each eye and of both.

        Args:
            images: Normalised eye images, shape (n, 2, 48, 72); see `normalise`.
            head: Pitch and yaw of the head in the virtual camera frame, divided by `HEAD_UNIT_DEG`, shape (n, 2).

        Returns:
            `eyes`, shape (n, 2, 4): for each eye in its canonical frame right and up, divided by `GAZE_UNIT_DEG`, and
            the natural logarithms of their standard deviations on that scale; `both`, shape (n, 4): the same for the
            midpoint between the eyes, in the true frame.
        """
        count = len(images)
        features = self.convolutions(images.reshape(count * 2, 1, EYE_IMAGE_HEIGHT_PX, EYE_IMAGE_WIDTH_PX))
        embeddings = torch.relu(self.embed(features.flatten(1))).reshape(count, 2, -1)
        heads = head[:, None] * self.canonical_head
        one = torch.relu(self.one_hidden(torch.cat([embeddings, heads], dim=2)))
        pair = torch.relu(self.both_hidden(torch.cat([embeddings, embeddings.flip(1), heads], dim=2)))
        eyes, both = self.one_answer(one), (self.both_answer(pair) * self.canonical_gaze).mean(dim=1)
        if not self.training:
            apart = (eyes * self.canonical_gaze).mean(dim=1)
            both = torch.cat([(both[:, :2] + apart[:, :2]) / 2, both[:, 2:]], dim=1)
        return eyes, both


def normalise(images: Tensor) -> Tensor:
    """Return each eye image minus its mean, divided by its standard deviation plus `CONTRAST_FLOOR`.

    Args:
        images: Grey levels 0..255, float32, shape (n, 2, 48, 72).
    """
    flat = images.flatten(2)
    deviation, mean = torch.std_mean(flat, dim=2, correction=0, keepdim=True)
    return flat.sub(mean).div_(deviation + CONTRAST_FLOOR).reshape(images.shape)


def count_parameters(network: EyeNetworkModule) -> int:
    """Return the number of trained parameters."""
    return sum(parameter.numel() for parameter in network.parameters())


def describe_widths(widths: Widths) -> dict[str, Any]:
    """Return the layer widths for the card."""
    return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(widths).items()}
