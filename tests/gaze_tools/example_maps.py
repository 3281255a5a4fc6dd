"""Saliency maps to import."""

import numpy as np

MAPS = np.random.default_rng(0).integers(0, 256, (6, 18, 32), dtype=np.uint8)
