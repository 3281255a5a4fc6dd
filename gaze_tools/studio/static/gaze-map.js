/** Where the viewer looked in the film: heat map, fixations, and the same in numbers. */

import { findEndMs, placeInFilm } from "./charts.js";

const SVG = "http://www.w3.org/2000/svg";
/** Standard deviation of a point of gaze in the heat map, as a share of the film's width: about 2 degrees. */
const HEAT_RADIUS = 0.045;
const COLUMNS = 128;
const EDGE = 12;
/** Room that the number of a fixation takes, with its outline: each digit, and a line. */
const [DIGIT, LINE] = [10, 17];

/** Returns how many fixations a film of this width has room for. */
export function roomFor(width) {
  return width < 600 ? 12 : 40;
}

/** Returns how much gaze each cell of a grid got, in rows from the top left; 1 is the most. */
export function measureDensity(places, columns, rows, radius = HEAT_RADIUS) {
  const counts = new Float32Array(columns * rows);
  for (const { x, y } of places) {
    if (x < 0 || x > 1 || y < 0 || y > 1) continue;
    counts[Math.min(rows - 1, Math.floor(y * rows)) * columns + Math.min(columns - 1, Math.floor(x * columns))] += 1;
  }
  const sigma = radius * columns;
  const across = blur(counts, rows, columns, columns, 1, sigma);
  const density = blur(across, columns, rows, 1, columns, sigma);
  const most = density.reduce((high, each) => Math.max(high, each), 0);
  return most > 0 ? density.map((each) => each / most) : density;
}

/** Blurs each line of values with a Gaussian; `stride` leads to the next line, `step` to the next value in it. */
function blur(values, lines, length, stride, step, sigma) {
  const reach = Math.ceil(3 * sigma);
  const weights = Array.from({ length: reach + 1 }, (_, away) => Math.exp(-(away ** 2) / (2 * sigma ** 2)));
  const blurred = new Float32Array(values.length);
  for (let line = 0; line < lines; line += 1) {
    for (let from = 0; from < length; from += 1) {
      const value = values[line * stride + from * step];
      if (!value) continue;
      for (let to = Math.max(0, from - reach); to <= Math.min(length - 1, from + reach); to += 1) {
        blurred[line * stride + to * step] += value * weights[Math.abs(to - from)];
      }
    }
  }
  return blurred;
}

/** Returns the share of the gaze in each third of the film's width and height, in rows from the top, and outside. */
export function countThirds(places) {
  const thirds = [[0, 0, 0], [0, 0, 0], [0, 0, 0]];
  let outside = 0;
  for (const { x, y } of places) {
    if (x < 0 || x > 1 || y < 0 || y > 1) outside += 1;
    else thirds[Math.min(2, Math.floor(3 * y))][Math.min(2, Math.floor(3 * x))] += 1;
  }
  const total = Math.max(1, places.length);
  return { thirds: thirds.map((row) => row.map((count) => count / total)), outside: outside / total };
}

/** Returns the fixations of a fixations.json, which has them as columns of integers; null if it has none. */
export function readFixations({ onset_ms: onsetsMs, duration_ms: durationsMs, x, y }) {
  return onsetsMs?.map((onsetMs, index) => ({
    number: index + 1,
    onsetS: onsetMs / 1000,
    durationS: durationsMs[index] / 1000,
    x: x[index] / 100_000,
    y: y[index] / 100_000,
  })) ?? null;
}

/** Returns the fixations of a part of the film in order; of too many, the longest. */
export function chooseFixations(fixations, startS, toS, limit) {
  const during = fixations.filter(({ onsetS, durationS }) => onsetS <= toS && onsetS + durationS >= startS);
  const longest = [...during].sort((a, b) => b.durationS - a.durationS).slice(0, limit);
  return longest.sort((a, b) => a.number - b.number);
}

/** Returns which of the drawn fixations have room for their number in the middle of their circle; the longest first. */
export function chooseNumbers(placed) {
  const boxes = placed.map((each) => {
    const half = (DIGIT * String(each.number).length) / 2;
    return { each, from: each.left - half, to: each.left + half, top: each.top };
  });
  const chosen = [];
  for (const box of boxes.sort((a, b) => b.each.durationS - a.each.durationS)) {
    const isCovered = chosen.some(({ from, to, top }) => from < box.to && box.from < to && Math.abs(top - box.top) < LINE);
    if (!isCovered) chosen.push(box);
  }
  return chosen.map(({ each }) => each);
}

