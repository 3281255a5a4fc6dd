/** Step 4: choose a film and watch it. */

import { setUpFilmList } from "./film-list.js";
import { locateOnScreen, Viewing, wait } from "./gaze-client.js";
import { setText, t } from "./i18n.js";
import { askPatiently, CalibrationGoneError, reviveCalibration, startPatiently, stayAlive } from "./patience.js";
import { enterFullScreen, forgetCalibration, leaveFullScreen } from "./step-calibration.js";

const byId = (id) => document.getElementById(id);
const LOOK_MS = 200;
const COUNTDOWN_S = 3;
const SMOOTHING = 0.4;

export function setUpWatch(studio) {
  const list = setUpFilmList(studio);
  const stage = byId("film-stage");
  const film = byId("film");
  let polling = null;

  byId("watch").addEventListener("click", async () => {
    studio.hideError();
    try {
      await watch();
    } catch (error) {
      await explain(error);
    } finally {
      film.pause();
      stage.hidden = true;
      await leaveFullScreen();
    }
  });

  const explain = async (error) => {
    if (error instanceof CalibrationGoneError) return calibrateAnew("error.calibrationGone");
    if (error?.isSessionLost) return explainLoss();
    if (error?.problem?.type?.endsWith("/no-maps")) studio.showError("watch.noMaps");
    else studio.showFailure(error);
    if ([404, 409].includes(error?.status)) await list.read().catch(() => {});
  };

  /** Says what else a restart of the studio has lost, and where to begin again. */
  const explainLoss = async () => {
    const watched = list.chosen?.film_id;
    const { calibration } = studio.setup;
    try {
      await list.read();
      if (calibration) await reviveCalibration(calibration);
    } catch (error) {
      if (error instanceof CalibrationGoneError) return calibrateAnew("error.allLost");
    }
    studio.showError(list.has(watched) ? "error.viewingLost" : "error.filmLost");
  };

  const calibrateAnew = async (reason) => {
    forgetCalibration(studio, studio.setup.calibration);
    await studio.go("calibration");
    studio.showError(reason);
  };

  /** Whether the window is still on the screen that was measured; a phone may have been turned. */
  const isOnMeasuredScreen = () => {
    const { width_px: width, height_px: height } = studio.setup.screen ?? {};
    if (studio.isSample || !width) return true;
    const known = [width, height].sort((a, b) => a - b);
    const now = [Math.round(screen.width), Math.round(screen.height)].sort((a, b) => a - b);
    return known.every((each, index) => each === now[index]);
  };

  const watch = async () => {
    if (!isOnMeasuredScreen()) {
      await studio.go("camera");
      studio.showError("error.otherScreen");
      return;
    }
    if (!studio.isSample && studio.source?.isLive === false) {
      await studio.go("camera");
      return;
    }
    const controls = makeControls();
    try {
      await show(controls);
    } finally {
      controls.release();
      studio.source?.rest?.();
    }
    await studio.go("score");
  };

  /** Shows the film until its end; gives the viewing up if that fails. */
  const show = async ({ signal, over, begin: allow, stop, finished }) => {
    const [text, trouble] = [byId("film-text"), byId("film-trouble")];
    // Another film is chosen if somebody removes this one meanwhile.
    const about = { ...list.chosen };
    // Not the last image of an earlier film, while this one waits.
    film.removeAttribute("src");
    film.load();
    stage.hidden = false;
    trouble.hidden = true;
    text.textContent = "";
    await enterFullScreen(stage);
    byId("film-stop").focus();
    const { calibration } = studio.setup;
    const patience = { signal, trouble, key: "watch.waiting" };
    if (calibration) await askPatiently((once) => reviveCalibration(calibration, once), patience);
    const session = await startPatiently(about.film_id, patience);
    stayAlive(session, over);
    film.src = `/api/films/${about.film_id}/video`;
    let holdAtBreak = () => false;
    const ended = waitForEnd(film, finished, { signal, over, isHeldAtBreak: () => holdAtBreak() });
    ended.catch(() => {});
    await studio.source.watch?.(film, signal);
    for (let left = COUNTDOWN_S; left > 0; left -= 1) {
      await awaitVisible(signal);
      text.textContent = t("watch.starts", { seconds: left });
      await wait(studio.isSample ? 300 : 1000, signal);
    }
    await awaitVisible(signal);
    text.textContent = "";
    const viewing = new Viewing(studio.source, session, studio.setup, film);
    studio.viewing = viewing;
    studio.film = about;
    holdAtBreak = () => {
      if (!viewing.points.length) return false;
      hold("watch.broken");
      return true;
    };
    let isHeld = false;
    const hold = (key) => {
      isHeld ||= !film.paused;
      film.pause();
      setText(trouble, key);
      trouble.hidden = false;
    };
    /** The name of what keeps the film from being measured; null if nothing does. */
    const findObstacle = () => {
      if (studio.source.isLive === false) return "watch.lost";
      if (studio.source.isStill) return "watch.still";
      return viewing.connection.isTroubled ? "watch.trouble" : null;
    };
    const release = () => {
      if (findObstacle()) return;
      trouble.hidden = true;
      if (document.hidden) return; // it resumes when the viewer is back
      if (isHeld && !film.error) film.play().catch(() => {});
      isHeld = false;
    };
    const reactions = [
      [viewing, "trouble", () => hold("watch.trouble")],
      [viewing, "recovery", release],
      [viewing, "error", ({ detail }) => stop(detail.error)],
      [studio.source, "lost", () => hold("watch.lost")],
      [studio.source, "still", () => hold("watch.still")],
      [studio.source, "moving", release],
      [film, "playing", () => {
        const obstacle = findObstacle();
        if (obstacle) return hold(obstacle);
        isHeld = false;
        trouble.hidden = true;
      }],
      [document, "visibilitychange", () => {
        if (document.hidden) film.pause();
        else if (isHeld && !film.error) release();
      }],
    ];
    for (const [from, kind, react] of reactions) from.addEventListener(kind, react, { signal: over });
    const begin = async () => {
      const obstacle = findObstacle();
      if (obstacle) {
        hold(obstacle);
        isHeld = true;
        return;
      }
      try {
        await film.play();
      } catch (error) {
        // Some browsers want a click right before; others were paused again at once.
        if (film.error || !["NotAllowedError", "AbortError"].includes(error.name)) throw error;
        if (error.name === "AbortError") return;
        hold("watch.press");
        byId("film-pause").focus();
      }
    };
    const overlay = byId("show-gaze").checked ? makeOverlay(byId("overlay"), stage) : null;
    if (overlay) viewing.addEventListener("gaze", ({ detail }) => overlay(detail.gaze));
    try {
      viewing.start();
      allow();
      // Not awaited: a film that loads slowly can be stopped.
      begin().catch(stop);
      await ended;
      await viewing.pause();
    } catch (error) {
      viewing.abort();
      throw error;
    } finally {
      overlay?.(null);
    }
  };

  /** The buttons over the film, of use once it begins; `finished` resolves when the viewer has seen enough. */
  const makeControls = () => {
    const [stopped, over] = [new AbortController(), new AbortController()];
    const [pause, end] = [byId("film-pause"), byId("film-finish")];
    let finish = () => {};
    const finished = new Promise((resolve) => {
      finish = resolve;
    });
    const label = () => setText(pause, film.paused ? "watch.resume" : "watch.pause");
    const toggle = () => (film.paused ? film.play().catch(() => {}) : film.pause());
    const stop = (error) => stopped.abort(error);
    const abort = () => stop(new DOMException("stopped", "AbortError"));
    const parts = [
      [pause, "click", toggle],
      [end, "click", finish],
      [byId("film-stop"), "click", abort],
      [stage, "keydown", ({ key }) => key === "Escape" && abort()],
      [film, "play", label],
      [film, "pause", label],
    ];
    for (const [element, kind, react] of parts) element.addEventListener(kind, react, { signal: over.signal });
    for (const button of [pause, end]) button.disabled = true;
    const begin = () => {
      for (const button of [pause, end]) button.disabled = false;
      if (document.activeElement === byId("film-stop")) pause.focus();
    };
    return { signal: stopped.signal, over: over.signal, begin, stop, finished, release: () => over.abort() };
  };

  return {
    async enter() {
      polling = new AbortController();
      if (studio.isSample) list.choose("sample");
      list.poll(polling.signal);
    },
    leave() {
      polling?.abort();
    },
    translate: list.draw,
  };
}

