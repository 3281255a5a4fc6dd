/** Charts of a result: scale and trace. */

import { t } from "./i18n.js";

const SVG = "http://www.w3.org/2000/svg";
const GAP_MS = 300;
const MIN_STEP = 0.5;

function make(name, values, text) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(values)) element.setAttribute(key, value);
  if (text !== undefined) element.textContent = text;
  return element;
}

/** Width of an element in units of its text: charts grow with the page's text. */
export function widthOf(element, usual) {
  const unit = Number.parseFloat(getComputedStyle(document.documentElement).fontSize) / 17;
  return Math.round((element.clientWidth || usual) / unit);
}

/** Draws the score between 0 and 100, with chance and interval: the score above the line, the others below. */
export function drawScale(svg, result) {
  const width = widthOf(svg, 600);
  svg.setAttribute("viewBox", `0 0 ${width} 86`);
  const at = (value) => 12 + ((width - 24) * value) / 100;
  const { final_score: score, chance_level: chance, interval_95: interval } = result;
  const hasChance = chance !== null && chance !== undefined;
  const range = interval ? interval.map((each) => each.toFixed(0)).join("–") : t("score.intervalNone");
  const parts = [make("rect", { class: "track", x: 12, y: 34, width: width - 24, height: 10, rx: 5 })];
  if (interval) {
    const [low, high] = interval;
    parts.push(make("rect", { class: "band", x: at(low), y: 26, width: Math.max(2, at(high) - at(low)), height: 26, rx: 6 }));
  }
  if (hasChance) parts.push(make("line", { class: "chance", x1: at(chance), x2: at(chance), y1: 22, y2: 58 }));
  const scoreLabel = make("text", { class: "strong", y: 16 }, score.toFixed(1));
  if (interval) scoreLabel.append(make("tspan", { class: "quiet" }, `\u00a0\u00a0${t("score.interval")} ${range}`));
  const chanceLabel = make("text", { y: 76 }, hasChance ? `${t("score.chance")} ${chance.toFixed(0)}` : "");
  parts.push(make("circle", { class: "mark", cx: at(score), cy: 39, r: 10 }), scoreLabel, chanceLabel);
  svg.replaceChildren(...parts);
  // A label is beneath or above its mark, but whole. Only what is in the page has a width.
  const place = (label, x) => {
    const length = label.getComputedTextLength();
    const from = Math.max(0, Math.min(width - length, x - length / 2));
    label.setAttribute("x", from);
    return [from, from + length];
  };
  place(scoreLabel, at(score));
  const [from, to] = hasChance ? place(chanceLabel, at(chance)) : [width, 0];
  const ROOM = 40;
  if (from > ROOM) svg.append(make("text", { x: 2, y: 76 }, "0"));
  if (to < width - ROOM) svg.append(make("text", { x: width - 2, y: 76, "text-anchor": "end" }, "100"));
  svg.setAttribute("aria-label", t("score.scale", { score: score.toFixed(1), chance: chance?.toFixed(0) ?? "–", interval: range }));
}

/** Returns where a gaze is in the film, as shares of its size. */
export function placeInFilm({ gaze, viewport }) {
  return { x: (gaze.x - viewport.x) / viewport.width, y: (gaze.y - viewport.y) / viewport.height };
}

/** Returns the last position in the film, in milliseconds; a film of hours has more points than a call has arguments. */
export function findEndMs(points) {
  return points.reduce((endMs, { videoTimeMs }) => Math.max(endMs, videoTimeMs), 0);
}

/** Draws the position of the gaze in the film over time, and below it the hits. */
export function drawTrace(svg, points, trace) {
  const width = widthOf(svg, 960);
  svg.setAttribute("viewBox", `0 0 ${width} 296`);
  const [left, right, top, bottom] = [52, width - 14, 40, 206];
  const endMs = Math.max(1, findEndMs(points));
  const atX = (ms) => left + ((right - left) * ms) / endMs;
  const atY = (share) => top + (bottom - top) * Math.min(1.06, Math.max(-0.06, share));
  const parts = [];
  for (const share of [0, 0.5, 1]) {
    parts.push(make("line", { class: "axis", x1: left, x2: right, y1: atY(share), y2: atY(share) }));
    parts.push(make("text", { x: left - 8, y: atY(share) + 5, "text-anchor": "end" }, t("percent", { value: 100 * share })));
  }
  const step = [1, 2, 5, 10, 30, 60, 120, 300, 600].find((each) => endMs / 1000 / each <= width / 80) ?? 1800;
  for (let second = 0; second <= endMs / 1000; second += step) {
    parts.push(make("text", { x: atX(1000 * second), y: 288, "text-anchor": "middle" }, t("map.seconds", { seconds: second })));
  }
  const names = [["x", t("trace.horizontal")], ["y", t("trace.vertical")]];
  for (const [index, [axis, name]] of names.entries()) {
    const from = left + index * Math.min(240, (right - left) / 2);
    parts.push(make("line", { class: `line-${axis}`, x1: from, x2: from + 26, y1: 12, y2: 12 }));
    parts.push(make("text", { x: from + 34, y: 17 }, name));
  }
  const ordered = [...points].sort((a, b) => a.videoTimeMs - b.videoTimeMs);
  for (const axis of ["x", "y"]) {
    let path = "";
    let [lastMs, lastX] = [-Infinity, -Infinity];
    for (const point of ordered) {
      if (!point.gaze) continue;
      const isApart = point.videoTimeMs - lastMs > GAP_MS;
      lastMs = point.videoTimeMs;
      // Of a long session, more points than pixels would only be slow.
      if (!isApart && atX(lastMs) - lastX < MIN_STEP) continue;
      lastX = atX(lastMs);
      path += `${isApart ? "M" : "L"}${lastX.toFixed(1)} ${atY(placeInFilm(point)[axis]).toFixed(1)}`;
    }
    parts.push(make("path", { class: `line-${axis}`, d: path || "M0 0" }));
  }
  const hits = new Map((trace?.frame_number ?? []).map((number, index) => [number, trace.hit[index]]));
  const marks = [new Set(), new Set()];
  for (const { frameNumber, videoTimeMs } of ordered) {
    marks[hits.get(frameNumber)]?.add((Math.round(atX(videoTimeMs) / MIN_STEP) * MIN_STEP).toFixed(1));
  }
  const draw = (places, mark) => [...places].map((x) => `M${x} ${mark}`).join("") || "M0 0";
  parts.push(make("path", { class: "miss", d: draw(marks[0], "244v16") }));
  parts.push(make("path", { class: "hit", d: draw(marks[1], "232v28") }));
  svg.replaceChildren(...parts);
}
