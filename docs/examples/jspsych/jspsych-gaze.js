/**
 * Gaze for jsPsych 8: an extension for any trial with a video, and two plugins that prepare it.
 *
 * GazeExtension: takes frames while the trial's video plays; adds gaze and score to the trial's data.
 * GazeCameraPlugin: opens the camera and waits until the viewer sits well.
 * GazeCalibrationPlugin: shows calibration targets; the trials after it are calibrated.
 */

import { Calibration, CameraSource, locateOnScreen, PositionCheck, startSession, Viewing, wait } from "./gaze-client.js";

const { ParameterType } = globalThis.jsPsychModule;
const version = "0.2.0";
const SETTLE_MS = 900;
const ATTEMPTS = 3;
const MAX_SPREAD = 0.12;
const DARK = 40;
const PATIENCE_MS = 30000;

/**
 * Parameters of initialization:
 *   `setup`: the viewer's `screen` and `camera` as in the HTTP interface;
 *   `patience_ms`: how long the film waits for the server before it goes on without gaze.
 */
export class GazeExtension {
  static info = {
    name: "gaze",
    version,
    data: {
      /** Session id of the viewing. */
      gaze_session: { type: ParameterType.STRING },
      /** One entry a frame: video_time_ms, x and y as shares of the screen (null without a gaze), validity. */
      gaze: { type: ParameterType.COMPLEX, array: true },
      /** How many frames were sent, stored, dropped and refused. */
      gaze_frames: { type: ParameterType.OBJECT },
      /** Percentage of frames whose gaze hits a salient place; null if the score is not valid. */
      gaze_score: { type: ParameterType.FLOAT },
      /** Expected score of a random gaze. */
      gaze_chance: { type: ParameterType.FLOAT },
      /** 95 % confidence interval of the score. */
      gaze_interval_95: { type: ParameterType.FLOAT, array: true },
      /** Share of the frames that could be scored. */
      gaze_coverage: { type: ParameterType.FLOAT },
      /** Why there is no score; null if there is one. */
      gaze_problem: { type: ParameterType.STRING },
    },
  };

  constructor(jsPsych) {
    this.jsPsych = jsPsych;
    this.source = null;
    this.setup = {};
    this.patienceMs = PATIENCE_MS;
    this._problem = null;
  }

  async initialize({ setup = {}, patience_ms: patienceMs = PATIENCE_MS } = {}) {
    this.setup = { ...setup };
    this.patienceMs = patienceMs;
  }

  on_start() {}

  /** Parameters of a trial: `video_id`, which selects the saliency maps. */
  on_load({ video_id: videoId }) {
    this._problem = null;
    const film = this.jsPsych.getDisplayElement().querySelector("video");
    this._starting = this._begin(videoId, film);
    // Without a session the film plays all the same: the experiment goes on.
    this._starting.catch(() => film.play());
  }

  async _begin(videoId, film) {
    const viewing = new Viewing(this.source, await startSession(videoId), this.setup, film);
    // The film waits for the server, but not forever.
    let giveUp;
    const resume = () => {
      clearTimeout(giveUp);
      if (film.isConnected && film.paused && !film.ended) film.play();
    };
    viewing.addEventListener("trouble", () => {
      film.pause();
      giveUp = setTimeout(() => {
        this._problem = "The server did not answer.";
        viewing.abort();
        resume();
      }, this.patienceMs);
    });
    viewing.addEventListener("recovery", resume);
    viewing.start();
    await film.play();
    return viewing;
  }

  async on_finish() {
    let viewing = null;
    try {
      viewing = await this._starting;
      const result = await viewing.complete();
      return {
        gaze_session: viewing.session.sessionId,
        gaze: listGaze(viewing),
        gaze_frames: viewing.queue.counts,
        gaze_score: result.score_valid ? result.final_score : null,
        gaze_chance: result.chance_level,
        gaze_interval_95: result.interval_95,
        gaze_coverage: result.coverage,
        gaze_problem: result.score_invalid_reason,
      };
    } catch (error) {
      // The experiment goes on, and its data says what is missing.
      return {
        gaze_session: viewing?.session.sessionId ?? null,
        gaze: viewing ? listGaze(viewing) : [],
        gaze_score: null,
        gaze_problem: this._problem ?? error.message,
      };
    }
  }
}

function listGaze({ points }) {
  return points.map(({ videoTimeMs, gaze, validity }) => ({
    video_time_ms: videoTimeMs,
    x: gaze?.x ?? null,
    y: gaze?.y ?? null,
    validity,
  }));
}

/** Opens the camera, shows it to the viewer, and offers to continue once both eyes are seen. */
export class GazeCameraPlugin {
  static info = {
    name: "gaze-camera",
    version,
    parameters: {
      /** Label of the button. */
      button: { type: ParameterType.STRING, default: "Continue" },
    },
    data: {
      /** Name of the camera; null if it cannot be used. */
      camera: { type: ParameterType.STRING },
      /** The distance of the eyes from the camera. */
      distance_mm: { type: ParameterType.FLOAT },
      /** Why it cannot be used, such as NotAllowedError; null if it can. */
      problem: { type: ParameterType.STRING },
    },
  };

