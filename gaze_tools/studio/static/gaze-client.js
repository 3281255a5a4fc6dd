/**
 * Client of gaze-function for web pages: camera, frames, calibration, viewing. No dependencies.
 *
 * Copy this file and its types, gaze-client.d.ts. Positions on the screen are shares of its width and height from the
 * top left corner, as in the function's HTTP interface.
 */

const MAX_BATCH = 16;
const MAX_QUEUE = 48;
const FIRST_DELAY_MS = 250;
const MAX_DELAY_MS = 8000;
const MAX_SIDE_PX = 1280;
/** The noise of a camera changes every image, so one that stays the same for this long is frozen. */
const STILL_AFTER_MS = 2000;
const STILL_LOOK_MS = 400;
const STILL_SIZE = [32, 24];
/** A camera that delivers nothing for this long has stopped. */
const NO_IMAGE_MS = 5000;
const OPEN_TIMEOUT_MS = 15000;
/** A server that is busy for longer than this, with not one success, is in trouble. */
const BUSY_MS = 3000;
/** A request for frames without an answer for this long is, too: the queue is about to be full. */
const SLOW_MS = 8000;
const MAX_RETRY_AFTER_S = 60;
const GIVE_UP_AFTER_MS = 120000;

/** A request that the server refused for good, or that could not be repeated any longer. */
export class GazeRequestError extends Error {
  /** @param {string} message @param {number} status @param {object | null} problem */
  constructor(message, status, problem) {
    super(message);
    this.name = "GazeRequestError";
    this.status = status;
    this.problem = problem;
  }

  /** Whether the frames so far are no longer stored, so that the session cannot be finished: start a new one. */
  get isSessionLost() {
    return this.status === 410;
  }
}

/** The camera delivers no new images; `reason` is `lost` if it was unplugged or blocked, `still` if its image is frozen. */
export class CameraStoppedError extends Error {
  /** @param {"lost" | "still"} reason */
  constructor(reason) {
    super(reason === "lost" ? "the camera was disconnected or blocked" : "the camera image is frozen");
    this.name = "CameraStoppedError";
    this.reason = reason;
  }
}

/** Waits; rejects when the signal aborts. */
export function wait(ms, signal) {
  return new Promise((resolve, reject) => {
    const stop = () => {
      clearTimeout(timer);
      reject(signal.reason);
    };
    if (signal?.aborted) {
      reject(signal.reason);
      return;
    }
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", stop);
      resolve();
    }, ms);
    signal?.addEventListener("abort", stop, { once: true });
  });
}

/** Delay before attempt `attempt` (from 1): exponential with full jitter, at least what the server asked for. */
export function retryDelayMs(attempt, retryAfterS, random = Math.random) {
  const limit = Math.min(MAX_DELAY_MS, FIRST_DELAY_MS * 2 ** (attempt - 1));
  const spread = limit * random();
  if (retryAfterS === null) return Math.max(FIRST_DELAY_MS / 2, spread);
  return Math.min(MAX_RETRY_AFTER_S, Math.max(0, retryAfterS)) * 1000 + Math.min(spread, 1000);
}

/** Whether a repetition of the same request can succeed. */
export function isTemporary(status) {
  return status === 0 || status === 408 || status === 429 || status >= 500;
}

/**
 * Sends requests to `/gaze`, and repeats those that can succeed later.
 *
 * Events: `trouble` when the server does not answer or has been busy for three seconds, and `recovery`.
 */
export class GazeConnection extends EventTarget {
  constructor({ url = "/gaze", fetch: send = globalThis.fetch.bind(globalThis), timeoutMs = 30000 } = {}) {
    super();
    this.url = url;
    this.timeoutMs = timeoutMs;
    this.isTroubled = false;
    this._failingSinceMs = null;
    this._busyTimer = undefined;
    this._send = send;
  }

