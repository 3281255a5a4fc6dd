/** The studio's page: which step is shown, what the steps share, and errors in words. */

import { chooseLanguage, readStored, setText, store, t, useLanguage } from "./i18n.js";
import { setUpOverlays } from "./overlays.js";
import { setUpCalibration } from "./step-calibration.js";
import { setUpCamera } from "./step-camera.js";
import { setUpScore } from "./step-score.js";
import { setUpStart } from "./step-start.js";
import { setUpWatch } from "./step-watch.js";

const KEY = "gaze-studio";
const ORDER = ["start", "camera", "calibration", "watch", "score"];

/** What the steps share. */
class Studio {
  constructor() {
    this.source = null;
    this.releases = 0;
    this.isSample = false;
    this.deviceId = undefined;
    this.setup = { screen: undefined, camera: undefined, calibration: null };
    this.calibrationResult = null;
    this.distanceMm = null;
    this.viewing = null;
    this.film = null;
    this.remembered = readRemembered();
    this.steps = {};
    this.overlays = null;
    this.current = null;
  }

  /** Shows a step. */
  async go(name) {
    await this.steps[this.current]?.leave?.();
    this.current = name;
    this.hideError();
    // What a screen reader says first, and what tabs and histories show.
    setText(document.querySelector("title"), `title.${name}`);
    for (const view of document.querySelectorAll("[data-view]")) view.hidden = view.dataset.view !== name;
    for (const note of document.querySelectorAll(".sample")) note.hidden = !this.isSample;
    for (const item of document.querySelectorAll("#steps li")) {
      const place = ORDER.indexOf(item.dataset.step);
      item.toggleAttribute("data-done", place < ORDER.indexOf(name));
      if (item.dataset.step === name) item.setAttribute("aria-current", "step");
      else item.removeAttribute("aria-current");
    }
    this.overlays.draw();
    window.scrollTo(0, 0);
    document.querySelector(`[data-view="${name}"] h1`).focus({ preventScroll: true });
    await this.steps[name].enter?.();
  }

  /** Says what went wrong and what to do. */
  showError(key, values = {}) {
    const alert = document.getElementById("alert");
    setText(alert, key, values);
    alert.hidden = false;
    alert.scrollIntoView({ block: "nearest" });
  }

  showFailure(error) {
    if (error?.text) this.showError(error.text);
    else if (error?.name === "AbortError") this.showError("error.stopped");
    else if (error?.name === "CameraStoppedError") this.showError(`hint.${error.reason}`);
    else if (error instanceof TypeError || error?.status === 0) this.showError("error.server");
    else this.showError("error.other", { detail: error?.message ?? String(error) });
  }

  hideError() {
    document.getElementById("alert").hidden = true;
  }

  announce(text) {
    document.getElementById("announcer").textContent = text;
  }

  /** Remembers values for the next visit. */
  remember(values) {
    this.remembered = { ...readRemembered(this.remembered), ...values };
    store(KEY, JSON.stringify(this.remembered));
  }

  /** What the browser calls this camera, the same at the next visit. */
  get cameraId() {
    return this.source?.deviceId || this.source?.label;
  }

  /** The calibration of an earlier visit; one with another camera, which may mirror its image, cannot be refreshed. */
  get earlierCalibration() {
    const { calibration } = this.remembered;
    const isOther = calibration?.camera && calibration.camera !== this.cameraId;
    return this.isSample || isOther ? null : calibration;
  }

  /** What is known of the mirroring of this camera: `isMirrored`, and `isChosen` if the viewer said so. */
  get mirroring() {
    return this.isSample ? undefined : this.remembered.mirroring?.[this.cameraId];
  }

  /** Whether this camera delivers mirrored images, as some programs do. */
  get isMirrored() {
    return this.mirroring?.isMirrored ?? false;
  }

  rememberMirroring(mirroring) {
    this.remember({ mirroring: { ...this.remembered.mirroring, [this.cameraId]: mirroring } });
  }

  /** Switches the camera off, also one that is still being opened. */
  release() {
    this.releases += 1;
    this.source?.stop();
    this.source = null;
  }

  /** Takes a source that was asked for after release number `turn`; returns whether it is still wanted. */
  take(source, turn) {
    if (turn !== this.releases) {
      source.stop();
      return false;
    }
    this.source = source;
    return true;
  }
}

/** Returns what was remembered, of this page and of others that are open; `known` if nothing is stored. */
function readRemembered(known = {}) {
  try {
    return JSON.parse(readStored(KEY)) ?? known;
  } catch {
    return known;
  }
}

const studio = new Studio();
const language = document.getElementById("language");
language.value = chooseLanguage();
await useLanguage(language.value);
language.addEventListener("change", async () => {
  try {
    await useLanguage(language.value, { remember: true });
  } catch (error) {
    language.value = document.documentElement.lang;
    studio.showFailure(error);
    return;
  }
  // What was announced is over; a screen reader would still find it, in the language of before.
  studio.announce("");
  studio.steps[studio.current]?.translate?.();
  studio.overlays.draw();
});
studio.overlays = setUpOverlays(studio);
Object.assign(studio.steps, {
  start: setUpStart(studio),
  camera: setUpCamera(studio),
  calibration: setUpCalibration(studio),
  watch: setUpWatch(studio),
  score: setUpScore(studio),
});
window.addEventListener("pagehide", () => studio.release());
// The browser may show the page again as it left it, but the camera is off.
window.addEventListener("pageshow", ({ persisted }) => {
  if (persisted) location.reload();
});
window.addEventListener("unhandledrejection", ({ reason }) => studio.showFailure(reason));
await studio.go("start");
studio.announce(t("start.title"));