/** Draws an image of the film, and over it the density of points of gaze. */
export function drawHeat(canvas, film, points, { isShown = true } = {}) {
  const ratio = film.videoWidth ? film.videoHeight / film.videoWidth : 9 / 16;
  canvas.parentElement?.style.setProperty("--aspect", 1 / ratio);
  canvas.width = Math.min(1920, Math.round((canvas.clientWidth || 960) * Math.min(2, devicePixelRatio)));
  canvas.height = Math.round(canvas.width * ratio);
  const context = canvas.getContext("2d");
  context.fillStyle = "#0b1110";
  context.fillRect(0, 0, canvas.width, canvas.height);
  if (film.videoWidth) {
    context.filter = "grayscale(0.7) brightness(0.6)";
    context.drawImage(film, 0, 0, canvas.width, canvas.height);
    context.filter = "none";
  }
  const places = points.filter(({ gaze }) => gaze).map(placeInFilm);
  if (!isShown || !places.length) return;
  const rows = Math.max(1, Math.round(COLUMNS * ratio));
  const heat = new OffscreenCanvas(COLUMNS, rows);
  const brush = heat.getContext("2d");
  const image = brush.createImageData(COLUMNS, rows);
  measureDensity(places, COLUMNS, rows).forEach((value, index) => image.data.set(colour(value), 4 * index));
  brush.putImageData(image, 0, 0);
  context.imageSmoothingQuality = "high";
  context.drawImage(heat, 0, 0, canvas.width, canvas.height);
}

/** From dark red over orange to light yellow. */
function colour(value) {
  const [red, green, blue] = [0.35 + 1.3 * value, 1.25 * value ** 1.4, 2.4 * (value - 0.6)];
  return [red, green, blue, Math.min(0.85, 2.2 * value)].map((each) => 255 * Math.min(1, Math.max(0, each)));
}

/** Draws fixations: circles whose area is their duration, with a number where it can be read, and a line in their order. */
export function drawFixations(svg, fixations, { width, height }) {
  const make = (name, values, text) => {
    const element = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(values)) element.setAttribute(key, value);
    if (text !== undefined) element.textContent = text;
    return element;
  };
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  // Outside the film they are drawn at its edge, where their number can be read.
  const limit = (share, size) => Math.min(size - EDGE, Math.max(EDGE, size * share));
  const placed = fixations.map((each) => ({ ...each, left: limit(each.x, width), top: limit(each.y, height) }));
  const unit = Math.max(26, 0.04 * width);
  const line = placed.map(({ left, top }) => `${left.toFixed(1)},${top.toFixed(1)}`).join(" ");
  svg.replaceChildren(
    make("polyline", { class: "order", points: line }),
    ...placed.map(({ left, top, durationS }) => {
      return make("circle", { class: "fixation", cx: left, cy: top, r: Math.max(9, unit * Math.sqrt(durationS)) });
    }),
    ...chooseNumbers(placed).map(({ left, top, number }) => make("text", { class: "number", x: left, y: top + 4.5 }, String(number))),
  );
}

/** Returns means of a session for each step of time: `{startS, x, y, hits}`, null where nothing is known. */
export function summariseTrace(points, trace, maxRows = 40) {
  const endS = findEndMs(points) / 1000;
  const stepS = [1, 2, 5, 10, 30, 60, 120, 300, 600].find((each) => endS / each <= maxRows) ?? 1800;
  const hits = new Map((trace?.frame_number ?? []).map((number, index) => [number, trace.hit[index]]));
  const mean = (values) => (values.length ? values.reduce((sum, each) => sum + each, 0) / values.length : null);
  const rows = [];
  for (let startS = 0; startS <= endS; startS += stepS) {
    const during = points.filter(({ videoTimeMs: ms }) => ms >= 1000 * startS && ms < 1000 * (startS + stepS));
    const places = during.filter(({ gaze }) => gaze).map(placeInFilm);
    const scored = during.map(({ frameNumber }) => hits.get(frameNumber)).filter((hit) => hit === 0 || hit === 1);
    rows.push({ startS, x: mean(places.map(({ x }) => x)), y: mean(places.map(({ y }) => y)), hits: mean(scored) });
  }
  return rows;
}
