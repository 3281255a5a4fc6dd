"""Arithmetic of gaze-client.js and the page's modules, run by Node.js."""

import json
import re
import subprocess

import pytest

from gaze_tools.studio.gateway import PAGE
from gaze_tools.studio.kept import START_TIMEOUT_S
from tests.node import find_node


def run(module, expression):
    """Return the value of a JavaScript expression in which `m` is a module of the page."""
    script = (
        f"const m = await import({json.dumps((PAGE / module).as_uri())}); console.log(JSON.stringify({expression}))"
    )
    command = [find_node(), "--no-warnings", "--input-type=module", "-e", script]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout)


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        # attempt, Retry-After in s, random number
        ("m.retryDelayMs(1, null, () => 1)", 250),
        ("m.retryDelayMs(3, null, () => 0.5)", 500),
        ("m.retryDelayMs(20, null, () => 1)", 8000),
        ("m.retryDelayMs(1, null, () => 0)", 125),
        ("m.retryDelayMs(1, 7, () => 0)", 7000),
        ("m.retryDelayMs(9, 7, () => 1)", 8000),
        # A proxy's nonsense neither stops the client for a day nor makes it hammer the server.
        ("m.retryDelayMs(1, 1e9, () => 0)", 60000),
        ("m.retryDelayMs(1, -5, () => 1)", 250),
    ],
)
def test_delays_grow_spread_and_respect_the_server(expression, value):
    assert run("gaze-client.js", expression) == value


def test_what_can_succeed_later_is_repeated():
    statuses = [0, 200, 400, 401, 408, 409, 413, 415, 422, 429, 500, 502, 503, 504]
    found = run("gaze-client.js", f"{statuses}.filter(m.isTemporary)")
    assert found == [0, 408, 429, 500, 502, 503, 504]


def test_a_wide_film_has_bars_above_and_below():
    box = run("gaze-client.js", "m.fitImage({x: 10, y: 20, width: 400, height: 300}, {width: 1600, height: 900})")
    assert box == {"x": 10, "y": 57.5, "width": 400, "height": 225}


def test_the_spread_is_the_median_distance_from_the_median():
    points = "[{x: 0.5, y: 0.5}, {x: 0.5, y: 0.6}, {x: 0.5, y: 0.4}, {x: 0.9, y: 0.5}, {x: 0.5, y: 0.52}]"
    assert run("gaze-client.js", f"m.measureSpread({points})") == pytest.approx(0.1)
    assert run("gaze-client.js", "m.measureSpread([])") is None


class TestQueue:
    SETUP = """(() => {
      const calls = [];
      const answers = %s;
      const connection = {
        note() {},
        async attempt(metadata) {
          calls.push(metadata.frames.map((each) => each.frame_number));
          const { status = 200, entries } = answers[calls.length - 1] ?? {};
          const ok = (frame) => ({ status: "success", frame_number: frame.frame_number });
          const refuse = (index) => ({ status: entries[index], retry_after_s: 0 });
          const answer = (frame, index) => (!entries || entries[index] === 200 ? ok(frame) : refuse(index));
          const frames = metadata.frames.map(answer);
          return { status, body: status === 200 || entries ? { frames } : null, retryAfterS: 0 };
        },
      };
      const queue = new m.FrameQueue(connection, () => ({}), { maxQueue: 6, maxBatch: 4 });
      for (let each = 0; each < %d; each += 1) queue.push(new Blob(), {});
      return queue.flush().then(() => ({ calls, counts: queue.counts }));
    })()"""

    def send(self, answers, frames):
        return run("gaze-client.js", "await " + self.SETUP % (json.dumps(answers), frames))

    def test_every_frame_is_sent_once(self):
        done = self.send([], 5)

        assert done["calls"] == [[1], [2, 3, 4, 5]]
        assert done["counts"] == {"sent": 5, "stored": 5, "dropped": 0, "refused": 0}

    def test_what_does_not_fit_is_dropped_and_counted(self):
        assert self.send([], 8)["counts"] == {"sent": 6, "stored": 6, "dropped": 2, "refused": 0}

    def test_only_frames_that_failed_are_repeated(self):
        done = self.send([{}, {"entries": [200, 503, 422]}], 4)

        assert done["calls"] == [[1], [2, 3, 4], [3]]
        assert done["counts"] == {"sent": 4, "stored": 3, "dropped": 0, "refused": 1}

    def test_a_failed_request_is_repeated_in_smaller_parts(self):
        calls = self.send([{}, {"status": 503}, {"status": 0}], 5)["calls"]

        assert calls == [[1], [2, 3, 4, 5], [2, 3], [2], [3, 4], [5]]

    def test_a_batch_that_is_too_large_is_sent_in_smaller_parts(self):
        assert self.send([{}, {"status": 413}], 5)["calls"] == [[1], [2, 3, 4, 5], [2, 3], [4, 5]]


