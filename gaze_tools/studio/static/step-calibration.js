/** Step 3: calibration on targets in full screen, and the recording of it. */

import { Calibration, locateOnScreen, startSession, wait } from "./gaze-client.js";
import { setText, t } from "./i18n.js";
import { makeZip } from "./zip.js";

const byId = (id) => document.getElementById(id);
const TARGETS = [[0.5, 0.5], [0.1, 0.1], [0.9, 0.1], [0.1, 0.9], [0.9, 0.9], [0.5, 0.1], [0.5, 0.9], [0.1, 0.5], [0.9, 0.5]];
const VALIDATION = [[0.3, 0.35], [0.7, 0.65]];
const MORE_VALIDATION = [[0.2, 0.6], [0.8, 0.3], [0.5, 0.85], [0.6, 0.15]];
const FRAMES = 12;
const SETTLE_MS = 900;
const ATTEMPTS = 3;
const MIN_USABLE = 0.5;
const MAX_SPREAD = 0.12;
const SVG = "http://www.w3.org/2000/svg";

/** Whether a target was looked at: enough images with a gaze, which does not wander. */
export function isGoodTarget({ frames, usable, spread }) {
  return usable >= MIN_USABLE * frames && spread !== null && spread <= MAX_SPREAD;
}

export async function enterFullScreen(element) {
  // Not every browser has it, such as Safari on phones; positions are then those in the window.
  await element.requestFullscreen?.({ navigationUI: "hide" }).catch(() => {});
}

export async function leaveFullScreen() {
  if (document.fullscreenElement) await document.exitFullscreen().catch(() => {});
}

export function setUpCalibration(studio) {
  const stage = byId("target-stage");
  const target = byId("target");
  let running = null;
  let recordingUrl = null;

  const show = ([x, y]) => {
    target.hidden = false;
    target.style.setProperty("--x", x);
    target.style.setProperty("--y", y);
    // Restart the animation.
    target.replaceWith(target);
    studio.source.lookAt?.([x, y]);
  };

  /** The target on the screen: the stage is the whole screen only in full screen. */
  const place = ([x, y]) => {
    const { x: left, y: top, width, height } = locateOnScreen(stage);
    const limit = (value) => Math.min(1, Math.max(0, Math.round(value * 1e4) / 1e4));
    return studio.isSample ? [x, y] : [limit(left + x * width), limit(top + y * height)];
  };

  const measure = async (calibration, position, use, signal) => {
    for (let attempt = 1; ; attempt += 1) {
      show(position);
      setText(byId("stage-text"), attempt === 1 ? "calibration.get" : "calibration.again");
      byId("stage-text").hidden = attempt === 1 && calibration.number > 0;
      await wait(attempt === 1 && calibration.number === 0 ? 2 * SETTLE_MS : SETTLE_MS, signal);
      byId("stage-text").hidden = true;
      const measured = await calibration.measure(place(position), { use, frames: FRAMES, signal });
      if (isGoodTarget(measured) || attempt === ATTEMPTS) return measured;
    }
  };

  const run = async (count, signal) => {
    const isRefresh = count === 1;
    const base = studio.remembered.calibration;
    if (isRefresh) await fetch(`/api/calibrations/${encodeURIComponent(base.sessionId)}`, { method: "POST" });
    const session = await startSession("calibration", { signal });
    const setup = { ...studio.setup, calibration: isRefresh ? base : null };
    const calibration = new Calibration(studio.source, session, setup);
    const distances = [];
    const others = byId("record").checked && !studio.isSample ? [...VALIDATION, ...MORE_VALIDATION] : VALIDATION;
    const plan = TARGETS.slice(0, count).map((each) => [each, "fit"]);
    for (const [position, use] of [...plan, ...(isRefresh ? [] : others.map((each) => [each, "validate"]))]) {
      const { answers } = await measure(calibration, position, use, signal);
      distances.push(...answers.map((each) => each.distance_mm).filter(Boolean));
    }
    target.hidden = true;
    byId("stage-text").hidden = false;
    setText(byId("stage-text"), "calibration.sending");
    const result = await calibration.finish({ signal });
    distances.sort((a, b) => a - b);
    return { session, calibration, result, distanceMm: distances[Math.floor(distances.length / 2)] ?? 600 };
  };

  const start = async () => {
    const count = Number(document.querySelector('input[name="targets"]:checked').value);
    running = new AbortController();
    studio.hideError();
    stage.hidden = false;
    byId("stage-text").hidden = false;
    await enterFullScreen(stage);
    byId("stage-stop").focus();
    const giveUp = () => {
      if (!document.fullscreenElement) running.abort(new DOMException("stopped", "AbortError"));
    };
    document.addEventListener("fullscreenchange", giveUp);
    try {
      finish(count, await run(count, running.signal));
    } catch (error) {
      studio.showFailure(error);
    } finally {
      document.removeEventListener("fullscreenchange", giveUp);
      stage.hidden = true;
      target.hidden = true;
      await leaveFullScreen();
    }
  };

  const finish = (count, { session, calibration, result, distanceMm }) => {
    byId("calibration-result").hidden = false;
    byId("calibration-form").hidden = true;
    const [number, text] = [byId("calibration-number"), byId("calibration-text")];
    const errorDeg = result.validation?.accuracy_deg ?? result.accuracy_deg;
    const isUsed = result.used;
    studio.setup.calibration = isUsed ? session : null;
    studio.calibrationResult = isUsed ? { errorDeg } : null;
    const radiusMm = Math.tan(((errorDeg ?? 0) * Math.PI) / 180) * distanceMm;
    byId("calibration-circle").replaceChildren();
    if (!isUsed) {
      setText(number, "calibration.unused");
      setText(text, "calibration.unusedText");
    } else if (count === 1) {
      setText(number, "calibration.done", { degrees: errorDeg.toFixed(1) });
      const moved = Math.hypot(...(result.refreshed_by_deg ?? [0, 0]));
      setText(text, "calibration.refreshed", { degrees: moved.toFixed(1) });
    } else {
      const before = (result.validation?.generic_accuracy_deg ?? result.generic_accuracy_deg).toFixed(1);
      setText(number, "calibration.done", { degrees: errorDeg.toFixed(1) });
      setText(text, "calibration.text", { mm: Math.round(radiusMm), before });
      if (!studio.isSample) studio.remember({ calibration: { ...session, date: new Date().toISOString() } });
    }
    if (isUsed) drawCircle(byId("calibration-circle"), studio.setup.screen, radiusMm);
    offerRecording(calibration);
    byId("calibration-done").focus();
    studio.announce(`${number.textContent}. ${text.textContent}`);
  };

  const offerRecording = async (calibration) => {
    const link = byId("recording-link");
    link.hidden = true;
    if (recordingUrl) URL.revokeObjectURL(recordingUrl);
    recordingUrl = null;
    if (!byId("record").checked) return;
    recordingUrl = URL.createObjectURL(await makeRecording(calibration.recorded, studio.setup));
    link.href = recordingUrl;
    link.download = "recording.zip";
    link.hidden = false;
  };

  byId("calibrate").addEventListener("click", start);
  byId("stage-stop").addEventListener("click", () => running?.abort(new DOMException("stopped", "AbortError")));
  byId("skip-calibration").addEventListener("click", () => {
    studio.setup.calibration = null;
    studio.calibrationResult = null;
    return studio.go("watch");
  });
  byId("calibrate-again").addEventListener("click", () => studio.go("calibration"));
  byId("calibration-done").addEventListener("click", () => studio.go("watch"));
  return {
    enter() {
      byId("calibration-result").hidden = true;
      byId("calibration-form").hidden = false;
      const known = studio.isSample ? null : studio.remembered.calibration;
      const choice = byId("refresh-choice");
      choice.hidden = !known;
      if (known) {
        const date = new Date(known.date).toLocaleDateString(document.documentElement.lang);
        setText(choice.querySelector("span"), "calibration.refresh", { date });
        choice.querySelector("input").checked = true;
      } else {
        document.querySelector('input[name="targets"][value="5"]').checked = true;
      }
    },
    leave() {
      running?.abort(new DOMException("stopped", "AbortError"));
    },
  };
}

