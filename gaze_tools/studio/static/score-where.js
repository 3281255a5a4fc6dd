/** The part of step 5 that shows where the viewer looked: heat map and fixations over the film, and both as tables. */

import { findEndMs, placeInFilm, widthOf } from "./charts.js";
import { chooseFixations, countThirds, drawFixations, drawHeat, readFixations, roomFor, summariseTrace } from "./gaze-map.js";
import { setText, t } from "./i18n.js";

const byId = (id) => document.getElementById(id);
/** The map of a moment shows what is this close to it. */
const MOMENT_S = 1;
const MAX_LISTED = 500;
const SEEK_TIMEOUT_MS = 5000;

/** Moves a paused film; a film that cannot be moved keeps its image. */
function seek(film, seconds) {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, SEEK_TIMEOUT_MS);
    film.addEventListener("seeked", () => {
      clearTimeout(timer);
      resolve();
    }, { once: true });
    film.currentTime = seconds;
  });
}

function makeRow(heading, cells) {
  const row = document.createElement("tr");
  row.append(
    Object.assign(document.createElement("th"), { scope: "row", textContent: heading }),
    ...cells.map((textContent) => Object.assign(document.createElement("td"), { textContent })),
  );
  return row;
}

const percent = (share) => (share === null ? "–" : t("percent", { value: Math.round(100 * share) }));

/** Prepares the drawings. `show` begins with another viewing; `draw` draws again, in the page's language and size. */
export function setUpWhere() {
  let viewing = null;
  let result = null;
  let fixations = null;
  let state = "loading";
  let seeking = null;

  const isWhole = () => byId("whole-session").checked;

  /** The part of the film that the map shows, in seconds. */
  const part = () => {
    const middleS = byId("moment").valueAsNumber;
    return isWhole() ? [-Infinity, Infinity] : [middleS - MOMENT_S, middleS + MOMENT_S];
  };

  const drawMap = () => {
    const [startS, toS] = part();
    const points = viewing.points.filter(({ videoTimeMs: ms }) => ms >= 1000 * startS && ms <= 1000 * toS);
    const canvas = byId("heat");
    drawHeat(canvas, viewing.film, points, { isShown: byId("show-heat").checked });
    const width = widthOf(canvas, 960);
    const chosen = fixations && byId("show-fixations").checked ? chooseFixations(fixations, startS, toS, roomFor(width)) : [];
    drawFixations(byId("fixations"), chosen, { width, height: (width * canvas.height) / canvas.width });
    const seconds = byId("moment").valueAsNumber.toFixed(1);
    byId("moment-time").textContent = t("map.seconds", { seconds });
    byId("moment").setAttribute("aria-valuetext", t("map.seconds", { seconds }));
    setText(byId("map-text"), isWhole() ? "map.wholeText" : "map.momentText", { seconds });
    const places = points.filter(({ gaze }) => gaze).map(placeInFilm);
    const { thirds, outside } = countThirds(places);
    canvas.setAttribute("aria-label", `${t("score.heat")}. ${describe(thirds, outside)}`);
    byId("thirds").replaceChildren(
      ...thirds.map((row, index) => makeRow(t(["map.top", "map.middle", "map.bottom"][index]), row.map(percent))),
      makeRow(t("map.outside"), [percent(outside)]),
    );
  };

  /** The place that got most of the gaze, in words. */
  const describe = (thirds, outside) => {
    const most = Math.max(...thirds.flat());
    const row = thirds.findIndex((each) => each.includes(most));
    const place = [t(["map.top", "map.middle", "map.bottom"][row]), t(["map.left", "map.centre", "map.right"][thirds[row].indexOf(most)])];
    return t("map.most", { share: percent(most), place: place.join(", "), outside: percent(outside) });
  };

  const listFixations = () => {
    byId("show-fixations").disabled = !fixations?.length;
    byId("fixation-list").hidden = !fixations?.length;
    const text = byId("fixations-text");
    if (state === "loading") setText(text, "fixations.loading");
    else if (state === "failed") setText(text, "fixations.failed");
    else if (!fixations?.length) setText(text, "fixations.none");
    else {
      const middleMs = [...fixations].map(({ durationS }) => 1000 * durationS).sort((a, b) => a - b)[Math.floor(fixations.length / 2)];
      const drawn = roomFor(widthOf(byId("heat"), 960));
      const key = fixations.length > drawn ? "fixations.textLongest" : "fixations.text";
      setText(text, key, { count: fixations.length, duration: Math.round(middleMs), drawn });
    }
    byId("fixation-rows").replaceChildren(
      ...(fixations ?? []).slice(0, MAX_LISTED).map(({ number, onsetS, durationS, x, y }) => {
        return makeRow(String(number), [onsetS.toFixed(1), Math.round(1000 * durationS), percent(x), percent(y)]);
      }),
    );
  };

  const listTrace = () => {
    byId("trace-rows").replaceChildren(
      ...summariseTrace(viewing.points, result.trace).map(({ startS, x, y, hits }) => {
        return makeRow(t("map.seconds", { seconds: startS }), [x, y, hits].map(percent));
      }),
    );
  };

  /** Reads the fixations, which the server finds in the stored frames. */
  const load = async (files) => {
    const shown = viewing;
    let found = null;
    let next = "ready";
    try {
      const response = await fetch(`${files}/fixations.json`);
      if (!response.ok) throw new Error(String(response.status));
      found = readFixations(await response.json());
    } catch {
      next = "failed";
    }
    if (shown !== viewing) return;
    [fixations, state] = [found, next];
    listFixations();
    drawMap();
  };

  /** Moves the film to the slider; while it moves, only the last position counts. */
  const follow = async () => {
    if (seeking) return;
    const [film, slider] = [viewing.film, byId("moment")];
    while (Math.abs(film.currentTime - slider.valueAsNumber) > 0.04 && seeking !== slider.value) {
      seeking = slider.value;
      await seek(film, slider.valueAsNumber);
      drawMap();
    }
    seeking = null;
  };

  byId("moment").addEventListener("input", () => {
    byId("whole-session").checked = false;
    drawMap();
    follow();
  });
  for (const id of ["whole-session", "show-heat", "show-fixations"]) byId(id).addEventListener("change", drawMap);

  return {
    show(shownViewing, shownResult, files) {
      [viewing, result, fixations, state] = [shownViewing, shownResult, null, "loading"];
      const endS = Math.max(0.1, findEndMs(viewing.points) / 1000);
      const slider = byId("moment");
      slider.max = endS.toFixed(1);
      slider.value = (endS / 2).toFixed(1);
      for (const id of ["whole-session", "show-heat", "show-fixations"]) byId(id).checked = true;
      load(files);
      follow();
    },
    draw() {
      drawMap();
      listFixations();
      listTrace();
    },
  };
}