  /**
   * Makes one attempt; returns `{status, body, retryAfterS}` with status 0 if no answer came. A 200 without a JSON object
   * is no answer of the function, but of a proxy or of the login page of a network.
   */
  async attempt(metadata, images, { signal, timeoutMs = this.timeoutMs } = {}) {
    const form = new FormData();
    form.append("metadata", new Blob([JSON.stringify(metadata)], { type: "application/json" }));
    for (const image of images) form.append("frame", image, "frame.jpg");
    const signals = [AbortSignal.timeout(timeoutMs), ...(signal ? [signal] : [])];
    const startedMs = performance.now();
    let answer = { status: 0, body: null, retryAfterS: null };
    try {
      const response = await this._send(this.url, {
        method: "POST",
        body: form,
        signal: AbortSignal.any(signals),
        credentials: "omit",
      });
      const delay = Number.parseFloat(response.headers.get("Retry-After") ?? "");
      const found = await response.json().catch(() => null);
      const body = found !== null && typeof found === "object" ? found : null;
      const status = response.ok && !body ? 0 : response.status;
      answer = { status, body, retryAfterS: Number.isFinite(delay) ? delay : null };
    } catch {
      // No answer came.
    }
    if (signal?.aborted) throw signal.reason;
    this.note(answer, startedMs, signal);
    return answer;
  }

  /** Sends until there is an answer that a repetition would not change. */
  async post(metadata, images, { signal, timeoutMs, giveUpAfterMs = Infinity } = {}) {
    const startedMs = performance.now();
    for (let attempt = 1; ; attempt += 1) {
      const answer = await this.attempt(metadata, images, { signal, timeoutMs });
      if (!isTemporary(answer.status)) {
        if (answer.status === 200) return answer.body;
        throw makeError(answer);
      }
      if (performance.now() - startedMs > giveUpAfterMs) throw makeError(answer);
      await wait(retryDelayMs(attempt, answer.retryAfterS), signal);
    }
  }

  /** Notes what came of a request, begun at `startedMs`. A server that is busy only for a moment is no trouble. */
  note({ status, body }, startedMs, signal) {
    clearTimeout(this._busyTimer);
    const isFailure = isTemporary(status);
    if (!isFailure) this._failingSinceMs = null;
    else this._failingSinceMs ??= startedMs;
    const isBusy = status === 429 || status === 503;
    const leftMs = isFailure && isBusy ? this._failingSinceMs + BUSY_MS - performance.now() : 0;
    // The next attempt may come much later, or never if it was given up.
    const noteAgain = () => signal?.aborted || this.note({ status, body }, startedMs, signal);
    if (leftMs > 0) this._busyTimer = setTimeout(noteAgain, leftMs);
    const isTroubled = isFailure && leftMs <= 0;
    if (isTroubled === this.isTroubled || (isFailure && this.isTroubled)) return;
    this.isTroubled = isTroubled;
    const detail = isTroubled ? { status, problem: body } : {};
    this.dispatchEvent(new CustomEvent(isTroubled ? "trouble" : "recovery", { detail }));
  }
}

/**
 * A camera of the browser as a source of JPEG frames.
 *
 * Events: `lost` when it is unplugged or its permission is withdrawn; `still` when its image does not change any more,
 * and `moving` when it does again.
 */
export class CameraSource extends EventTarget {
  /**
   * Opens a camera. Throws the browser's `NotAllowedError`, `NotFoundError`, `NotReadableError` and the like; the last
   * one also if the camera delivers no image.
   */
  static async open({ deviceId, width = 640, height = 480, frameRate = 30, quality = 0.9 } = {}) {
    const stream = await navigator.mediaDevices.getUserMedia({
      audio: false,
      video: {
        ...(deviceId ? { deviceId: { exact: deviceId } } : { facingMode: "user" }),
        width: { ideal: width },
        height: { ideal: height },
        frameRate: { ideal: frameRate },
      },
    });
    const video = document.createElement("video");
    video.muted = true;
    video.playsInline = true;
    video.srcObject = stream;
    const timeout = new AbortController();
    try {
      const tooLate = wait(OPEN_TIMEOUT_MS, timeout.signal).then(() => {
        throw new DOMException("the camera delivers no image", "NotReadableError");
      });
      await Promise.race([video.play(), tooLate]);
    } catch (error) {
      for (const track of stream.getTracks()) track.stop();
      throw error;
    } finally {
      timeout.abort();
    }
    return new CameraSource(stream, video, quality);
  }

  constructor(stream, video, quality) {
    super();
    this.stream = stream;
    this.video = video;
    this.quality = quality;
    this.maxSide = MAX_SIDE_PX;
    this.isStill = false;
    this._canvas = document.createElement("canvas");
    this._small = document.createElement("canvas");
    [this._small.width, this._small.height] = STILL_SIZE;
    this._seen = null;
    this._changedMs = performance.now();
    this._timer = setInterval(() => this._watchForChange(), STILL_LOOK_MS);
    const [track] = stream.getVideoTracks();
    track.addEventListener("ended", () => this.dispatchEvent(new Event("lost")));
    // Browsers pause a video that is removed from the page, such as a preview.
    video.addEventListener("pause", () => {
      if (this.isLive) video.play().catch(() => {});
    });
  }