/** Returns the images of a calibration as a folder of docs/recordings.md, in a ZIP file. */
export async function makeRecording(recorded, { screen, camera }) {
  const rows = recorded.map(({ target: [x, y], use }, index) => {
    const name = `${String(index + 1).padStart(4, "0")}.jpg`;
    return { name, row: `${name},${x},${y},${use === "fit" ? "calibration" : "test"}` };
  });
  const about = JSON.stringify({ screen, camera }, null, 2);
  const text = (content) => new Blob([`${content}\n`]);
  return makeZip([
    ["recording/recording.json", text(about)],
    ["recording/targets.csv", text(["frame,x,y,phase", ...rows.map(({ row }) => row)].join("\n"))],
    ...recorded.map(({ blob }, index) => [`recording/frames/${rows[index].name}`, blob]),
  ]);
}

/** Draws the average error as a circle on the screen, to scale. */
function drawCircle(svg, screen, radiusMm) {
  const { width_mm: width = 345, height_mm: height = 194 } = screen ?? {};
  const scale = 86 / Math.max(height, width * 0.56);
  const make = (name, values) => {
    const element = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(values)) element.setAttribute(key, value);
    return element;
  };
  const [w, h] = [width * scale, height * scale];
  svg.replaceChildren(
    make("rect", { class: "screen", x: 80 - w / 2, y: 45 - h / 2, width: w, height: h, rx: 2 }),
    make("circle", { class: "circle", cx: 80, cy: 45, r: radiusMm * scale }),
    make("circle", { class: "mark", cx: 80, cy: 45, r: 1.2 }),
  );
  svg.setAttribute("aria-label", t("calibration.circle"));
}
