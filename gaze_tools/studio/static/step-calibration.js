/** Step 3: calibration on targets in full screen, the error that is left, and the recording of it. */

import { Calibration, locateOnScreen, wait } from "./gaze-client.js";
import { findLocale, setText, t } from "./i18n.js";
import { askPatiently, CalibrationGoneError, reviveCalibration, startPatiently } from "./patience.js";
import { makeRecording } from "./recording.js";

const byId = (id) => document.getElementById(id);
const TARGETS = [[0.5, 0.5], [0.1, 0.1], [0.9, 0.1], [0.1, 0.9], [0.9, 0.9], [0.5, 0.1], [0.5, 0.9], [0.1, 0.5], [0.9, 0.5]];
const VALIDATION = [[0.3, 0.35], [0.7, 0.65]];
const MORE_VALIDATION = [[0.2, 0.6], [0.8, 0.3], [0.5, 0.85], [0.6, 0.15]];
const FRAMES = 12;
/** With fewer, the function does not compare the viewer with the one of the earlier calibration. */
const REFRESH_FRAMES = 24;
const SETTLE_MS = 900;
const ATTEMPTS = 3;
const MIN_USABLE = 0.5;
const MAX_SPREAD = 0.12;
const SVG = "http://www.w3.org/2000/svg";
const USUAL_DISTANCE_MM = 600;
/** Browsers change to full screen and back within a second; some never say that they have. */
const SCREEN_MS = 3000;

/** Whether a target was looked at: enough images with a gaze, which does not wander. */
export function isGoodTarget({ frames, usable, spread }) {
  return usable >= MIN_USABLE * frames && spread !== null && spread <= MAX_SPREAD;
}

/** Forgets a calibration that no longer exists. */
export function forgetCalibration(studio, { sessionId }) {
  if (studio.setup.calibration?.sessionId === sessionId) {
    studio.setup.calibration = null;
    studio.calibrationResult = null;
  }
  if (studio.remembered.calibration?.sessionId === sessionId) studio.remember({ calibration: null });
}

/** What a stage covers: out of reach of the keyboard and of screen readers while the stage is shown. */
const behind = () => document.querySelectorAll("body > header, body > nav, body > main, body > footer");
let opener = null;

/** Shows a stage in full screen. */
export async function enterFullScreen(element) {
  opener = document.activeElement;
  for (const each of behind()) each.inert = true;
  // Not every browser has it, such as Safari on phones; positions are then those in the window.
  const change = Promise.resolve(element.requestFullscreen?.({ navigationUI: "hide" }));
  // It may come when the stage is over.
  change.then(() => element.hidden && document.fullscreenElement === element && document.exitFullscreen()).catch(() => {});
  await settle(change);
}

/** Returns to the page, and the focus to where it was, or to the heading of a step that was reached meanwhile. */
export async function leaveFullScreen() {
  if (document.fullscreenElement) await settle(document.exitFullscreen());
  for (const each of behind()) each.inert = false;
  const isShown = opener?.isConnected && opener.getClientRects().length > 0;
  const next = isShown ? opener : document.querySelector("[data-view]:not([hidden]) h1");
  next?.focus({ preventScroll: true });
  opener = null;
}

/** Waits until a change of the screen succeeded or failed, but not for ever. */
async function settle(change) {
  const enough = new AbortController();
  const tooLate = wait(SCREEN_MS, enough.signal).catch(() => {});
  await Promise.race([Promise.resolve(change).catch(() => {}), tooLate]);
  enough.abort();
}