@pytest.mark.parametrize(
    ("brightness", "answer", "hint"),
    [
        (120, {"validity": "ok", "distance_mm": 550}, "goodDistance"),
        (5, {"validity": "no_face"}, "black"),
        (30, {"validity": "no_face"}, "dark"),
        (120, {"validity": "no_face"}, "noFace"),
        (120, {"validity": "ok", "flags": ["several_faces"], "distance_mm": 550}, "severalFaces"),
        (120, {"validity": "eyes_closed"}, "eyesClosed"),
        (120, {"validity": "low_quality", "flags": ["face_rotated"]}, "rotated"),
        (120, {"validity": "low_quality", "flags": ["eyes_covered"]}, "covered"),
        (120, {"validity": "low_quality", "flags": ["face_cut_off"]}, "cutOff"),
        (120, {"validity": "low_quality", "flags": ["face_too_small"]}, "tooFar"),
        (120, {"validity": "low_quality", "flags": ["a new one"]}, "noContrast"),
        (120, {"validity": "ok", "distance_mm": 299}, "tooClose"),
        (120, {"validity": "ok", "distance_mm": 901}, "tooFar"),
        (120, {"validity": "ok", "distance_mm": 550, "head_pose_deg": {"yaw": -26, "pitch": 0}}, "turned"),
        (39, {"validity": "ok", "distance_mm": 550}, "dark"),
    ],
)
def test_each_trouble_has_a_hint(brightness, answer, hint):
    assert run("step-camera.js", f"m.chooseHint({brightness}, {json.dumps(answer)}).name") == hint


def test_a_measured_distance_gives_the_field_of_view():
    # The estimate of 63° puts the eyes at 370 mm; the ruler says 550 mm.
    assert run("step-camera.js", "m.correctFieldOfView(63, 370, 550)") == pytest.approx(44.8, abs=0.1)
    assert run("step-camera.js", "m.correctFieldOfView(50, 470, 470)") == pytest.approx(50)


def test_an_estimated_distance_is_scaled_to_another_field_of_view():
    # tan(45°) = 1 and tan(63.43°) = 2: twice the height of the image at the same distance.
    assert run("step-camera.js", "m.scaleDistance(500, 90, 126.87)") == pytest.approx(250, abs=0.1)


@pytest.mark.parametrize(
    ("usable", "spread", "is_good"),
    [(12, 0.02, True), (6, 0.12, True), (5, 0.02, False), (12, 0.13, False), (0, None, False)],
)
def test_a_target_without_a_steady_gaze_is_repeated(usable, spread, is_good):
    measured = json.dumps({"frames": 12, "usable": usable, "spread": spread})
    assert run("step-calibration.js", f"m.isGoodTarget({measured})") is is_good


@pytest.mark.parametrize(
    ("score", "interval", "sentence"),
    [
        (60, [45, 75], "above"),
        (20, [10, 28], "below"),
        (33, [20, 46], "near"),
        (45, [25, 65], "unsure"),
        (60, None, "unsure"),
    ],
)
def test_a_score_is_put_into_words(score, interval, sentence):
    result = json.dumps({"final_score": score, "chance_level": 30, "interval_95": interval})
    assert run("step-score.js", f"m.judge({result})") == sentence


def test_types_describe_every_export():
    source, types = ((PAGE / f"gaze-client.{suffix}").read_text(encoding="utf-8") for suffix in ("js", "d.ts"))
    exported = re.findall(r"^export (?:async )?(?:function|class) (\w+)", source, re.MULTILINE)
    declared = re.findall(r"^export (?:function|class) (\w+)", types, re.MULTILINE)
    assert sorted(exported) == sorted(declared)


def test_the_language_that_was_chosen_last_is_shown():
    language = run(
        "i18n.js",
        """await (async () => {
          globalThis.document = { documentElement: {}, querySelectorAll: () => [] };
          const answers = {};
          globalThis.fetch = (url) => new Promise((resolve) => {
            answers[url] = () => resolve({ json: async () => ({ brand: url }) });
          });
          const both = Promise.all([m.useLanguage("en"), m.useLanguage("ko")]);
          // The first one is the last to arrive.
          answers["/static/strings.ko.json"]();
          await new Promise(setImmediate);
          answers["/static/strings.en.json"]();
          await both;
          return [document.documentElement.lang, m.t("brand")];
        })()""",
    )

    assert language == ["ko", "/static/strings.ko.json"]