  get label() {
    return this.stream.getVideoTracks()[0]?.label ?? "";
  }

  get deviceId() {
    return this.stream.getVideoTracks()[0]?.getSettings().deviceId;
  }

  get isLive() {
    return this.stream.getVideoTracks().some((track) => track.readyState === "live");
  }

  /** Size of the camera's image in pixels; it changes when a phone is turned. */
  get size() {
    return { width: this.video.videoWidth, height: this.video.videoHeight };
  }

  /** Waits for the camera's next image. */
  nextImage(signal) {
    if (!this.video.requestVideoFrameCallback) return wait(1000 / 30, signal);
    if (signal?.aborted) return Promise.reject(signal.reason);
    return new Promise((resolve, reject) => {
      const stop = () => {
        this.video.cancelVideoFrameCallback(handle);
        reject(signal.reason);
      };
      const handle = this.video.requestVideoFrameCallback(() => {
        signal?.removeEventListener("abort", stop);
        resolve();
      });
      signal?.addEventListener("abort", stop, { once: true });
    });
  }

  /**
   * Returns the current image as `{blob, timestampMs, size, brightness, fingerprint}`; `size` is that of the camera. Large
   * images are reduced to `maxSide`.
   */
  async capture() {
    const timestampMs = performance.timeOrigin + performance.now();
    const { width, height } = this.size;
    if (!width) throw new Error("the camera has no image yet");
    const scale = Math.min(1, this.maxSide / Math.max(width, height));
    this._canvas.width = Math.round(width * scale);
    this._canvas.height = Math.round(height * scale);
    const context = this._canvas.getContext("2d", { alpha: false, willReadFrequently: true });
    context.drawImage(this.video, 0, 0, this._canvas.width, this._canvas.height);
    const sampled = sampleImage(context);
    return { blob: await encodeJpeg(this._canvas, this.quality), timestampMs, size: { width, height }, ...sampled };
  }

  stop() {
    clearInterval(this._timer);
    for (const track of this.stream.getTracks()) track.stop();
    this.video.srcObject = null;
  }

  _watchForChange() {
    const nowMs = performance.now();
    // A hidden page gets no images.
    if (document.hidden || !this.isLive || !this.video.videoWidth) {
      this._changedMs = nowMs;
      return;
    }
    const context = this._small.getContext("2d", { alpha: false, willReadFrequently: true });
    context.drawImage(this.video, 0, 0, ...STILL_SIZE);
    const { data } = context.getImageData(0, 0, ...STILL_SIZE);
    if (!this._seen?.every((value, index) => value === data[index])) this._changedMs = nowMs;
    this._seen = data;
    const isStill = nowMs - this._changedMs >= STILL_AFTER_MS;
    if (isStill === this.isStill) return;
    this.isStill = isStill;
    this.dispatchEvent(new Event(isStill ? "still" : "moving"));
  }
}

/** Returns a canvas as a JPEG. */
export function encodeJpeg(canvas, quality) {
  return new Promise((resolve, reject) => {
    canvas.toBlob((blob) => (blob ? resolve(blob) : reject(new Error("no image"))), "image/jpeg", quality);
  });
}

/** Returns the mean brightness of an image, 0 to 255, from a grid of its pixels. */
export function measureBrightness(context) {
  return sampleImage(context).brightness;
}

/** Returns the mean brightness of a grid of pixels, and a number that equal images have in common (FNV-1a). */
function sampleImage(context) {
  const { width, height } = context.canvas;
  let sum = 0;
  let fingerprint = 0x811c9dc5;
  const rows = 8;
  for (let row = 0; row < rows; row += 1) {
    const { data } = context.getImageData(0, Math.floor(((row + 0.5) * height) / rows), width, 1);
    let line = 0;
    for (let at = 0; at < data.length; at += 32) {
      line += (data[at] + data[at + 1] + data[at + 2]) / 3;
      for (let part = at; part < at + 3; part += 1) fingerprint = Math.imul(fingerprint ^ data[part], 0x01000193);
    }
    sum += line / Math.ceil(data.length / 32);
  }
  return { brightness: sum / rows, fingerprint };
}

