"""What goes into the eye network and what comes out.

The units are those of the function's adapter, which runs the network in production.

Inside the network each eye has a canonical frame, that of a right eye: the left eye's image is mirrored, and so are its
yaw and its `right`.
"""

TO_CANONICAL = ((-1.0, 1.0), (1.0, 1.0))
"""Signs of (right, up) for the left and the right eye, from the true frame to the canonical one and back."""

INPUTS = {
    "images": "float32 (1, 2, 48, 72): left eye mirrored, right eye; grey levels minus the image's mean, divided by "
    "its standard deviation + 4",
    "head": "float32 (1, 2): pitch and yaw of the head in the virtual camera frame, degrees / 30",
}
OUTPUTS = {
    "eyes": "float32 (1, 2, 4): for each eye in its canonical frame right and up, degrees / 20, and the natural "
    "logarithms of their standard deviations on that scale; the left eye's right is mirrored",
    "both": "float32 (1, 4): the same for the midpoint between the eyes, true frame",
}