  constructor(jsPsych) {
    this.jsPsych = jsPsych;
  }

  async trial(display, { button: label }) {
    const { gaze } = this.jsPsych.extensions;
    const hint = Object.assign(document.createElement("p"), { textContent: "Please allow the camera." });
    const button = Object.assign(document.createElement("button"), { className: "jspsych-btn", textContent: label });
    hint.setAttribute("role", "status");
    button.disabled = true;
    display.replaceChildren(hint, button);
    let check;
    try {
      gaze.source = await CameraSource.open();
      check = new PositionCheck(gaze.source, await startSession("check"), gaze.setup);
    } catch (error) {
      gaze.source?.stop();
      // The names of the browser's errors say what is wrong, such as NotAllowedError; of other errors, the text does.
      const problem = error instanceof DOMException ? error.name : `server: ${error.message}`;
      this.jsPsych.finishTrial({ camera: null, distance_mm: null, problem });
      return;
    }
    gaze.source.video.className = "gaze-preview";
    display.prepend(gaze.source.video);
    hint.textContent = "One moment …";
    let distanceMm = null;
    let isDone = false;
    button.addEventListener("click", () => {
      isDone = true;
    });
    while (!isDone) {
      const seen = await check.look().catch(() => null);
      button.disabled = seen?.answer.validity !== "ok";
      hint.textContent = seen ? describe(seen.brightness, seen.answer) : "The server does not answer. Trying again …";
      distanceMm = seen?.answer.distance_mm ?? distanceMm;
      await wait(300);
    }
    this.jsPsych.finishTrial({ camera: gaze.source.label, distance_mm: distanceMm, problem: null });
  }
}

/** Says in words what the camera sees. */
export function describe(brightness, { validity }) {
  if (validity === "ok") return "We see you well.";
  if (brightness < DARK) return "It is too dark: turn on a light in front of you.";
  return validity === "no_face" ? "We do not see your face." : "We do not see your eyes well.";
}

/** Shows calibration targets one after another; use it in full screen. */
export class GazeCalibrationPlugin {
  static info = {
    name: "gaze-calibration",
    version,
    parameters: {
      /** Targets as shares of the window, from the top left. */
      targets: {
        type: ParameterType.COMPLEX,
        array: true,
        default: [[0.5, 0.5], [0.1, 0.1], [0.9, 0.1], [0.1, 0.9], [0.9, 0.9]],
      },
      /** Targets that only measure how good the calibration is. */
      validation: { type: ParameterType.COMPLEX, array: true, default: [[0.3, 0.35], [0.7, 0.65]] },
    },
    data: {
      /** Whether later gaze is corrected. */
      used: { type: ParameterType.BOOL },
      /** Why not; null if it is. */
      reason: { type: ParameterType.STRING },
      /** Mean angular error in degrees on the validation targets. */
      accuracy_deg: { type: ParameterType.FLOAT },
      /** Session id of the calibration. */
      gaze_session: { type: ParameterType.STRING },
    },
  };

  constructor(jsPsych) {
    this.jsPsych = jsPsych;
  }

  async trial(display, { targets, validation }) {
    const { gaze } = this.jsPsych.extensions;
    const stage = Object.assign(document.createElement("div"), { className: "gaze-stage" });
    const dot = Object.assign(document.createElement("div"), { className: "gaze-target" });
    stage.append(dot);
    display.replaceChildren(stage);
    try {
      this.jsPsych.finishTrial(await this._calibrate(gaze, stage, dot, targets, validation));
    } catch (error) {
      this.jsPsych.finishTrial({ used: false, reason: error.message, accuracy_deg: null, gaze_session: null });
    }
  }

  async _calibrate(gaze, stage, dot, targets, validation) {
    const session = await startSession("calibration");
    const calibration = new Calibration(gaze.source, session, gaze.setup);
    for (const target of targets) await measure(calibration, stage, dot, target, "fit");
    for (const target of validation) await measure(calibration, stage, dot, target, "validate");
    const { used, reason, validation: checked, ...all } = await calibration.finish();
    if (used) gaze.setup.calibration = session;
    const accuracyDeg = checked?.accuracy_deg ?? all.accuracy_deg;
    return { used, reason, accuracy_deg: accuracyDeg, gaze_session: session.sessionId };
  }
}

async function measure(calibration, stage, dot, [x, y], use) {
  [dot.style.left, dot.style.top] = [`${100 * x}%`, `${100 * y}%`];
  for (let attempt = 1; attempt <= ATTEMPTS; attempt += 1) {
    await wait(SETTLE_MS); // the eyes need time to arrive
    const box = locateOnScreen(stage); // targets are positions on the screen, not in the window
    const onScreen = [box.x + x * box.width, box.y + y * box.height].map((share) => Math.min(1, Math.max(0, share)));
    const { frames, usable, spread } = await calibration.measure(onScreen, { use });
    if (usable >= frames / 2 && spread < MAX_SPREAD) return;
  }
}