/**
 * Returns where an element is on the screen, as shares of the screen; with `content`, the size of an image that the
 * element shows as a whole, where that image is.
 *
 * In full screen this is exact. Otherwise the browser does not say where its page begins, so the frame of the window is
 * taken to be equally wide on the left, right and bottom, and everything else to be above the page.
 */
export function locateOnScreen(element, { content = null, view = window } = {}) {
  const box = fitImage(element.getBoundingClientRect(), content);
  const { screen } = view;
  if (view.document.fullscreenElement) {
    const { innerWidth, innerHeight } = view;
    return makeViewport(box.x / innerWidth, box.y / innerHeight, box.width / innerWidth, box.height / innerHeight);
  }
  const scale = findZoom(view);
  const edge = Math.max(0, (view.outerWidth - view.innerWidth * scale) / 2);
  const left = view.mozInnerScreenX ?? view.screenX + edge;
  const top = view.mozInnerScreenY ?? view.screenY + Math.max(0, view.outerHeight - view.innerHeight * scale - edge);
  const x = (left - (screen.availLeft ?? 0) + box.x * scale) / screen.width;
  const y = (top - (screen.availTop ?? 0) + box.y * scale) / screen.height;
  return makeViewport(x, y, (box.width * scale) / screen.width, (box.height * scale) / screen.height);
}

/** Returns the zoom of the page (Ctrl and +), as far as the browser tells: 1.5 if a pixel of the page is 1.5 wide. */
export function findZoom(view = window) {
  const zoom = view.outerWidth / Math.max(1, view.innerWidth);
  // A little more is the frame of the window, not the zoom of the page.
  return zoom > 1.08 || (zoom > 0 && zoom < 0.98) ? zoom : 1;
}

/**
 * Returns screen and camera after a device was turned; an empty object if it was not.
 *
 * The camera's image then has the other shape: what was its horizontal field of view is the vertical one now. The camera
 * itself goes from the top of the screen to its side.
 *
 * `setup` has the screen and camera as measured. `before` and `now` are `{image: {width, height}, angle}`: the size of
 * the camera's image, and the angle of the screen from `screen.orientation.angle`, degrees.
 */
export function turnSetup({ screen, camera }, before, now) {
  const isUpright = ({ width, height }) => height > width;
  const isTurned = now.image?.width && before.image?.width && isUpright(before.image) !== isUpright(now.image);
  const quarters = ((((now.angle - before.angle) / 90) % 4) + 4) % 4;
  let [turnedScreen, turnedCamera] = [screen, camera];
  if (isTurned && camera?.vertical_fov_deg) {
    const half = Math.tan((camera.vertical_fov_deg * Math.PI) / 360) * (before.image.width / before.image.height);
    turnedCamera = { ...camera, vertical_fov_deg: Math.round((Math.atan(half) * 3600) / Math.PI) / 10 };
  }
  for (let each = 0; each < quarters && screen; each += 1) {
    const { width_mm: width, height_mm: height, width_px: columns, height_px: rows } = turnedScreen;
    const { offset_x_mm: right = 0, offset_y_mm: above = 0 } = turnedCamera ?? {};
    turnedScreen = { ...turnedScreen, width_mm: height, height_mm: width };
    if (columns) Object.assign(turnedScreen, { width_px: rows, height_px: columns });
    turnedCamera = { ...turnedCamera, offset_x_mm: -(height / 2 + above), offset_y_mm: right - width / 2 };
  }
  return {
    ...(turnedScreen === screen ? {} : { screen: turnedScreen }),
    ...(turnedCamera === camera ? {} : { camera: turnedCamera }),
  };
}

function makeViewport(x, y, width, height) {
  const limit = (value, low) => Math.min(10, Math.max(low, Math.round(value * 1e5) / 1e5));
  return { x: limit(x, -10), y: limit(y, -10), width: limit(width, 0.001), height: limit(height, 0.001) };
}

/** Returns the box of an image in a box that it fills as far as its shape allows (`object-fit: contain`). */
export function fitImage(box, content) {
  if (!content?.width || !content.height || !box.width || !box.height) return box;
  const scale = Math.min(box.width / content.width, box.height / content.height);
  const [width, height] = [content.width * scale, content.height * scale];
  return { x: box.x + (box.width - width) / 2, y: box.y + (box.height - height) / 2, width, height };
}

