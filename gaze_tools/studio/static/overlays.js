/** Films with the gaze: the list of those that are made or finished, in the steps Start and Score. */

import { wait } from "./gaze-client.js";
import { findLocale, hasText, t } from "./i18n.js";

const byId = (id) => document.getElementById(id);
const POLL_MS = 600;
const VIEWS = ["start", "score"];
const ANNOUNCED_PERCENT = 25;
const MAX_FAILURES = 5;

/** Returns the film and the time of an overlay, to tell it from others. */
function nameOf({ video_id: videoId, title, watched_at: watchedAt }) {
  const name = videoId === "sample" ? t("watch.sample") : (title ?? videoId);
  const format = { dateStyle: "medium", timeStyle: "short" };
  return `${name} (${new Date(watchedAt).toLocaleString(findLocale(document.documentElement.lang), format)})`;
}

function stateOf({ state, progress, reason }) {
  if (state === "preparing" && !progress) return t("overlays.waiting");
  if (state === "preparing") return t("overlays.preparing", { percent: Math.floor(100 * progress) });
  if (state === "ready") return t("overlays.ready");
  return t("overlays.failed", { problem: t(hasText(`overlay.${reason}`) ? `overlay.${reason}` : "overlay.overlay_failed") });
}

/** Prepares the list and shows what the gateway has, also after the page was loaded again. */
export function setUpOverlays(studio) {
  let overlays = [];
  let isPolling = false;
  let drawn = "";
  const announced = new Map();

  const pathOf = ({ session_id: id }) => `/api/sessions/${encodeURIComponent(id)}/overlay`;
  const isShown = () => overlays.length > 0 && VIEWS.includes(studio.current);

  const read = async () => {
    const response = await fetch("/api/overlays");
    if (!response.ok) throw new Error(`HTTP ${response.status}`);
    ({ overlays } = await response.json());
    draw();
    overlays.forEach(announce);
  };

  /** Says that a film is finished or failed, and now and then how far it is. */
  const announce = (each) => {
    const stage = each.state === "preparing" ? Math.floor((100 * each.progress) / ANNOUNCED_PERCENT) : each.state;
    const before = announced.get(each.session_id);
    announced.set(each.session_id, stage);
    if (before !== undefined && before !== stage && isShown()) studio.announce(`${nameOf(each)}: ${stateOf(each)}`);
  };

  /** Draws the list; while only progress changes, its elements stay, so that focus and screen readers stay, too. */
  const draw = () => {
    byId("overlays").hidden = !isShown();
    const now = JSON.stringify([document.documentElement.lang, overlays.map(({ session_id: id, state }) => [id, state])]);
    if (now !== drawn) {
      const focused = document.activeElement?.closest("#overlay-list li")?.dataset.session;
      byId("overlay-list").replaceChildren(...overlays.map(makeEntry));
      if (focused) {
        const entry = [...byId("overlay-list").children].find(({ dataset }) => dataset.session === focused);
        (entry?.querySelector("a, button") ?? document.querySelector(`[data-view="${studio.current}"] h1`)).focus();
      }
      drawn = now;
    }
    overlays.forEach((each, index) => {
      const entry = byId("overlay-list").children[index];
      entry.querySelector(".note").textContent = stateOf(each);
      const bar = entry.querySelector("progress");
      if (!bar) return;
      if (each.progress) bar.value = each.progress;
      else bar.removeAttribute("value");
    });
  };

  const makeEntry = (each) => {
    const item = document.createElement("li");
    Object.assign(item.dataset, { state: each.state, session: each.session_id });
    const name = Object.assign(document.createElement("span"), { className: "name", textContent: nameOf(each) });
    const end = document.createElement("span");
    if (each.state === "ready") {
      const link = Object.assign(document.createElement("a"), { className: "button plain", href: `${pathOf(each)}.mp4`, download: "" });
      end.append(named(link, "overlays.download", each));
    }
    if (each.state === "failed") end.append(makeButton("overlays.again", each, () => make(each.session_id)));
    const action = each.state === "preparing" ? "overlays.cancel" : "watch.remove";
    end.append(makeButton(action, each, () => remove(each)));
    item.append(name, end);
    if (each.state === "preparing") {
      const bar = Object.assign(document.createElement("progress"), { max: 1 });
      bar.setAttribute("aria-label", nameOf(each));
      item.append(bar);
    }
    item.append(Object.assign(document.createElement("p"), { className: "note" }));
    return item;
  };

  const named = (element, key, each) => {
    element.textContent = t(key);
    element.setAttribute("aria-label", `${t(key)}: ${nameOf(each)}`);
    return element;
  };

  const makeButton = (key, each, act) => {
    const button = Object.assign(document.createElement("button"), { className: "plain", type: "button" });
    button.addEventListener("click", act);
    return named(button, key, each);
  };

  const poll = async () => {
    if (isPolling) return;
    isPolling = true;
    let failures = 0;
    while (failures || overlays.some(({ state }) => state === "preparing")) {
      await wait(POLL_MS);
      try {
        await read();
        if (failures >= MAX_FAILURES && byId("alert").dataset.t === "error.server") studio.hideError();
        failures = 0;
      } catch {
        failures += 1;
        if (failures === MAX_FAILURES) studio.showError("error.server");
      }
    }
    isPolling = false;
  };

  /** Changes an overlay, and returns whether that succeeded. */
  const change = async (sessionId, method) => {
    studio.hideError();
    try {
      const response = await fetch(pathOf({ session_id: sessionId }), { method });
      if (!response.ok) throw new Error((await response.json().catch(() => null))?.detail ?? `HTTP ${response.status}`);
      await read();
      return true;
    } catch (error) {
      studio.showFailure(error);
      return false;
    } finally {
      poll();
    }
  };

  /** Starts to make the film of a session, or shows the one that is there. */
  const make = async (sessionId) => {
    if (!(await change(sessionId, "POST"))) return;
    const each = overlays.find(({ session_id: id }) => id === sessionId);
    if (!each) return;
    byId("overlays").scrollIntoView({ block: "nearest" });
    studio.announce(`${nameOf(each)}: ${stateOf(each)}`);
  };

  const remove = async (each) => {
    announced.delete(each.session_id);
    if (!(await change(each.session_id, "DELETE"))) return;
    studio.announce(t(each.state === "preparing" ? "overlays.cancelled" : "overlays.removed"));
  };

  read().then(poll, () => {}); // without the gateway, the page says so when it is needed
  return { draw, make };
}
