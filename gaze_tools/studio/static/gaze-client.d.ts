/** Types of gaze-client.js. */

export interface Screen {
  width_mm?: number;
  height_mm?: number;
  width_px?: number;
  height_px?: number;
}

export interface Camera {
  vertical_fov_deg?: number;
  offset_x_mm?: number;
  offset_y_mm?: number;
  tilt_deg?: number;
  mirrored?: boolean;
}

export interface Viewport {
  x: number;
  y: number;
  width: number;
  height: number;
}

export interface Session {
  sessionId: string;
  videoId: string;
  token?: string | null;
  /** Only without a gateway, which knows the address. */
  ipAddress?: string;
}

export interface Setup {
  screen?: Screen;
  camera?: Camera;
  calibration?: Session | null;
  /** Where the film is, if it is known and does not move; otherwise it is followed. */
  viewport?: Viewport;
}

export interface Gaze {
  x: number;
  y: number;
  on_screen: boolean;
}

export interface FrameAnswer {
  status: "success";
  frame_number: number;
  gaze: Gaze | null;
  validity: "ok" | "no_face" | "eyes_closed" | "low_quality";
  flags?: string[];
  head_pose_deg?: { pitch: number; yaw: number; roll: number };
  distance_mm?: number;
  calibrated?: boolean;
}

export interface CapturedImage {
  blob: Blob;
  /** Unix time in milliseconds. */
  timestampMs: number;
  /** Mean brightness, 0 to 255. */
  brightness: number;
  /** Size of the camera's image in pixels, before it was reduced. */
  size?: { width: number; height: number };
  /** Equal for equal images; an image that repeats the last one is not sent. */
  fingerprint?: number;
}

/** Anything that delivers images: a camera, or a stand-in for one. */
export interface FrameSource extends EventTarget {
  /** False once it delivers no more images. */
  readonly isLive?: boolean;
  /** True while its image does not change; no frames are taken then. */
  readonly isStill?: boolean;
  /** Size of the image in pixels, if it can change. */
  readonly size?: { width: number; height: number };
  nextImage(signal?: AbortSignal): Promise<void>;
  capture(): Promise<CapturedImage>;
  stop(): void;
}

export class GazeRequestError extends Error {
  readonly status: number;
  readonly problem: Record<string, unknown> | null;
  /** Whether the frames so far are no longer stored, so that the session cannot be finished: start a new one. */
  readonly isSessionLost: boolean;
}

export class CameraStoppedError extends Error {
  /** `lost` if the camera was unplugged or blocked, `still` if its image is frozen. */
  readonly reason: "lost" | "still";
}

export class GazeConnection extends EventTarget {
  constructor(options?: { url?: string; fetch?: typeof fetch; timeoutMs?: number });
  readonly isTroubled: boolean;
  post(
    metadata: object,
    images: Blob[],
    options?: { signal?: AbortSignal; timeoutMs?: number; giveUpAfterMs?: number },
  ): Promise<Record<string, unknown>>;
}

export class CameraSource extends EventTarget implements FrameSource {
  static open(options?: {
    deviceId?: string;
    width?: number;
    height?: number;
    frameRate?: number;
    quality?: number;
  }): Promise<CameraSource>;
  readonly label: string;
  readonly deviceId: string | undefined;
  readonly isLive: boolean;
  readonly isStill: boolean;
  readonly size: { width: number; height: number };
  /** Longest side of the images that are sent, in pixels; 1280 unless set. */
  maxSide: number;
  readonly video: HTMLVideoElement;
  nextImage(signal?: AbortSignal): Promise<void>;
  capture(): Promise<CapturedImage>;
  stop(): void;
}

export class FilmClock {
  constructor(video: HTMLVideoElement);
  readonly isRunning: boolean;
  readonly positionMs: number;
  stop(): void;
}