/** Follows the position of a film: the time of the image that is on screen now. */
export class FilmClock {
  constructor(video) {
    this.video = video;
    this._mediaTime = null;
    this._handle = null;
    this._stop = new AbortController();
    if (video.requestVideoFrameCallback) {
      const note = (_now, { mediaTime }) => {
        this._mediaTime = mediaTime;
        this._handle = video.requestVideoFrameCallback(note);
      };
      this._handle = video.requestVideoFrameCallback(note);
      const forget = () => {
        this._mediaTime = null;
      };
      video.addEventListener("seeking", forget, { signal: this._stop.signal });
    }
  }

  get isRunning() {
    const { video } = this;
    return !video.paused && !video.ended && !video.seeking && video.readyState >= 3;
  }

  get positionMs() {
    return 1000 * (this._mediaTime ?? this.video.currentTime);
  }

  stop() {
    this._stop.abort();
    if (this._handle !== null) this.video.cancelVideoFrameCallback(this._handle);
  }
}

/**
 * Frames on their way to the server. Sends one request at a time, with all frames that wait, up to a batch: on a slow
 * network requests get fewer and larger. A frame that does not fit into the queue is dropped and counted.
 *
 * Events: `answer` ({frameNumber, answer}), `refused` ({frameNumber, problem}), and `error` ({error}) when the server
 * refuses them all, as after the end of a session. What waits then stays, and `flush` tries it once more.
 */
export class FrameQueue extends EventTarget {
  constructor(connection, makeMetadata, { maxBatch = MAX_BATCH, maxQueue = MAX_QUEUE, signal } = {}) {
    super();
    this.counts = { sent: 0, stored: 0, dropped: 0, refused: 0 };
    this.lastNumber = 0;
    this.roundTripMs = null;
    this._connection = connection;
    this._makeMetadata = makeMetadata;
    this._maxBatch = maxBatch;
    this._maxQueue = maxQueue;
    this._batchLimit = maxBatch;
    this._signal = signal;
    this._waiting = [];
    this._sending = null;
    this._error = null;
    this._patienceMs = Infinity;
    this._patientSinceMs = 0;
  }

  get length() {
    return this._waiting.length;
  }

  get isFull() {
    return this._waiting.length >= this._maxQueue;
  }

  /** Adds a frame `{blob, fields}` and returns its number; null if it was dropped. */
  push(blob, fields) {
    if (this.isFull || this._error) {
      this.counts.dropped += 1;
      return null;
    }
    this.lastNumber += 1;
    this._waiting.push({ number: this.lastNumber, blob, fields });
    this._sending ??= this._run();
    return this.lastNumber;
  }

  /** Waits until every frame is stored or refused; throws if nothing succeeds for `giveUpAfterMs`. */
  async flush({ giveUpAfterMs = Infinity } = {}) {
    [this._patienceMs, this._patientSinceMs] = [giveUpAfterMs, performance.now()];
    if (this._waiting.length) this._sending ??= this._run();
    await this._sending;
    if (this._error) throw this._error;
  }

  async _run() {
    let failures = 0;
    this._error = null;
    try {
      while (this._waiting.length) {
        const batch = this._waiting.slice(0, this._batchLimit);
        const { isDone, delayS, answer } = await this._send(batch);
        if (isDone) {
          failures = 0;
          this._patientSinceMs = performance.now();
          this._batchLimit = Math.min(this._maxBatch, this._batchLimit + 1);
          continue;
        }
        failures += 1;
        if (performance.now() - this._patientSinceMs > this._patienceMs) throw makeError(answer);
        // A busy server may have room for some of them.
        this._batchLimit = Math.max(1, Math.floor(this._batchLimit / 2));
        await wait(retryDelayMs(failures, delayS), this._signal);
      }
    } catch (error) {
      this._error = error;
    } finally {
      this._sending = null;
    }
    if (this._error) this.dispatchEvent(new CustomEvent("error", { detail: { error: this._error } }));
  }

