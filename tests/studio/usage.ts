/** Uses everything that gaze-client.d.ts declares, as a strict TypeScript program would; it is compiled, never run. */

import {
  Calibration,
  CameraSource,
  CameraStoppedError,
  DeviceState,
  encodeJpeg,
  FilmClock,
  findZoom,
  fitImage,
  FrameAnswer,
  FrameQueue,
  FrameSource,
  GazeConnection,
  GazeRequestError,
  isTemporary,
  locateOnScreen,
  MeasuredTarget,
  measureBrightness,
  measureSpread,
  PositionCheck,
  retryDelayMs,
  Session,
  Setup,
  startSession,
  turnSetup,
  Viewing,
  Viewport,
  wait,
} from "./gaze-client.js";

const setup: Setup = { screen: { width_mm: 345, height_mm: 194 }, camera: { vertical_fov_deg: 50, mirrored: false } };

export async function watch(film: HTMLVideoElement, signal: AbortSignal): Promise<number> {
  const connection = new GazeConnection({ url: "/gaze", timeoutMs: 30_000 });
  const source: FrameSource = await CameraSource.open({ width: 640, height: 480 });
  const check = new PositionCheck(source, await startSession("check"), setup, connection);
  const { brightness, answer }: { brightness: number; answer: FrameAnswer } = await check.look({ signal });
  if (answer.validity !== "ok" || answer.gaze === null || brightness < 40) return 0;

  const session: Session = await startSession("calibration", { url: "/api/viewings", signal });
  const calibration = new Calibration(source, session, setup, connection);
  const measured: MeasuredTarget = await calibration.measure([0.5, 0.5], { use: "fit", frames: 12, signal });
  if (measured.spread === null || measured.usable < 6) return 0;
  const { used } = await calibration.finish();
  const viewing = new Viewing(source, await startSession("sample"), used ? { ...setup, calibration: session } : setup, film);
  viewing.addEventListener("gaze", (event) => console.log((event as CustomEvent).detail));
  viewing.start();
  try {
    await film.play();
    await wait(1000, signal);
    await viewing.pause();
    const last = viewing.points.at(-1);
    console.log(last?.gaze?.x, last?.flags.length, viewing.queue.counts.stored, viewing.queue.isFull);
    const result = await viewing.complete({ giveUpAfterMs: 60_000 });
    return Number(result.final_score);
  } catch (error) {
    viewing.abort();
    if (error instanceof CameraStoppedError) console.log(error.reason === "lost");
    if (error instanceof GazeRequestError && isTemporary(error.status)) await wait(retryDelayMs(1, null));
    if (error instanceof GazeRequestError && error.isSessionLost) console.log("start again");
    throw error;
  } finally {
    source.stop();
  }
}

export async function measureParts(canvas: HTMLCanvasElement, context: CanvasRenderingContext2D): Promise<void> {
  const box: Viewport = locateOnScreen(canvas, { content: { width: 16, height: 9 } });
  const spread: number | null = measureSpread([fitImage(box, null)]);
  const queue = new FrameQueue(new GazeConnection(), () => ({}), { maxBatch: 4 });
  const number: number | null = queue.push(await encodeJpeg(canvas, 0.9), { spread });
  await queue.flush({ giveUpAfterMs: 1000 });
  console.log(number, queue.length, queue.lastNumber, measureBrightness(context), new FilmClock(document.createElement("video")));
}

export function turn(image: { width: number; height: number }): Pick<Setup, "screen" | "camera"> {
  const before: DeviceState = { image, angle: 0 };
  return turnSetup(setup, before, { ...before, angle: 90 * Math.round(findZoom()) });
}

// @ts-expect-error a target has two coordinates
export const wrongTarget: Parameters<Calibration["measure"]>[0] = [0.5];
// @ts-expect-error a session needs an id
export const wrongSession: Session = { videoId: "sample" };
// @ts-expect-error calibration frames are for fit or validate
export const wrongUse: Parameters<Calibration["measure"]>[1] = { use: "test" };
