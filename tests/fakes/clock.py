"""Clock that only moves when it is advanced or slept on."""


class FakeClock:
    """Starts at 0 s; `sleep` advances it and is recorded in `slept_s`."""

    def __init__(self):
        self.now_s = 0.0
        self.slept_s = []

    def __call__(self):
        return self.now_s

    def advance(self, duration_s):
        self.now_s += duration_s

    def sleep(self, duration_s):
        self.slept_s.append(duration_s)
        self.now_s += duration_s
