"""Saliency maps of the video that the viewers of these tests watch."""

import numpy as np
from pymongo import MongoClient

from gaze_tools.saliency.seed import seed_saliency_maps

VIDEO = "sample"


def seed_maps(mongo_uri, frames):
    """Store the maps: the left half is salient, where some of the images look."""
    saliency_map = np.zeros((18, 32), dtype=np.uint8)
    saliency_map[:, :16] = 255
    maps = dict.fromkeys(range(1, frames + 1), saliency_map)
    with MongoClient(mongo_uri, serverSelectionTimeoutMS=10_000) as client:
        seed_saliency_maps(client["saliency_db"], VIDEO, maps, fps=20.0, width=480, height=270, how="left half")
