/** A recording of the viewer at known targets: the folder of docs/recordings.md, in a ZIP file. */

import { makeZip } from "./zip.js";

/**
 * Returns the ZIP file of images with their targets.
 *
 * `setup` has the `screen` and `camera` of the requests, and `distanceMm` if the viewer has measured it.
 */
export function makeRecording(images, { screen, camera, distanceMm }) {
  const names = images.map((_, index) => `${String(index + 1).padStart(4, "0")}.jpg`);
  const rows = images.map(({ target: [x, y], use }, index) => {
    return `${names[index]},${x},${y},${use === "fit" ? "calibration" : "test"}`;
  });
  const about = { screen, camera, ...(distanceMm ? { distance_mm: distanceMm } : {}) };
  const text = (content) => new Blob([`${content}\n`]);
  return makeZip([
    ["recording/recording.json", text(JSON.stringify(about, null, 2))],
    ["recording/targets.csv", text(["frame,x,y,phase", ...rows].join("\n"))],
    ...images.map(({ blob }, index) => [`recording/frames/${names[index]}`, blob]),
  ]);
}