  /** Sends a batch once; returns `isDone`, or the answer and the delay that the server wants (null: any). */
  async _send(batch) {
    const startedMs = performance.now();
    const slow = setTimeout(() => this._connection.note({ status: 0, body: null }, startedMs), SLOW_MS);
    const metadata = {
      ...this._makeMetadata(),
      frames: batch.map(({ number, fields }) => ({ frame_number: number, ...fields })),
    };
    const images = batch.map(({ blob }) => blob);
    const sending = this._connection.attempt(metadata, images, { signal: this._signal });
    const answer = await sending.finally(() => clearTimeout(slow));
    const { status, body, retryAfterS } = answer;
    const answers = body?.frames;
    if (!Array.isArray(answers) || answers.length !== batch.length) {
      // Fewer images may fit.
      const isTooLarge = status === 413 && batch.length > 1;
      if (isTemporary(status) || isTooLarge) return { isDone: false, delayS: retryAfterS, answer };
      throw makeError(answer);
    }
    this.roundTripMs = performance.now() - startedMs;
    const repeated = answers.filter((each) => each.status !== "success" && isTemporary(each.status));
    batch.forEach((frame, index) => this._settle(frame, answers[index]));
    const delayS = Math.max(...repeated.map((each) => each.retry_after_s ?? 0.5));
    return { isDone: !repeated.length, delayS, answer };
  }

  _settle(frame, answer) {
    const isStored = answer.status === "success";
    if (!isStored && isTemporary(answer.status)) return;
    this._waiting.splice(this._waiting.indexOf(frame), 1);
    this.counts.sent += 1;
    if (isStored) {
      this.counts.stored += 1;
      this.dispatchEvent(new CustomEvent("answer", { detail: { frameNumber: frame.number, answer } }));
    } else {
      this.counts.refused += 1;
      this.dispatchEvent(new CustomEvent("refused", { detail: { frameNumber: frame.number, problem: answer } }));
    }
  }
}

function makeError({ status, body }) {
  return new GazeRequestError(body?.detail ?? (status ? `HTTP ${status}` : "no answer"), status, body);
}

/** Asks the gateway for the id of a new viewing; requests with the same `idempotencyKey` start the same one. */
export async function startSession(videoId, { url = "/api/viewings", signal, idempotencyKey } = {}) {
  const response = await fetch(url, {
    method: "POST",
    headers: { "Content-Type": "application/json", ...(idempotencyKey ? { "Idempotency-Key": idempotencyKey } : {}) },
    body: JSON.stringify({ video_id: videoId }),
    signal,
  });
  const body = await response.json().catch(() => null);
  if (!response.ok || !body?.session_id) throw makeError({ status: response.ok ? 0 : response.status, body });
  return { sessionId: body.session_id, videoId: body.video_id, token: body.session_token ?? null };
}

/** What every request of a session says. */
function describeSession(session, setup) {
  const { calibration } = setup;
  return {
    session_id: session.sessionId,
    video_id: session.videoId,
    ...(session.ipAddress ? { ip_address: session.ipAddress } : {}),
    ...(session.token ? { session_token: session.token } : {}),
    ...(setup.screen ? { screen: setup.screen } : {}),
    ...(setup.camera ? { camera: setup.camera } : {}),
    ...(calibration ? { calibration_session: calibration.sessionId } : {}),
    ...(calibration?.token ? { calibration_token: calibration.token } : {}),
  };
}

/** One frame of a session that is only looked at, such as for the check of the viewer's position. */
export class PositionCheck {
  constructor(source, session, setup, connection = new GazeConnection()) {
    Object.assign(this, { source, session, setup, connection, number: 0 });
  }

  /** Returns `{brightness, answer}` for the current image. */
  async look({ signal } = {}) {
    const { blob, brightness } = await this.source.capture();
    this.number += 1;
    const metadata = { ...describeSession(this.session, this.setup), frame_number: this.number };
    const answer = await this.connection.post(metadata, [blob], { signal, giveUpAfterMs: 4000 });
    return { brightness, answer };
  }
}

/** Waits for the next image of a source; throws if it has stopped. A hidden page gets no images. */
async function awaitImage(source, signal) {
  const stop = new AbortController();
  const either = signal ? AbortSignal.any([signal, stop.signal]) : stop.signal;
  try {
    const next = source.nextImage(either).then(() => true);
    while (!(await Promise.race([next, wait(NO_IMAGE_MS, either)]))) {
      if (!globalThis.document?.hidden) throw new CameraStoppedError(source.isLive === false ? "lost" : "still");
    }
  } finally {
    stop.abort();
  }
  if (source.isLive === false) throw new CameraStoppedError("lost");
  if (source.isStill) throw new CameraStoppedError("still");
}

