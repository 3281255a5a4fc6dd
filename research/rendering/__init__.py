"""Pictures of people whose gaze is known exactly, rendered in software.

`identity` samples a person, `scene` samples where they sit and look, `renderer` draws the scene in linear light and
`photograph` makes a webcam's picture of it. Only this package, `dataset` and `clip` need scipy, moderngl and
tqdm (the extra `research`), and a software OpenGL (Debian: libegl1, libgl1-mesa-dri).
"""
