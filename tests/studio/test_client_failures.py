"""What gaze-client.js does when the server or the camera fails, run by Node.js on a clock of its own."""

import json
import subprocess

import pytest

from gaze_tools.studio.gateway import PAGE
from tests.node import find_node

STAGE = """
  let now = 0;
  let held = 0;
  const timers = new Set();
  performance.now = () => now;
  globalThis.setTimeout = (run, ms = 0) => {
    const timer = { atMs: now + ms, run };
    timers.add(timer);
    return timer;
  };
  globalThis.clearTimeout = (timer) => timers.delete(timer);
  // When nothing is left to do, time goes on to the next timer.
  const goOn = () => {
    const [next] = [...timers].sort((a, b) => a.atMs - b.atMs);
    if (next && !held) {
      timers.delete(next);
      now = Math.max(now, next.atMs);
      next.run();
    }
    setImmediate(goOn);
  };
  setImmediate(goOn);
  const answerWith = (status, read) => ({ status, ok: status < 300, headers: new Headers(), json: async () => read() });
  const json = (status, body) => answerWith(status, () => body);
  const metadataOf = async ({ body }) => {
    held += 1;
    try {
      return JSON.parse(await body.get("metadata").text());
    } finally {
      held -= 1;
    }
  };
  const storeAll = ({ frames }) => ({
    frames: frames.map(({ frame_number: number }) => ({ status: "success", frame_number: number })),
  });
  /** A connection whose server answers with the results of a function of metadata and number of the request. */
  const connect = (answer) => {
    const sent = [];
    const connection = new m.GazeConnection({
      fetch: async (_url, request) => {
        sent.push(await metadataOf(request));
        return answer(sent.at(-1), sent.length);
      },
    });
    const heard = [];
    for (const kind of ["trouble", "recovery"]) connection.addEventListener(kind, () => heard.push(kind));
    return { connection, sent, heard };
  };
  class Source extends EventTarget {
    isLive = true;
    isStill = false;
    signals = [];
    nextImage(signal) {
      this.signals.push(signal);
      return m.wait(50, signal);
    }
    async capture() {
      return { blob: new Blob(["x"]), timestampMs: now };
    }
  }
  const film = Object.assign(new EventTarget(), {
    paused: false, ended: false, seeking: false, readyState: 4, currentTime: 1, ownerDocument: { hidden: false },
  });
  const setup = { viewport: { x: 0, y: 0, width: 1, height: 1 } };
  const session = { sessionId: "s", videoId: "v" };
  /** Watches until `count` frames were asked for, and returns the viewing. */
  const watch = async (connection, count, source = new Source()) => {
    const viewing = new m.Viewing(source, session, setup, film, { connection });
    viewing.start();
    while (viewing.queue.lastNumber < count) await m.wait(10);
    return viewing;
  };
"""


def run(body):
    """Return what an async function returns in which `m` is gaze-client.js."""
    script = f"const m = await import({json.dumps((PAGE / 'gaze-client.js').as_uri())}); {STAGE}\n"
    script += f"console.log(JSON.stringify(await (async () => {{ {body} }})())); process.exit();"
    command = [find_node(), "--no-warnings", "--input-type=module", "-e", script]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout)


class TestTrouble:
    def test_a_login_page_instead_of_an_answer_is_trouble_until_the_function_answers(self):
        done = run("""
          const page = () => answerWith(200, () => JSON.parse("<!doctype html>"));
          const answer = (_metadata, count) => (count < 3 ? page() : json(200, { ok: true }));
          const { connection, sent, heard } = connect(answer);
          return { body: await connection.post({}, []), requests: sent.length, heard };
        """)

        assert done == {"body": {"ok": True}, "requests": 3, "heard": ["trouble", "recovery"]}

    @pytest.mark.parametrize("status", [429, 503])
    @pytest.mark.parametrize(("seconds", "heard"), [(2.9, []), (3, ["trouble"])])
    def test_a_server_that_stays_busy_for_three_seconds_is_in_trouble(self, status, seconds, heard):
        assert heard == run(f"""
          const {{ connection, heard }} = connect(() => json({status}, {{}}));
          await connection.attempt({{}}, []);
          now += 1000 * {seconds};
          await connection.attempt({{}}, []);
          return heard;
        """)

    @pytest.mark.parametrize(("seconds", "heard"), [(2.9, []), (3.1, ["trouble"])])
    def test_it_is_in_trouble_then_however_long_it_wants_the_client_to_wait(self, seconds, heard):
        assert heard == run(f"""
          const busy = {{ ...json(503, {{}}), headers: new Headers({{ "Retry-After": "30" }}) }};
          const {{ connection, heard }} = connect(() => busy);
          const stop = new AbortController();
          connection.post({{}}, [], {{ signal: stop.signal }}).catch(() => {{}});
          await m.wait(1000 * {seconds});
          stop.abort();
          return heard;
        """)

    def test_what_was_given_up_is_no_trouble(self):
        heard = run("""
          const busy = { ...json(503, {}), headers: new Headers({ "Retry-After": "30" }) };
          const { connection, heard } = connect(() => busy);
          const viewing = await watch(connection, 1);
          await m.wait(1000);
          viewing.abort();
          await m.wait(5000);
          return heard;
        """)

        assert heard == []

    def test_a_success_in_between_ends_a_busy_spell(self):
        heard = run("""
          const { connection, heard } = connect((_metadata, count) => json(count === 2 ? 200 : 503, {}));
          for (let each = 0; each < 3; each += 1) {
            await connection.attempt({}, []);
            now += 2000;
          }
          return heard;
        """)

        assert heard == []

    @pytest.mark.parametrize(("seconds", "heard"), [(7.5, []), (9, ["trouble", "recovery"])])
    def test_frames_without_an_answer_for_eight_seconds_are_trouble(self, seconds, heard):
        assert heard == run(f"""
          const {{ connection, heard }} = connect(async (metadata) => {{
            await m.wait(1000 * {seconds});
            return json(200, storeAll(metadata));
          }});
          const queue = new m.FrameQueue(connection, () => ({{}}));
          queue.push(new Blob(), {{}});
          await queue.flush();
          return heard;
        """)


