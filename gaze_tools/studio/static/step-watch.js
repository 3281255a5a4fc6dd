/** Step 4: choose a film and watch it. */

import { locateOnScreen, startSession, Viewing, wait } from "./gaze-client.js";
import { setText, t } from "./i18n.js";
import { enterFullScreen, leaveFullScreen } from "./step-calibration.js";

const byId = (id) => document.getElementById(id);
const POLL_MS = 600;
const COUNTDOWN_S = 3;
const SMOOTHING = 0.4;

export function setUpWatch(studio) {
  const stage = byId("film-stage");
  const film = byId("film");
  let films = [];
  let chosen = null;
  let polling = null;

  const readFilms = async () => {
    const response = await fetch("/api/films");
    films = (await response.json()).films;
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
        await fetch(`/api/films/${each.film_id}`, { method: "DELETE" });
        await readFilms();
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
    } else if (each.state === "failed") {
      const text = t("watch.failed", { problem: each.problem });
      item.append(Object.assign(document.createElement("p"), { className: "note", textContent: text }));
    }
    return item;
  };

  const poll = async (signal) => {
    while (!signal.aborted) {
      await readFilms().catch(() => studio.showError("error.server"));
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
    studio.announce(t("watch.uploading"));
    try {
      const response = await fetch(`/api/films?name=${encodeURIComponent(file.name)}`, { method: "POST", body: file });
      const body = await response.json();
      if (response.ok) chosen = body.film_id;
      else studio.showError("error.film", { detail: body.detail });
      await readFilms();
    } catch (error) {
      studio.showFailure(error);
    }
    target.value = "";
  });

  byId("watch").addEventListener("click", async () => {
    studio.hideError();
    try {
      await watch();
    } catch (error) {
      studio.showFailure(error);
    } finally {
      film.pause();
      stage.hidden = true;
      await leaveFullScreen();
    }
  });

  const watch = async () => {
    const { signal, ...controls } = makeControls();
    const [text, trouble] = [byId("film-text"), byId("film-trouble")];
    stage.hidden = false;
    trouble.hidden = true;
    await enterFullScreen(stage);
    byId("film-pause").focus();
    const { calibration } = studio.setup;
    if (calibration) await fetch(`/api/calibrations/${encodeURIComponent(calibration.sessionId)}`, { method: "POST" });
    const session = await startSession(chosen, { signal });
    film.src = `/api/films/${chosen}/video`;
    const ended = waitForEnd(film, controls.finished, signal);
    ended.catch(() => {});
    studio.source.watch?.(film);
    for (let left = COUNTDOWN_S; left > 0; left -= 1) {
      text.textContent = t("watch.starts", { seconds: left });
      await wait(studio.isSample ? 300 : 1000, signal);
    }
    text.textContent = "";
    const viewing = new Viewing(studio.source, session, studio.setup, film);
    studio.viewing = viewing;
    studio.film = { ...films.find(({ film_id: id }) => id === chosen) };
    signal.addEventListener("abort", () => viewing.abort());
    let isHeld = false;
    const hold = (key) => {
      isHeld ||= !film.paused;
      film.pause();
      setText(trouble, key);
      trouble.hidden = false;
    };
    viewing.addEventListener("trouble", () => hold("watch.trouble"));
    viewing.addEventListener("recovery", () => {
      trouble.hidden = true;
      if (isHeld) film.play().catch(() => {});
      isHeld = false;
    });
    const onLost = () => hold("watch.lost");
    studio.source.addEventListener("lost", onLost);
    const overlay = byId("show-gaze").checked ? makeOverlay(byId("overlay"), stage) : null;
    if (overlay) viewing.addEventListener("gaze", ({ detail }) => overlay(detail.gaze));
    const hide = () => {
      if (document.hidden) film.pause();
    };
    document.addEventListener("visibilitychange", hide);
    try {
      viewing.start();
      await film.play();
      await ended;
      await viewing.pause();
    } finally {
      document.removeEventListener("visibilitychange", hide);
      studio.source.removeEventListener("lost", onLost);
      studio.source.rest?.();
      overlay?.(null);
      controls.release();
    }
    await studio.go("score");
  };

  /** The buttons over the film; `finished` resolves when the viewer has seen enough. */
  const makeControls = () => {
    const stop = new AbortController();
    let finish = () => {};
    const finished = new Promise((resolve) => {
      finish = resolve;
    });
    const label = () => setText(byId("film-pause"), film.paused ? "watch.resume" : "watch.pause");
    const toggle = () => (film.paused ? film.play().catch(() => {}) : film.pause());
    const abort = () => stop.abort(new DOMException("stopped", "AbortError"));
    const parts = [
      [byId("film-pause"), "click", toggle],
      [byId("film-finish"), "click", finish],
      [byId("film-stop"), "click", abort],
      [stage, "keydown", ({ key }) => key === "Escape" && abort()],
      [film, "play", label],
      [film, "pause", label],
    ];
    for (const [element, kind, react] of parts) element.addEventListener(kind, react);
    const release = () => {
      for (const [element, kind, react] of parts) element.removeEventListener(kind, react);
    };
    return { signal: stop.signal, finished, release };
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

/** Resolves at the end of the film or when the viewer finishes it; rejects if it cannot be played. */
function waitForEnd(film, finished, signal) {
  return new Promise((resolve, reject) => {
    film.addEventListener("ended", resolve, { once: true, signal });
    film.addEventListener("error", () => reject(new Error(t("watch.unplayable"))), { once: true, signal });
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
