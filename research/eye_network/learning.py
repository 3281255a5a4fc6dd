"""Training of the eye network; `train` is the command."""

import copy
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import torch

from func.adapters.eye_network_opencv import GAZE_UNIT_DEG
from gaze_core.gaze import visual_angle_deg
from gaze_core.types import Floats
from research.eye_network.augmentation import Augmentation, Batch, augment, make_batch, to_input
from research.eye_network.image_set import OPEN, EyeImageSet
from research.eye_network.loss import total_loss
from research.eye_network.network import EyeNetworkModule, Widths
from research.eye_network.spreads import SpreadCorrection, fit_spread

CHUNK = 512
"""Pairs that are predicted together."""


@dataclass(frozen=True, slots=True)
class TrainingOptions:
    """How the network learns.

    Attributes:
        steps: Number of steps.
        batch: Pairs in a step.
        learning_rate: Largest learning rate of AdamW; it rises linearly, then falls as a cosine.
        weight_decay: Weight decay of AdamW.
        warm_up_steps: Steps until the largest learning rate.
        robust_share: Share of the steps with the robust loss.
        average_decay: Decay of the exponential moving average of the weights, which is what is kept.
        measure_every: Steps between measurements on the selection people.
        augmentation: How the images are varied.
        widths: Layer widths.
    """

    steps: int
    batch: int = 256
    learning_rate: float = 2e-3
    weight_decay: float = 0.02
    warm_up_steps: int = 200
    robust_share: float = 0.15
    average_decay: float = 0.998
    measure_every: int = 250
    augmentation: Augmentation = field(default_factory=Augmentation)
    widths: Widths = field(default_factory=Widths)

    def rate(self, step: int) -> float:
        """Return the learning rate of a step, counted from 0."""
        rising = min(1.0, (step + 1) / self.warm_up_steps)
        return self.learning_rate * rising * 0.5 * (1 + math.cos(math.pi * step / self.steps))

    def describe(self) -> dict[str, Any]:
        """Return the values for the card, without those of the augmentation and the widths."""
        return {name: value for name, value in asdict(self).items() if name not in {"augmentation", "widths"}}


@dataclass(frozen=True, slots=True)
class TrainingPoint:
    """State of the training after some steps.

    Attributes:
        step: Number of steps done.
        loss: Mean loss since the last measurement.
        both_deg: Mean error of both eyes on the selection people, eyes open.
        eye_deg: Mean error of single eyes on the selection people, eyes open.
    """

    step: int
    loss: float
    both_deg: float
    eye_deg: float


@dataclass(frozen=True, slots=True, eq=False)
class Predictions:
    """Answers for n pairs in the units and frames of the network's outputs.

    Attributes:
        eyes: Shape (n, 2, 4).
        both: Shape (n, 4).
    """

    eyes: Floats
    both: Floats


@dataclass(frozen=True, slots=True, eq=False)
class Trained:
    """A trained network.

    Attributes:
        network: The averaged weights, spreads corrected.
        curve: Measurements in order.
        corrections: Correction of the spread by output: eye or both, right or up.
        seconds: Duration.
    """

    network: EyeNetworkModule
    curve: tuple[TrainingPoint, ...]
    corrections: dict[str, SpreadCorrection]
    seconds: float


def train_network(
    training: EyeImageSet,
    selection: EyeImageSet,
    options: TrainingOptions,
    *,
    seed: int,
    report: Callable[[str], None] = print,
) -> Trained:
    """Return a network trained on one set of people, with spreads corrected on another.

    Equal data, options, seed, versions and number of threads give equal weights on the same kind of CPU.

    Args:
        training: Pairs of the training people.
        selection: Pairs of other people, on which the training is watched and the spreads are corrected.
        options: How the network learns.
        seed: Seed of the weights, of the order of the pairs and of the augmentation.
        report: Called with one line per measurement.
    """
    start = time.perf_counter()
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    network = EyeNetworkModule(options.widths).to(memory_format=torch.channels_last)
    averaged = copy.deepcopy(network).eval()
    optimiser = torch.optim.AdamW(network.parameters(), lr=options.learning_rate, weight_decay=options.weight_decay)
    pairs, watched = batch_of(training), batch_of(selection)
    curve: list[TrainingPoint] = []
    losses: list[float] = []
    for step in range(options.steps):
        for group in optimiser.param_groups:
            group["lr"] = options.rate(step)
        batch = augment(
            pairs.at(torch.randint(len(pairs), (options.batch,), generator=generator)), options.augmentation, generator
        )
        eyes, both = network(batch.images, batch.head)
        loss = total_loss(eyes, both, batch.eyes, batch.both, robust=step < options.robust_share * options.steps)
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 5.0)
        optimiser.step()
        losses.append(float(loss.detach()))
        # Early on, a long average would remember the random start.
        _average(averaged, network, min(options.average_decay, (step + 1) / (step + 10)))
        if (step + 1) % options.measure_every == 0 or step + 1 == options.steps:
            curve.append(_measure(averaged, watched, selection, step + 1, float(np.mean(losses))))
            losses.clear()
            elapsed_s = time.perf_counter() - start
            report(
                f"step {step + 1}: loss {curve[-1].loss:.3f}, selection people: both eyes {curve[-1].both_deg:.2f}, "
                f"one eye {curve[-1].eye_deg:.2f} degrees; {(step + 1) * options.batch / elapsed_s:.0f} pairs/s"
            )
    corrections = correct_spreads(averaged, watched, options.augmentation, generator)
    return Trained(averaged, tuple(curve), corrections, time.perf_counter() - start)