def test_a_login_page_instead_of_a_session_is_no_answer():
    error = run("""
      globalThis.fetch = async () => answerWith(200, () => JSON.parse("<!doctype html>"));
      return m.startSession("sample").catch(({ name, status }) => [name, status]);
    """)

    assert error == ["GazeRequestError", 0]


class TestEndOfAViewing:
    def test_a_completion_that_failed_can_be_repeated(self):
        done = run("""
          let isUp = true;
          const { connection, sent } = connect((metadata) => {
            if (!isUp) return json(500, { detail: "broken" });
            return json(200, metadata.last_frame ? { result: { final_score: 7 } } : storeAll(metadata));
          });
          const viewing = await watch(connection, 3);
          isUp = false;
          const error = await viewing.complete({ giveUpAfterMs: 5000 }).catch((each) => each);
          const tookMs = now;
          isUp = true;
          const result = await viewing.complete();
          return { error: [error.name, error.status, error.message], tookMs, result, last: sent.at(-1) };
        """)

        assert done["error"] == ["GazeRequestError", 500, "broken"]
        assert 5000 < done["tookMs"] < 25_000
        assert done["result"] == {"final_score": 7}
        assert done["last"]["total_frames"] == done["last"]["frame_number"] - 1

    def test_refused_frames_were_sent_and_count(self):
        last = run("""
          const { connection, sent } = connect((metadata) => {
            if (metadata.last_frame) return json(200, { result: {} });
            const { frames } = storeAll(metadata);
            if (frames[0].frame_number === 1) frames[0] = { status: 422, frame_number: 1 };
            return json(200, { frames });
          });
          const viewing = await watch(connection, 4);
          await viewing.complete();
          return { total: sent.at(-1).total_frames, counts: viewing.queue.counts };
        """)

        assert last["counts"]["refused"] == 1
        assert last["total"] == last["counts"]["stored"] + 1 >= 4

    def test_a_session_that_is_over_is_an_error_and_nothing_more_is_sent(self):
        done = run("""
          const { connection, sent } = connect(() => json(409, { detail: "over" }));
          const viewing = new m.Viewing(new Source(), session, setup, film, { connection });
          const errors = [];
          viewing.addEventListener("error", ({ detail }) => errors.push(detail.error.message));
          viewing.start();
          await m.wait(2000);
          return { errors, requests: sent.length };
        """)

        assert done == {"errors": ["over"], "requests": 1}

    def test_a_pause_waits_for_no_further_image(self):
        pending = run("""
          const { connection } = connect((metadata) => json(200, storeAll(metadata)));
          const source = new Source();
          const viewing = await watch(connection, 2, source);
          await viewing.pause();
          return source.signals.at(-1).aborted;
        """)

        assert pending


class TestCalibration:
    MEASURE = """
      const {{ connection }} = connect((metadata) => json(200, storeAll(metadata)));
      const source = new Source();
      {change};
      const calibration = new m.Calibration(source, session, setup, connection);
      const error = await calibration.measure([0.5, 0.5]).catch((each) => each);
      return [error.name, error.reason, calibration.recorded.length];
    """

    @pytest.mark.parametrize(
        ("change", "reason", "images"),
        [
            ("source.nextImage = () => new Promise(() => {})", "still", 0),
            ("source.nextImage = () => new Promise(() => {}); source.isLive = false", "lost", 0),
            ("source.isStill = true", "still", 0),
            ("source.isLive = false", "lost", 0),
        ],
    )
    def test_a_camera_that_has_stopped_ends_the_measurement(self, change, reason, images):
        assert run(self.MEASURE.format(change=change)) == ["CameraStoppedError", reason, images]

    def test_a_hidden_page_waits_for_its_images(self):
        frames = run("""
          const { connection } = connect((metadata) => json(200, storeAll(metadata)));
          const source = new Source();
          source.nextImage = async (signal) => {
            await m.wait(document.hidden ? 12000 : 50, signal);
            document.hidden = false;
          };
          globalThis.document = { hidden: true };
          const measured = await new m.Calibration(source, session, setup, connection).measure([0.5, 0.5]);
          return measured.frames;
        """)

        assert frames == 12
