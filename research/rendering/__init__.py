"""Images of people whose gaze is known exactly, rendered in software.

`identity` samples a person, `sampling` a session and its scenes, `renderer` draws a scene in linear light, and
`photograph` simulates the webcam. Rendering needs scipy and moderngl (the extra `research`) and a software OpenGL
(Debian: libegl1, libgl1-mesa-dri).
"""
