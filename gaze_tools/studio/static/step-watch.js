/** Step 4: choose a film and watch it. */

import { locateOnScreen, Viewing, wait } from "./gaze-client.js";
import { hasText, setText, t } from "./i18n.js";
import { askPatiently, CalibrationGoneError, reviveCalibration, startPatiently, stayAlive } from "./patience.js";
import { enterFullScreen, forgetCalibration, leaveFullScreen } from "./step-calibration.js";

const byId = (id) => document.getElementById(id);
const POLL_MS = 600;
const COUNTDOWN_S = 3;
const SMOOTHING = 0.4;
const MAX_FILM_BYTES = 2 * 2 ** 30; // as the gateway

export function setUpWatch(studio) {
  const stage = byId("film-stage");
  const film = byId("film");
  let films = [];
  let chosen = null;
  let polling = null;

  let asked = 0;
  let shown = 0;

  const readFilms = async () => {
    asked += 1;
    const turn = asked;
    const response = await fetch("/api/films");
    if (!response.ok) throw new Error(`HTTP ${response.status}`);
    const { films: found } = await response.json();
    if (turn < shown) return; // a later answer came first
    shown = turn;
    films = found;
    if (!films.some(({ film_id: id }) => id === chosen)) chosen = films[0]?.film_id;
    drawFilms();
  };

  const drawFilms = () => {
    const isReady = films.find(({ film_id: id }) => id === chosen)?.state === "ready";
    byId("watch").disabled = !isReady;
    const focused = document.activeElement?.dataset?.focus;
    byId("films").replaceChildren(...films.map(makeEntry));
    if (focused) byId("films").querySelector(`[data-focus="${focused}"]`)?.focus();
  };

  const makeEntry = (each) => {
    const item = document.createElement("li");
    item.dataset.state = each.state;
    const label = document.createElement("label");
    const radio = Object.assign(document.createElement("input"), {
      type: "radio",
      name: "film",
      value: each.film_id,
      checked: each.film_id === chosen,
    });
    radio.dataset.focus = `choose-${each.film_id}`;
    radio.addEventListener("change", () => {
      chosen = each.film_id;
      drawFilms();
    });
    label.append(radio, each.film_id === "sample" ? t("watch.sample") : each.title);
    item.append(label);
    const end = document.createElement("span");
    end.className = "note";
    if (each.state === "ready") end.textContent = t("watch.seconds", { seconds: Math.round(each.duration_s) });
    if (each.film_id !== "sample") {
      const remove = Object.assign(document.createElement("button"), { className: "plain", type: "button" });
      remove.dataset.focus = `remove-${each.film_id}`;
      remove.textContent = t("watch.remove");
      remove.setAttribute("aria-label", `${t("watch.remove")}: ${each.title}`);
      remove.addEventListener("click", async () => {
        studio.hideError();
        try {
          const response = await fetch(`/api/films/${each.film_id}`, { method: "DELETE" });
          if (!response.ok && response.status !== 404) studio.showError("error.remove");
          await readFilms();
        } catch (error) {
          studio.showFailure(error);
        }
      });
      end.append(" ", remove);
    }
    item.append(end);
    if (each.state === "preparing") {
      const bar = Object.assign(document.createElement("progress"), { max: 1, value: each.progress });
      const text = t("watch.preparing", { percent: Math.round(100 * each.progress) });
      bar.setAttribute("aria-label", text);
      const note = Object.assign(document.createElement("p"), { className: "note", textContent: text });
      item.append(bar, note);
    }
    const texts = each.notes.map((note) => t(`note.${note}`));
    if (each.state === "failed") texts.push(t("watch.failed", { problem: t(`problem.${each.reason}`) }));
    if (each.state === "no_maps") texts.push(t("watch.noMaps"));
    for (const text of texts) {
      item.append(Object.assign(document.createElement("p"), { className: "note", textContent: text }));
    }
    if (["failed", "no_maps"].includes(each.state)) {
      const again = Object.assign(document.createElement("button"), { className: "plain", type: "button" });
      again.dataset.focus = `again-${each.film_id}`;
      again.textContent = t("watch.computeAgain");
      again.setAttribute("aria-label", `${t("watch.computeAgain")}: ${each.title}`);
      again.addEventListener("click", async () => {
        await fetch(`/api/films/${each.film_id}/maps`, { method: "POST" });
        await readFilms();
      });
      item.append(again);
    }
    return item;
  };

  const poll = async (signal) => {
    let isGone = false;
    while (!signal.aborted) {
      try {
        await readFilms();
        if (isGone && byId("alert").dataset.t === "error.server") studio.hideError();
        isGone = false;
      } catch {
        if (!signal.aborted) studio.showError("error.server");
        isGone = true;
        await wait(POLL_MS, signal).catch(() => {});
        continue;
      }
      await wait(POLL_MS, signal).catch(() => {});
      while (!signal.aborted && films.length && films.every(({ state }) => state !== "preparing")) {
        await wait(POLL_MS, signal).catch(() => {});
      }
    }
  };

  byId("film-file").addEventListener("change", async ({ target }) => {
    const [file] = target.files;
    if (!file) return;
    studio.hideError();
    if (file.size > MAX_FILM_BYTES) {
      studio.showError("film.too-large");
      target.value = "";
      return;
    }
    studio.announce(t("watch.uploading"));
    target.disabled = true;
    try {
      const response = await fetch(`/api/films?name=${encodeURIComponent(file.name)}`, { method: "POST", body: file });
      const body = await response.json();
      if (!response.ok) refuse(body);
      await readFilms();
      if (response.ok) {
        chosen = body.film_id;
        drawFilms();
      }
    } catch (error) {
      studio.showFailure(error);
    } finally {
      target.disabled = false;
      target.value = "";
    }
  });

  /** Says why a film was refused, in the viewer's language if the reason is a known one. */
  const refuse = ({ type, detail }) => {
    const key = `film.${type.split("/").at(-1)}`;
    if (hasText(key)) studio.showError(key);
    else studio.showError("error.film", { detail });
  };

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
    if ([404, 409].includes(error?.status)) await readFilms().catch(() => {});
  };

  /** Says what else a restart of the studio has lost, and where to begin again. */
  const explainLoss = async () => {
    const watched = chosen;
    const { calibration } = studio.setup;
    try {
      await readFilms();
      if (calibration) await reviveCalibration(calibration);
    } catch (error) {
      if (error instanceof CalibrationGoneError) return calibrateAnew("error.allLost");
    }
    const isThere = films.some(({ film_id: id }) => id === watched);
    studio.showError(isThere ? "error.viewingLost" : "error.filmLost");
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
    stage.hidden = false;
    trouble.hidden = true;
    text.textContent = "";
    await enterFullScreen(stage);
    byId("film-stop").focus();
    const { calibration } = studio.setup;
    const patience = { signal, trouble, key: "watch.waiting" };
    if (calibration) await askPatiently((once) => reviveCalibration(calibration, once), patience);
    const session = await startPatiently(chosen, patience);
    stayAlive(session, over);
    film.src = `/api/films/${chosen}/video`;
    let holdAtBreak = () => false;
    const ended = waitForEnd(film, finished, { signal, over, isHeldAtBreak: () => holdAtBreak() });
    ended.catch(() => {});
    await studio.source.watch?.(film, signal);
    for (let left = COUNTDOWN_S; left > 0; left -= 1) {
      text.textContent = t("watch.starts", { seconds: left });
      await wait(studio.isSample ? 300 : 1000, signal);
    }
    text.textContent = "";
    const viewing = new Viewing(studio.source, session, studio.setup, film);
    studio.viewing = viewing;
    studio.film = { ...films.find(({ film_id: id }) => id === chosen) };
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
      [document, "visibilitychange", () => document.hidden && film.pause()],
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
      if (studio.isSample) chosen = "sample";
      poll(polling.signal);
    },
    leave() {
      polling?.abort();
    },
    translate: drawFilms,
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
