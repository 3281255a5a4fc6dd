"""The gateway in this process, with a function that reports what arrives, and maps of the sample film."""

import io
import json

import numpy as np
from flask import Flask, jsonify, request

from gaze_tools.saliency.seed import seed_saliency_maps

SAMPLE_FRAMES = 200
"""Frames of the sample film."""

ENDS_SESSION = 98
"""Number of a frame that this function answers with a result."""


def make_function():
    """Return a function that answers with the metadata and the sizes of the images."""
    app = Flask("function")

    @app.post("/gaze")
    def gaze():
        metadata = json.loads(request.form["metadata"]) if request.form else request.get_json()
        if metadata.get("frame_number") == 99:
            return jsonify(type="/problems/busy", status=503), 503, {"Retry-After": "7", "X-Request-Id": "r1"}
        if metadata.get("frame_number") == ENDS_SESSION:
            return jsonify(session_id=metadata["session_id"], result={"score_invalid_reason": None})
        return jsonify(metadata=metadata, sizes=[len(each.read()) for each in request.files.getlist("frame")])

    return app


def seed_sample(database, frames=SAMPLE_FRAMES):
    """Store maps of the sample film, one for every ten frames; `frames` is its length."""
    maps = dict.fromkeys(range(1, frames + 1, 10), np.arange(6, dtype=np.uint8).reshape(2, 3))
    about = {"fps": 20.0, "width": 3, "height": 2, "how": "test", "held": True, "frame_count": frames}
    seed_saliency_maps(database, "sample", maps, **about)


def post(client, metadata, *images):
    data = {"metadata": json.dumps(metadata), "frame": [(io.BytesIO(image), "frame") for image in images]}
    return client.post("/gaze", data=data)