def batch_of(images: EyeImageSet) -> Batch:
    """Return all pairs of a set in the network's frames and units, images as grey levels."""
    return make_batch(
        torch.from_numpy(images.images),
        *(torch.from_numpy(values).float() for values in (images.head_deg, images.eyes_deg, images.both_deg)),
    )


def predict(network: EyeNetworkModule, batch: Batch) -> Predictions:
    """Return the answers for a batch with normalised images."""
    network.eval()
    parts = []
    with torch.inference_mode():
        for start in range(0, len(batch), CHUNK):
            part = batch.at(slice(start, start + CHUNK))
            parts.append(network(part.images, part.head))
    eyes, both = (torch.cat(answers).double().numpy() for answers in zip(*parts, strict=True))
    return Predictions(eyes, both)


def correct_spreads(
    network: EyeNetworkModule, batch: Batch, augmentation: Augmentation, generator: torch.Generator
) -> dict[str, SpreadCorrection]:
    """Change a network's spreads to fit its errors on a batch, half of it augmented, and return the corrections.

    Real images are harder than rendered ones and easier than augmented ones.

    Args:
        network: The network; the last layers change.
        batch: Pairs with grey levels, of people that it has not learnt from.
        augmentation: How half of the images are varied.
        generator: Source of randomness.
    """
    is_augmented = torch.arange(len(batch)) % 2 == 0
    parts = [to_input(batch.at(~is_augmented)), augment(batch.at(is_augmented), augmentation, generator)]
    answers = [predict(network, part) for part in parts]
    corrections = {}
    for name, layer in (("eye", network.one_answer), ("both", network.both_answer)):
        if name == "eye":
            found = np.concatenate([answer.eyes.reshape(-1, 4) for answer in answers])
            truth = torch.cat([part.eyes.reshape(-1, 2) for part in parts]).double().numpy()
        else:
            found = np.concatenate([answer.both for answer in answers])
            truth = torch.cat([part.both for part in parts]).double().numpy()
        for axis, label in enumerate(("right", "up")):
            correction = fit_spread(found[:, axis] - truth[:, axis], found[:, 2 + axis])
            with torch.no_grad():
                layer.weight[2 + axis] *= correction.slope
                layer.bias[2 + axis] = layer.bias[2 + axis] * correction.slope + correction.offset
            corrections[f"{name}_{label}"] = correction
    return corrections


def _average(averaged: EyeNetworkModule, network: EyeNetworkModule, decay: float) -> None:
    """Move averaged weights, and running means and variances, towards the current ones."""
    with torch.no_grad():
        for kept, current in zip(averaged.state_dict().values(), network.state_dict().values(), strict=True):
            if kept.dtype.is_floating_point:
                kept.lerp_(current, 1 - decay)


def _measure(network: EyeNetworkModule, batch: Batch, images: EyeImageSet, step: int, loss: float) -> TrainingPoint:
    is_open = images.openness >= OPEN
    found = predict(network, to_input(batch))
    both = mean_error_deg(found.both[is_open, :2], batch.both.numpy()[is_open])
    eye = mean_error_deg(found.eyes[is_open, :, :2], batch.eyes.numpy()[is_open])
    return TrainingPoint(step, loss, both, eye)


def mean_error_deg(answers: Floats, truth: Floats) -> float:
    """Return the mean angle between directions divided by `GAZE_UNIT_DEG`, shape (..., 2)."""
    return float(visual_angle_deg(answers * GAZE_UNIT_DEG, truth.astype(np.float64) * GAZE_UNIT_DEG).mean())
