/** The films of step 4: their list, and those that the viewer adds, removes or prepares again. */

import { wait } from "./gaze-client.js";
import { hasText, t } from "./i18n.js";

const byId = (id) => document.getElementById(id);
const POLL_MS = 600;
const MAX_FILM_BYTES = 2 * 2 ** 30; // as the gateway

/** Prepares the list; the film that is chosen is the one to watch. */
export function setUpFilmList(studio) {
  let films = [];
  let chosen = null;
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

  return {
    read: readFilms,
    draw: drawFilms,
    poll,
    /** The chosen film; undefined if there is none. */
    get chosen() {
      return films.find(({ film_id: id }) => id === chosen);
    },
    choose(filmId) {
      chosen = filmId;
    },
    has: (filmId) => films.some(({ film_id: id }) => id === filmId),
  };
}