/** A calibration session. With `setup.calibration`, it refreshes that one. */
export class Calibration {
  constructor(source, session, setup, connection = new GazeConnection()) {
    Object.assign(this, { source, session, setup, connection });
    this.recorded = [];
    this._stop = new AbortController();
    this._queue = new FrameQueue(connection, () => describeSession(session, setup), { signal: this._stop.signal });
  }

  /** Number of the frames so far. */
  get number() {
    return this._queue.lastNumber;
  }

  /**
   * Takes frames while the viewer looks at a target, and sends them.
   *
   * Returns `{frames, usable, spread, answers}`: how many were taken, how many have a gaze, and how far their gaze
   * scatters, as a share of the screen's width. Throws `CameraStoppedError` if the camera delivers no new images.
   */
  async measure(target, { use = "fit", frames = 12, onFrame, signal } = {}) {
    const answers = [];
    const collect = ({ detail }) => answers.push(detail.answer);
    const stop = () => this._stop.abort(signal.reason);
    signal?.addEventListener("abort", stop, { once: true });
    this._queue.addEventListener("answer", collect);
    try {
      for (let taken = 0; taken < frames; taken += 1) {
        await awaitImage(this.source, signal);
        const { blob, timestampMs } = await this.source.capture();
        const image = { blob, timestampMs, target, use };
        this._push(image);
        this.recorded.push(image);
        onFrame?.((taken + 1) / frames);
      }
      await this._queue.flush();
    } finally {
      signal?.removeEventListener("abort", stop);
      this._queue.removeEventListener("answer", collect);
    }
    const gazes = answers.filter(({ gaze }) => gaze).map(({ gaze }) => gaze);
    return { frames, usable: gazes.length, spread: measureSpread(gazes), answers };
  }

  /** Sends images of another calibration's `recorded`, such as those of the targets that were looked at. */
  async replay(images, { signal } = {}) {
    const stop = () => this._stop.abort(signal.reason);
    signal?.addEventListener("abort", stop, { once: true });
    try {
      for (const image of images) {
        if (this._queue.isFull) await this._queue.flush();
        this._push(image);
        this.recorded.push(image);
      }
      await this._queue.flush();
    } finally {
      signal?.removeEventListener("abort", stop);
    }
  }

  _push({ blob, timestampMs, target, use }) {
    this._queue.push(blob, { timestamp_ms: timestampMs, calibration_target: target, calibration_use: use });
  }

  /** Ends the calibration; returns the result's `calibration`. */
  async finish({ signal } = {}) {
    const metadata = { ...describeSession(this.session, this.setup), frame_number: this.number + 1, last_frame: true };
    const body = await this.connection.post(metadata, [], { signal, timeoutMs: 120000, giveUpAfterMs: GIVE_UP_AFTER_MS });
    return body.result.calibration;
  }
}

/** Median distance of points from their median. */
export function measureSpread(points) {
  if (!points.length) return null;
  const middle = (values) => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)];
  const centre = { x: middle(points.map(({ x }) => x)), y: middle(points.map(({ y }) => y)) };
  return middle(points.map(({ x, y }) => Math.hypot(x - centre.x, y - centre.y)));
}

/**
 * One viewing of a film: takes frames while the film plays, and sends them.
 *
 * Frames are taken only while the film runs and the page is visible, so a pause or another tab costs nothing. The rate
 * adapts: a frame is taken when the queue is short enough for it.
 *
 * Events: `gaze` ({frameNumber, answer, videoTimeMs, viewport}), `refused`, `trouble`, `recovery`, `stalled`, `error`.
 */
export class Viewing extends EventTarget {
  constructor(source, session, setup, film, { connection, maxRate = 20, element = film } = {}) {
    super();
    Object.assign(this, { source, session, setup, film, element, maxRate });
    this.connection = connection ?? new GazeConnection();
    this.points = [];
    this.repeated = 0;
    this._stop = new AbortController();
    this._pause = new AbortController();
    this._sent = new Map();
    this.queue = new FrameQueue(this.connection, () => describeSession(session, setup), { signal: this._stop.signal });
    this.queue.addEventListener("answer", ({ detail }) => this._note(detail));
    this.queue.addEventListener("refused", ({ detail }) => {
      this._sent.delete(detail.frameNumber);
      this._emit("refused", detail);
    });
    this.queue.addEventListener("error", ({ detail }) => this._fail(detail.error));
    for (const kind of ["trouble", "recovery"]) {
      this.connection.addEventListener(kind, ({ detail }) => this._emit(kind, detail));
    }
  }