def test_dates_are_written_as_in_the_browser_s_country():
    found = run(
        "i18n.js",
        """[
      m.findLocale("en", ["ko", "en-GB", "en"]), m.findLocale("ko", ["en-GB"]), m.findLocale("en", ["eng-XX"])
    ]""",
    )

    assert found == ["en-GB", "ko", "en"]


class TestPatience:
    SETUP = """(() => {
      const noted = { delays: [], limits: [], said: [] };
      const usual = setTimeout;
      globalThis.setTimeout = (act, ms) => {
        noted.delays.push(ms);
        return usual(act, 0);
      };
      globalThis.setInterval = (act, ms) => {
        noted.every = ms;
        act();
      };
      AbortSignal.timeout = (ms) => {
        noted.limits.push(ms);
        return new AbortController().signal;
      };
      globalThis.fetch = (url, { method }) => {
        noted.said.push([method, url]);
        return new Promise(() => {});
      };
      return noted;
    })()"""

    def test_a_start_waits_longer_than_the_gateway_and_says_so_after_three_seconds(self):
        noted = run(
            "patience.js",
            f"""await (async () => {{
              const noted = {self.SETUP};
              const [{{ signal }}, trouble] = [new AbortController(), {{ dataset: {{}} }}];
              await m.askPatiently(async () => 7, {{ signal, trouble, key: "k" }});
              return noted;
            }})()""",
        )

        assert (noted["delays"], noted["limits"]) == ([3000], [12000])
        assert noted["limits"][0] > 1000 * START_TIMEOUT_S

    def test_it_repeats_a_start_that_services_could_not_answer_and_no_other(self):
        repeated = run(
            "patience.js",
            f"""await (async () => {{
              {self.SETUP};
              const found = [];
              for (const status of [0, 400, 404, 409, 410, 429, 500, 502, 503, 504]) {{
                const [{{ signal }}, trouble] = [new AbortController(), {{ dataset: {{}} }}];
                let asked = 0;
                const ask = async () => {{
                  asked += 1;
                  if (asked === 1) throw Object.assign(new Error(), {{ status }});
                  found.push(status);
                }};
                await m.askPatiently(ask, {{ signal, trouble, key: "k" }}).catch(() => {{}});
              }}
              return found;
            }})()""",
        )

        assert repeated == [429, 502, 503, 504]

    def test_an_open_page_says_so_three_times_a_minute_and_takes_no_connection_for_ever(self):
        noted = run(
            "patience.js",
            f"""(() => {{
              const noted = {self.SETUP};
              m.stayAlive({{ sessionId: "studio-1" }}, new AbortController().signal);
              return noted;
            }})()""",
        )

        assert (noted["every"], noted["limits"]) == (20000, [12000])
        assert noted["said"] == [["POST", "/api/viewings/studio-1"]]


class TestTurnedDevice:
    SETUP = """{
      screen: { width_mm: 70, height_mm: 150, width_px: 390, height_px: 844 },
      camera: { vertical_fov_deg: 80, offset_x_mm: 0, offset_y_mm: 5 },
    }"""
    UPRIGHT = "{ image: { width: 480, height: 640 }, angle: 0 }"

    def turn(self, now):
        return run("gaze-client.js", f"m.turnSetup({self.SETUP}, {self.UPRIGHT}, {now})")

    def test_what_was_horizontal_is_vertical(self):
        """2 atan(tan(40°) · 3/4)."""
        turned = self.turn("{ image: { width: 640, height: 480 }, angle: 0 }")

        assert turned["camera"]["vertical_fov_deg"] == pytest.approx(64.4)
        assert "screen" not in turned

    def test_the_camera_goes_to_the_side_of_the_screen(self):
        """A quarter to the left: the camera is then 80 mm left of the middle, and 35 mm below the new top edge."""
        turned = self.turn("{ image: { width: 640, height: 480 }, angle: 90 }")

        assert turned["screen"] == {"width_mm": 150, "height_mm": 70, "width_px": 844, "height_px": 390}
        assert (turned["camera"]["offset_x_mm"], turned["camera"]["offset_y_mm"]) == (-80, -35)

    @pytest.mark.parametrize(
        "now",
        [
            "{ image: { width: 480, height: 640 }, angle: 0 }",
            "{ image: { width: 960, height: 1280 }, angle: 360 }",
            "{ image: undefined, angle: 0 }",
        ],
    )
    def test_what_was_not_turned_is_not_described_again(self, now):
        assert self.turn(now) == {}