/**
 * Resolves at the end of the film or when the viewer finishes it; rejects if it cannot be played, unless
 * `isHeldAtBreak` says that the viewer was asked to finish with what they have seen.
 */
function waitForEnd(film, finished, { signal, over, isHeldAtBreak }) {
  return new Promise((resolve, reject) => {
    film.addEventListener("ended", resolve, { once: true, signal: over });
    const fail = () => isHeldAtBreak() || reject(Object.assign(new Error("not playable"), { text: "watch.unplayable" }));
    film.addEventListener("error", fail, { once: true, signal: over });
    finished.then(resolve);
    signal.addEventListener("abort", () => reject(signal.reason), { once: true });
  });
}

/** Waits until the page is shown: a film that begins in a hidden tab has nobody who watches it. */
async function awaitVisible(signal) {
  while (document.hidden) await wait(LOOK_MS, signal);
}

/** Returns a function that draws the point of gaze over the film, smoothed; null clears it. */
function makeOverlay(canvas, stage) {
  const context = canvas.getContext("2d");
  let smooth = null;
  return (gaze) => {
    [canvas.width, canvas.height] = [stage.clientWidth, stage.clientHeight];
    if (!gaze) {
      smooth = null;
      return;
    }
    smooth ??= { x: gaze.x, y: gaze.y };
    smooth.x += SMOOTHING * (gaze.x - smooth.x);
    smooth.y += SMOOTHING * (gaze.y - smooth.y);
    const { x, y, width, height } = locateOnScreen(stage);
    const [left, top] = [((smooth.x - x) / width) * canvas.width, ((smooth.y - y) / height) * canvas.height];
    context.lineWidth = 3;
    context.strokeStyle = "#000a";
    context.fillStyle = "#7fd0cf88";
    context.beginPath();
    context.arc(left, top, 0.025 * canvas.width, 0, 2 * Math.PI);
    context.fill();
    context.stroke();
  };
}