  /** Starts to take frames whenever the film runs. */
  start() {
    this._clock = new FilmClock(this.film);
    this._loop = this._run().catch((error) => this._fail(error));
  }

  /** Stops taking frames. */
  async pause() {
    this._pause.abort();
    this._clock?.stop();
    await this._loop;
  }

  /**
   * Sends what waits, ends the session and returns its result. Throws if that does not succeed within `giveUpAfterMs`;
   * it can then be called again, since the session is still there.
   */
  async complete({ giveUpAfterMs = GIVE_UP_AFTER_MS } = {}) {
    await this.pause();
    await this.queue.flush({ giveUpAfterMs });
    const metadata = {
      ...describeSession(this.session, this.setup),
      frame_number: this.queue.lastNumber + 1,
      last_frame: true,
      // Refused ones, too: they are moments without a gaze, which lower the coverage.
      total_frames: this.queue.counts.sent,
    };
    const options = { signal: this._stop.signal, timeoutMs: 300000, giveUpAfterMs };
    const body = await this.connection.post(metadata, [], options);
    return body.result;
  }

  /** Gives the viewing up. */
  abort() {
    this._pause.abort();
    this._clock?.stop();
    this._stop.abort(new DOMException("The viewing was given up.", "AbortError"));
  }

  async _run() {
    const { signal } = this._pause;
    const before = this._describeDevice();
    let nextMs = 0;
    let wasFull = false;
    let coming = null;
    let isNew = false;
    let lastFingerprint = null;
    while (!signal.aborted) {
      coming ??= this.source.nextImage(signal).then(() => {
        coming = null;
        isNew = true;
      });
      await Promise.race([coming, wait(200, signal)]);
      // The last image of a slow camera was sent already.
      if (!isNew) continue;
      isNew = false;
      const isWatching = this._clock.isRunning && !this.film.ownerDocument.hidden;
      // The image of a camera that is gone never changes.
      if (!isWatching || this.source.isLive === false || this.source.isStill) continue;
      if (performance.now() < nextMs) continue;
      if (this.queue.isFull) {
        this.queue.counts.dropped += 1;
        if (!wasFull) this._emit("stalled", {});
        wasFull = true;
        nextMs = performance.now() + 1000 / this.maxRate;
        continue;
      }
      wasFull = false;
      // With half of the queue waiting, half as many frames are taken, and so on.
      const load = this.queue.length / MAX_QUEUE;
      nextMs = performance.now() + 1000 / (this.maxRate * Math.max(0.1, 1 - load));
      const videoTimeMs = this._clock.positionMs;
      const content = { width: this.film.videoWidth, height: this.film.videoHeight };
      const viewport = this.setup.viewport ?? locateOnScreen(this.element, { content });
      const { blob, timestampMs, size, fingerprint } = await this.source.capture();
      if (fingerprint !== undefined && fingerprint === lastFingerprint) {
        // A camera that delivers the same image again says nothing about this moment.
        this.repeated += 1;
        continue;
      }
      lastFingerprint = fingerprint;
      const turned = turnSetup(this.setup, before, this._describeDevice(size));
      const fields = { timestamp_ms: timestampMs, video_time_ms: videoTimeMs, viewport, ...turned };
      const number = this.queue.push(blob, fields);
      if (number !== null) this._sent.set(number, { videoTimeMs, viewport });
    }
  }

  /** Says that no more frames can be taken, unless that was wanted. */
  _fail(error) {
    const isWanted = this._pause.signal.aborted;
    this._pause.abort();
    this._clock?.stop();
    if (!isWanted) this._emit("error", { error });
  }

  _describeDevice(image = this.source.size) {
    return { image, angle: globalThis.screen?.orientation?.angle ?? 0 };
  }

  _note({ frameNumber, answer }) {
    const { videoTimeMs, viewport } = this._sent.get(frameNumber);
    this._sent.delete(frameNumber);
    const { gaze, validity, flags = [] } = answer;
    const point = { frameNumber, videoTimeMs, viewport, gaze, validity, flags };
    this.points.push(point);
    this._emit("gaze", { ...point, answer });
  }

  _emit(kind, detail) {
    this.dispatchEvent(new CustomEvent(kind, { detail }));
  }
}
