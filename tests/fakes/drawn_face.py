"""A face of a few landmarks whose positions, in pixels, a reader can check."""

import numpy as np

# Half of a face, right of the image's middle: eye 30 wide, 20 from the middle; iris 12 across.
HALF = {
    # landmark in the right half of the image: mirrored landmark, offset to the right of the middle, offset below
    # the eye corners
    263: (33, 50.0, 0.0), 362: (133, 20.0, 0.0),
    473: (468, 35.0, -1.0), 474: (471, 41.0, -1.0), 475: (470, 35.0, -7.0), 476: (469, 29.0, -1.0),
    477: (472, 35.0, 5.0),
    387: (160, 40.0, -6.0), 373: (144, 40.0, 3.0), 385: (158, 30.0, -6.0), 380: (153, 30.0, 3.0),
    386: (159, 35.0, -7.0), 374: (145, 35.0, 5.0),
    295: (65, 30.0, -24.0), 282: (52, 40.0, -24.0),
    284: (54, 62.0, -40.0), 297: (67, 35.0, -54.0), 346: (117, 52.0, 17.0), 348: (119, 33.0, 18.0),
    350: (121, 18.0, 12.0), 356: (127, 77.0, 3.0), 358: (129, 18.0, 36.0), 361: (132, 72.0, 55.0),
    365: (136, 50.0, 98.0), 372: (143, 64.0, 4.0), 376: (147, 62.0, 46.0), 420: (198, 12.0, 24.0),
    425: (205, 38.0, 42.0),
}  # fmt: skip
MIDDLE = {4: 31.0, 6: 1.0, 10: -57.0}
CENTRE_PX = np.array([320.0, 240.0])


def make_points(**moved):
    """Return a face in pixels, shape (478, 2), after moving landmarks by `l468=(right, down)` and the like."""
    points = np.zeros((478, 2))
    for landmark, (mirror, right, down) in HALF.items():
        points[landmark], points[mirror] = (right, down), (-right, down)
    for landmark, down in MIDDLE.items():
        points[landmark] = (0.0, down)
    for name, offset in moved.items():
        points[int(name[1:])] += offset
    return points + CENTRE_PX


def mirror(points):
    swapped = points.copy()
    for landmark, (other, *_) in HALF.items():
        swapped[[landmark, other]] = points[[other, landmark]]
    swapped[:, 0] = 640 - swapped[:, 0]
    return swapped
