/** The requests that begin a viewing or a calibration, repeated while a service behind the gateway does not answer. */

import { GazeRequestError, retryDelayMs, startSession, wait } from "./gaze-client.js";
import { setText } from "./i18n.js";

/** Time without an answer after which the page says so, as for frames. */
const SHOW_MS = 3000;
/** The gateway refuses after 8 s if the session API does not answer. If it says nothing, it does not answer itself. */
const GIVE_UP_MS = 12000;
/** Refusals of services that are overloaded, unreachable or silent; all others would be the same again. */
const REPEATED = new Set([429, 502, 503, 504]);
/** A hidden page may run its timers once a minute only. */
const ALIVE_EVERY_MS = 20000;

/**
 * Asks until there is an answer, and shows `key` in the element `trouble` meanwhile. `ask` gets a signal that also ends a
 * request without an answer.
 */
export async function askPatiently(ask, { signal, trouble, key }) {
  const show = () => {
    setText(trouble, key);
    trouble.hidden = false;
  };
  const timer = setTimeout(show, SHOW_MS);
  try {
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await ask(AbortSignal.any([signal, AbortSignal.timeout(GIVE_UP_MS)]));
      } catch (error) {
        signal.throwIfAborted();
        if (error.name !== "TimeoutError" && !REPEATED.has(error.status)) throw error;
      }
      show();
      await wait(retryDelayMs(attempt, null), signal);
    }
  } finally {
    clearTimeout(timer);
    trouble.hidden = true;
  }
}

/** The studio no longer has a calibration, as after a restart that kept no data. */
export class CalibrationGoneError extends Error {}

/** Makes a calibration usable again that has expired; throws `CalibrationGoneError` if it no longer exists. */
export async function reviveCalibration({ sessionId }, signal) {
  const response = await fetch(`/api/calibrations/${encodeURIComponent(sessionId)}`, { method: "POST", signal });
  if (response.ok) return;
  if (response.status === 404) throw new CalibrationGoneError("the calibration no longer exists");
  const problem = await response.json().catch(() => null);
  throw new GazeRequestError(problem?.detail ?? `HTTP ${response.status}`, response.status, problem);
}

/** Starts a session as `startSession` does, patiently; all attempts start the same one. */
export function startPatiently(videoId, options) {
  const idempotencyKey = makeKey();
  return askPatiently((signal) => startSession(videoId, { signal, idempotencyKey }), options);
}

/** A random text; `crypto.randomUUID` exists on secure pages only. */
function makeKey() {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Tells the gateway until `over` that a page is open, so that the film is kept while it is paused. */
export function stayAlive({ sessionId }, over) {
  const url = `/api/viewings/${encodeURIComponent(sessionId)}`;
  const say = () => {
    // A browser has few connections; one that is silent must not take them from the frames.
    const signal = AbortSignal.any([over, AbortSignal.timeout(GIVE_UP_MS)]);
    fetch(url, { method: "POST", signal }).catch(() => {});
  };
  const timer = setInterval(say, ALIVE_EVERY_MS);
  over.addEventListener("abort", () => clearInterval(timer), { once: true });
}