export class FrameQueue extends EventTarget {
  constructor(
    connection: GazeConnection,
    makeMetadata: () => object,
    options?: { maxBatch?: number; maxQueue?: number; signal?: AbortSignal },
  );
  readonly counts: { sent: number; stored: number; dropped: number; refused: number };
  readonly length: number;
  readonly isFull: boolean;
  readonly lastNumber: number;
  push(blob: Blob, fields: object): number | null;
  flush(options?: { giveUpAfterMs?: number }): Promise<void>;
}

export class PositionCheck {
  constructor(source: FrameSource, session: Session, setup: Setup, connection?: GazeConnection);
  look(options?: { signal?: AbortSignal }): Promise<{ brightness: number; answer: FrameAnswer }>;
}

export interface MeasuredTarget {
  frames: number;
  usable: number;
  /** Median distance of the gaze from its median, as a share of the screen; null without any gaze. */
  spread: number | null;
  answers: FrameAnswer[];
}

export interface CalibrationImage {
  blob: Blob;
  timestampMs: number;
  target: [number, number];
  use: "fit" | "validate";
}

export interface CalibrationResult extends Record<string, unknown> {
  used: boolean;
  /** Why it is not used, such as `mirrored`. */
  reason: string | null;
  /** Whether left and right seem to be swapped, compared with `declared`; absent if the targets do not tell. */
  mirrored?: { suspected: boolean; declared: boolean };
}

export class Calibration {
  constructor(source: FrameSource, session: Session, setup: Setup, connection?: GazeConnection);
  readonly recorded: CalibrationImage[];
  measure(
    target: [number, number],
    options?: {
      use?: "fit" | "validate";
      frames?: number;
      onFrame?: (share: number) => void;
      signal?: AbortSignal;
    },
  ): Promise<MeasuredTarget>;
  replay(images: CalibrationImage[], options?: { signal?: AbortSignal }): Promise<void>;
  finish(options?: { signal?: AbortSignal }): Promise<CalibrationResult>;
}

export interface ViewingPoint {
  frameNumber: number;
  videoTimeMs: number;
  viewport: Viewport;
  gaze: Gaze | null;
  validity: FrameAnswer["validity"];
  flags: string[];
}

export class Viewing extends EventTarget {
  constructor(
    source: FrameSource,
    session: Session,
    setup: Setup,
    film: HTMLVideoElement,
    options?: { connection?: GazeConnection; maxRate?: number; element?: Element },
  );
  readonly queue: FrameQueue;
  readonly points: ViewingPoint[];
  /** Images that the camera delivered twice; they are not sent again. */
  readonly repeated: number;
  start(): void;
  pause(): Promise<void>;
  /** Can be called again after it threw. `giveUpAfterMs` is 120,000 unless given. */
  complete(options?: { giveUpAfterMs?: number }): Promise<Record<string, unknown>>;
  abort(): void;
}

/** Makes one attempt. With an `idempotencyKey`, the studio's gateway starts the same session for every repeat. */
export function startSession(
  videoId: string,
  options?: { url?: string; signal?: AbortSignal; idempotencyKey?: string },
): Promise<Session>;
export function locateOnScreen(
  element: Element,
  options?: { content?: { width: number; height: number } | null; view?: Window },
): Viewport;
export function findZoom(view?: Window): number;
export interface DeviceState {
  image?: { width: number; height: number };
  /** `screen.orientation.angle`, degrees. */
  angle: number;
}
export function turnSetup(
  setup: Pick<Setup, "screen" | "camera">,
  before: DeviceState,
  now: DeviceState,
): Pick<Setup, "screen" | "camera">;
export function fitImage(
  box: Viewport,
  content: { width: number; height: number } | null,
): Viewport;
export function retryDelayMs(attempt: number, retryAfterS: number | null, random?: () => number): number;
export function isTemporary(status: number): boolean;
export function wait(ms: number, signal?: AbortSignal): Promise<void>;
export function encodeJpeg(canvas: HTMLCanvasElement, quality: number): Promise<Blob>;
export function measureBrightness(context: CanvasRenderingContext2D): number;
export function measureSpread(points: { x: number; y: number }[]): number | null;