export function setUpCalibration(studio) {
  const stage = byId("target-stage");
  const target = byId("target");
  let running = null;
  let shown = null;
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

  /** Shows a target until it was looked at, or often enough; returns the images of the last attempt. */
  const measure = async (calibration, position, { use, frames }, signal) => {
    const isFirst = calibration.number === 0;
    for (let attempt = 1; ; attempt += 1) {
      show(position);
      setText(byId("stage-text"), attempt === 1 ? "calibration.get" : "calibration.again");
      byId("stage-text").hidden = attempt === 1 && !isFirst;
      // The sentence takes time to read, and the eyes to come back.
      await wait(attempt === 1 && !isFirst ? SETTLE_MS : 2 * SETTLE_MS, signal);
      byId("stage-text").hidden = true;
      const before = calibration.recorded.length;
      const measured = await calibration.measure(place(position), { use, frames, signal });
      const isGood = isGoodTarget(measured);
      if (isGood || attempt === ATTEMPTS) {
        return { images: calibration.recorded.slice(before), answers: measured.answers, isGood };
      }
    }
  };

  /** Returns the targets to show, each with its use and its number of images. */
  const plan = (count) => {
    if (count === 1) return [[TARGETS[0], { use: "fit", frames: REFRESH_FRAMES }]];
    const isRecorded = byId("record").checked && !studio.isSample;
    const tested = isRecorded ? [...VALIDATION, ...MORE_VALIDATION] : VALIDATION;
    return [
      ...TARGETS.slice(0, count).map((each) => [each, { use: "fit", frames: FRAMES }]),
      ...tested.map((each) => [each, { use: "validate", frames: FRAMES }]),
    ];
  };

  const patience = (signal) => ({ signal, trouble: byId("target-trouble"), key: "calibration.trouble" });

  /** Begins a calibration session, and says while the server does not respond. */
  const open = async (setup, signal) => {
    const session = await startPatiently("calibration", patience(signal));
    const calibration = new Calibration(studio.source, session, setup);
    for (const [kind, isHidden] of [["trouble", false], ["recovery", true]]) {
      calibration.connection.addEventListener(kind, () => {
        byId("target-trouble").hidden = isHidden;
      });
    }
    return calibration;
  };

  const run = async (count, signal) => {
    const base = count === 1 ? studio.remembered.calibration : null;
    if (base) await askPatiently((once) => reviveCalibration(base, once), patience(signal));
    const setup = { ...studio.setup, calibration: base };
    const begin = () => open(setup, signal);
    let calibration = await begin();
    const [targets, images, distances] = [plan(count), [], []];
    let weak = 0;
    for (const [index, [position, options]] of targets.entries()) {
      studio.announce(t("calibration.progress", { number: index + 1, total: targets.length }));
      const measured = await measure(calibration, position, options, signal);
      images.push(...measured.images);
      distances.push(...measured.answers.map((each) => each.distance_mm).filter(Boolean));
      weak += measured.isGood ? 0 : 1;
    }
    target.hidden = true;
    byId("stage-text").hidden = false;
    setText(byId("stage-text"), "calibration.sending");
    if (images.length < calibration.recorded.length) {
      // The session also has the attempts that failed, which belong to no target.
      calibration = await begin();
      await calibration.replay(images, { signal });
    }
    const result = await calibration.finish({ signal });
    const first = { session: calibration.session, result, camera: setup.camera };
    const swapped = result.mirrored?.suspected && !studio.isSample ? await swap(first, setup, images, signal) : null;
    distances.sort((a, b) => a - b);
    const distanceMm = distances[Math.floor(distances.length / 2)] ?? USUAL_DISTANCE_MM;
    return { count, first, swapped, images, distanceMm, weak, total: targets.length };
  };

  /** Calibrates with the same images, left and right swapped; returns null if that is no better. */
  const swap = async (first, setup, images, signal) => {
    const camera = { ...setup.camera, mirrored: !first.result.mirrored.declared };
    const calibration = await open({ ...setup, camera }, signal);
    await calibration.replay(images, { signal });
    const result = await calibration.finish({ signal });
    const isBetter = result.used || 2 * result.generic_accuracy_deg < first.result.generic_accuracy_deg;
    return isBetter ? { session: calibration.session, result, camera } : null;
  };

  const start = async () => {
    const count = Number(document.querySelector('input[name="targets"]:checked').value);
    running = new AbortController();
    studio.hideError();
    stage.hidden = false;
    byId("stage-text").hidden = false;
    setText(byId("stage-text"), "calibration.sending");
    await enterFullScreen(stage);
    byId("stage-stop").focus();
    const giveUp = () => {
      if (!document.fullscreenElement) stop();
    };
    document.addEventListener("fullscreenchange", giveUp);
    let isDone = false;
    try {
      await finish(await run(count, running.signal));
      isDone = true;
    } catch (error) {
      explain(error);
    } finally {
      document.removeEventListener("fullscreenchange", giveUp);
      stage.hidden = true;
      target.hidden = true;
      byId("target-trouble").hidden = true;
      await leaveFullScreen();
    }
    if (isDone) byId("calibration-number").focus();
  };

  const explain = (error) => {
    if (error instanceof CalibrationGoneError) {
      forgetCalibration(studio, studio.remembered.calibration);
      offerRefresh();
      choose(5);
      studio.showError("error.calibrationGone");
    } else if (error?.isSessionLost) {
      studio.showError("error.calibrationLost");
    } else {
      studio.showFailure(error);
    }
  };

  const stop = () => running?.abort(new DOMException("stopped", "AbortError"));

  const finish = async (done) => {
    const isChosen = studio.mirroring?.isChosen && studio.isMirrored === done.first.result.mirrored?.declared;
    // The images are in the recording, or nowhere.
    shown = { ...done, images: byId("record").checked ? done.images : null, before: studio.remembered.calibration };
    await use(Boolean(done.swapped) && !isChosen);
    const [number, ...texts] = ["calibration-number", "calibration-text", "mirrored-text"].map((id) => byId(id).textContent);
    studio.announce([`${number}.`, ...texts].join(" ").trim());
  };

  /** Takes the result with left and right swapped, or the one without. */
  const use = async (isSwapped, { isChosen = false } = {}) => {
    const using = shown;
    const { count, first, swapped, images } = using;
    const { session, result, camera } = isSwapped ? swapped : first;
    Object.assign(shown, { isSwapped, result });
    if (swapped) studio.setup.camera = camera;
    if (isSwapped || isChosen) studio.rememberMirroring({ isMirrored: Boolean(camera.mirrored), isChosen });
    const errorDeg = result.validation?.accuracy_deg ?? result.accuracy_deg;
    studio.setup.calibration = result.used ? session : null;
    studio.calibrationResult = result.used ? { errorDeg } : null;
    if (result.used && count > 1 && !studio.isSample) {
      studio.remember({ calibration: { ...session, camera: studio.cameraId, date: new Date().toISOString() } });
    } else if (isChosen) {
      studio.remember({ calibration: shown.before });
    }
    if (images) {
      const { distanceMm } = studio;
      const recording = await makeRecording(images, { ...studio.setup, distanceMm });
      // The viewer may calibrate again already, or have chosen the other one.
      if (shown !== using || using.isSwapped !== isSwapped) return;
      offerRecording(recording);
    } else {
      offerRecording(null);
    }
    byId("calibration-result").hidden = false;
    byId("calibration-form").hidden = true;
    draw();
  };

  const offerRecording = (recording) => {
    if (recordingUrl) URL.revokeObjectURL(recordingUrl);
    recordingUrl = recording && URL.createObjectURL(recording);
  };

  const draw = () => {
    const { result, count, distanceMm, weak, total } = shown;
    const errors = result.validation ?? result;
    const [number, text] = [byId("calibration-number"), byId("calibration-text")];
    const degrees = (value) => (Number.isFinite(value) ? `${value.toFixed(1)}°` : "–");
    const radiusMm = Math.tan((errors.accuracy_deg * Math.PI) / 180) * distanceMm;
    if (!result.used) {
      setText(number, "calibration.unused");
      setText(text, shown.swapped ? "calibration.unusedMirrored" : "calibration.unusedText");
    } else {
      setText(number, "calibration.done", { degrees: errors.accuracy_deg.toFixed(1) });
      const moved = Math.hypot(...(result.refreshed_by_deg ?? [0, 0])).toFixed(1);
      if (count === 1) setText(text, "calibration.refreshed", { degrees: moved });
      else setText(text, "calibration.text", { mm: Math.round(radiusMm) });
    }
    const entries = count === 1 ? [] : [
      [t("calibration.before"), degrees(errors.generic_accuracy_deg), ""],
      [t("calibration.after"), result.used ? degrees(errors.accuracy_deg) : "–", ""],
      [t("calibration.measured"), t("calibration.dots", { count: errors.dots }), t("calibration.unseen")],
    ];
    byId("calibration-numbers").replaceChildren(...entries.map(makeNumber));
    byId("calibration-numbers").hidden = !entries.length;
    byId("calibration-weak").hidden = weak === 0;
    setText(byId("calibration-weak"), "calibration.weak", { weak, total });
    byId("other-viewer").hidden = !result.other_viewer?.suspected;
    drawMirrored();
    byId("calibration-circle").replaceChildren();
    byId("calibration-circle").toggleAttribute("hidden", !result.used);
    if (result.used) drawCircle(byId("calibration-circle"), studio.setup.screen, radiusMm);
    byId("recording").hidden = !recordingUrl;
    if (recordingUrl) byId("recording-link").href = recordingUrl;
  };

  /** Says that left and right were swapped, or could be. */
  const drawMirrored = () => {
    const { swapped, isSwapped } = shown;
    const [text, button] = [byId("mirrored-text"), byId("mirrored-swap")];
    byId("mirrored").hidden = !swapped;
    byId("mirrored").toggleAttribute("data-done", isSwapped);
    text.textContent = "";
    if (!swapped) return;
    const found = swapped.camera.mirrored ? "mirrored.on" : "mirrored.off";
    setText(text, isSwapped ? found : "mirrored.kept");
    setText(button, isSwapped ? "mirrored.undo" : "mirrored.swap");
  };

  const choose = (count) => {
    document.querySelector(`input[name="targets"][value="${count}"]`).checked = true;
  };

  /** Offers a refresh to a viewer who was here before; a recording needs all targets. */
  const offerRefresh = () => {
    const known = studio.earlierCalibration;
    const [choice, isRecorded] = [byId("refresh-choice"), byId("record").checked];
    choice.hidden = !known;
    choice.querySelector("input").disabled = isRecorded;
    if (isRecorded && choice.querySelector("input").checked) choose(5);
    if (!known) return;
    const date = new Date(known.date).toLocaleDateString(findLocale(document.documentElement.lang), { dateStyle: "medium" });
    setText(choice.querySelector("span"), "calibration.refresh", { date });
  };

  byId("calibrate").addEventListener("click", start);
  byId("stage-stop").addEventListener("click", stop);
  stage.addEventListener("keydown", ({ key }) => {
    if (key === "Escape") stop();
  });
  byId("skip-calibration").addEventListener("click", () => {
    studio.setup.calibration = null;
    studio.calibrationResult = null;
    return studio.go("watch");
  });
  byId("mirrored-swap").addEventListener("click", async () => {
    await use(!shown.isSwapped, { isChosen: true });
    if (!shown) return;
    studio.announce(`${byId("mirrored-text").textContent} ${byId("calibration-number").textContent}`);
  });
  byId("calibrate-again").addEventListener("click", () => studio.go("calibration"));
  byId("calibrate-fully").addEventListener("click", async () => {
    await studio.go("calibration");
    choose(5);
  });
  byId("calibration-done").addEventListener("click", () => studio.go("watch"));
  byId("record").addEventListener("change", offerRefresh);
  return {
    enter() {
      shown = null;
      byId("calibration-result").hidden = true;
      byId("calibration-form").hidden = false;
      offerRefresh();
      choose(byId("refresh-choice").hidden || byId("record").checked ? 5 : 1);
    },
    leave: stop,
    translate() {
      offerRefresh();
      if (shown) draw();
    },
  };
}

/** Returns a number with its name and a note, as one entry of a description list. */
export function makeNumber([name, value, note]) {
  const group = document.createElement("div");
  const [term, detail] = [document.createElement("dt"), document.createElement("dd")];
  [term.textContent, detail.textContent] = [name, value];
  if (note) detail.append(Object.assign(document.createElement("small"), { textContent: note }));
  group.append(term, detail);
  return group;
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
