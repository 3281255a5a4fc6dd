/** Drawings of a result: scale, heat map and trace. */

import { t } from "./i18n.js";

const SVG = "http://www.w3.org/2000/svg";
const GAP_MS = 300;

function make(name, values, text) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(values)) element.setAttribute(key, value);
  if (text !== undefined) element.textContent = text;
  return element;
}

/** Draws the score between 0 and 100, with chance and interval. */
export function drawScale(svg, result) {
  const width = svg.clientWidth || 600;
  svg.setAttribute("viewBox", `0 0 ${width} 86`);
  const at = (value) => 20 + ((width - 40) * value) / 100;
  const { final_score: score, chance_level: chance, interval_95: interval } = result;
  const parts = [make("rect", { class: "track", x: 20, y: 34, width: width - 40, height: 10, rx: 5 })];
  if (interval) {
    const [low, high] = interval;
    parts.push(make("rect", { class: "band", x: at(low), y: 26, width: Math.max(2, at(high) - at(low)), height: 26, rx: 6 }));
  }
  if (chance !== null && chance !== undefined) {
    parts.push(make("line", { class: "chance", x1: at(chance), x2: at(chance), y1: 18, y2: 58 }));
    parts.push(make("text", { x: at(chance), y: 76, "text-anchor": "middle" }, `${t("score.chance")} ${chance.toFixed(0)}`));
  }
  parts.push(make("circle", { class: "mark", cx: at(score), cy: 39, r: 10 }));
  parts.push(make("text", { x: at(score), y: 16, "text-anchor": "middle" }, score.toFixed(1)));
  svg.replaceChildren(...parts);
  const range = interval ? interval.map((each) => each.toFixed(0)).join("–") : t("score.intervalNone");
  svg.setAttribute("aria-label", t("score.scale", { score: score.toFixed(1), chance: chance?.toFixed(0) ?? "–", interval: range }));
}

/** Returns where a gaze is in the film, as shares of its size. */
export function placeInFilm({ gaze, viewport }) {
  return { x: (gaze.x - viewport.x) / viewport.width, y: (gaze.y - viewport.y) / viewport.height };
}

/** Draws all points of gaze over an image of the film. */
export function drawHeat(canvas, film, points, radius = 0.07) {
  const ratio = film.videoWidth ? film.videoHeight / film.videoWidth : 9 / 16;
  canvas.height = Math.round(canvas.width * ratio);
  const context = canvas.getContext("2d");
  context.fillStyle = "#0b1110";
  context.fillRect(0, 0, canvas.width, canvas.height);
  if (film.videoWidth) {
    context.filter = "grayscale(0.7) brightness(0.6)";
    context.drawImage(film, 0, 0, canvas.width, canvas.height);
    context.filter = "none";
  }
  const heat = new OffscreenCanvas(canvas.width, canvas.height);
  const brush = heat.getContext("2d", { willReadFrequently: true });
  const size = radius * canvas.width;
  const places = points.filter(({ gaze }) => gaze).map(placeInFilm);
  const strength = Math.min(0.35, 8 / Math.max(1, places.length));
  for (const { x, y } of places) {
    const [left, top] = [x * canvas.width, y * canvas.height];
    const glow = brush.createRadialGradient(left, top, 0, left, top, size);
    glow.addColorStop(0, `rgba(0, 0, 0, ${strength})`);
    glow.addColorStop(0.5, `rgba(0, 0, 0, ${strength / 3})`);
    glow.addColorStop(1, "rgba(0, 0, 0, 0)");
    brush.fillStyle = glow;
    brush.fillRect(left - size, top - size, 2 * size, 2 * size);
  }
  const image = brush.getImageData(0, 0, heat.width, heat.height);
  const { data } = image;
  for (let at = 0; at < data.length; at += 4) {
    const value = data[at + 3] / 255;
    // From dark red over orange to light yellow.
    data[at] = 255 * Math.min(1, 0.35 + 1.3 * value);
    data[at + 1] = 255 * Math.min(1, 1.25 * value ** 1.4);
    data[at + 2] = 255 * Math.min(1, Math.max(0, 2.4 * (value - 0.6)));
    data[at + 3] = 255 * Math.min(0.85, 1.8 * value);
  }
  brush.putImageData(image, 0, 0);
  context.drawImage(heat, 0, 0);
}

/** Draws the position of the gaze in the film over time, and below it the hits. */
export function drawTrace(svg, points, trace) {
  const width = svg.clientWidth || 960;
  svg.setAttribute("viewBox", `0 0 ${width} 270`);
  const [left, right, top, bottom] = [34, width - 14, 14, 180];
  const endMs = Math.max(1, ...points.map(({ videoTimeMs }) => videoTimeMs));
  const atX = (ms) => left + ((right - left) * ms) / endMs;
  const atY = (share) => top + (bottom - top) * Math.min(1.06, Math.max(-0.06, share));
  const parts = [];
  for (const share of [0, 0.5, 1]) {
    parts.push(make("line", { class: "axis", x1: left, x2: right, y1: atY(share), y2: atY(share) }));
    parts.push(make("text", { x: left - 8, y: atY(share) + 5, "text-anchor": "end" }, String(share)));
  }
  const step = [1, 2, 5, 10, 30, 60, 120, 300, 600].find((each) => endMs / 1000 / each <= width / 80) ?? 1800;
  for (let second = 0; second <= endMs / 1000; second += step) {
    parts.push(make("text", { x: atX(1000 * second), y: 262, "text-anchor": "middle" }, `${second} s`));
  }
  const ordered = [...points].sort((a, b) => a.videoTimeMs - b.videoTimeMs);
  for (const axis of ["x", "y"]) {
    let path = "";
    let lastMs = -Infinity;
    for (const point of ordered) {
      if (!point.gaze) continue;
      const command = point.videoTimeMs - lastMs > GAP_MS ? "M" : "L";
      path += `${command}${atX(point.videoTimeMs).toFixed(1)} ${atY(placeInFilm(point)[axis]).toFixed(1)}`;
      lastMs = point.videoTimeMs;
    }
    parts.push(make("path", { class: `line-${axis}`, d: path || "M0 0" }));
  }
  const hits = new Map((trace?.frame_number ?? []).map((number, index) => [number, trace.hit[index]]));
  for (const { frameNumber, videoTimeMs } of ordered) {
    if (!hits.has(frameNumber)) continue;
    const isHit = hits.get(frameNumber) === 1;
    parts.push(make("rect", { class: isHit ? "hit" : "miss", x: atX(videoTimeMs) - 1, y: isHit ? 206 : 218, width: 2.5, height: isHit ? 28 : 16 }));
  }
  svg.replaceChildren(...parts);
}
