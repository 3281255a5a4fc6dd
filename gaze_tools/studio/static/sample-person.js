/** The rendered sample person as a source of frames: looks at targets and watches the sample film. */

import { encodeJpeg, measureBrightness, wait } from "./gaze-client.js";

export class SamplePerson extends EventTarget {
  static async open() {
    const about = await (await fetch("/api/sample-person")).json();
    const images = await Promise.all(
      about.targets.map(async ({ url, target }) => {
        const blob = await (await fetch(url)).blob();
        return { target, blob, bitmap: await createImageBitmap(blob) };
      }),
    );
    return new SamplePerson(about, images);
  }

  constructor(about, images) {
    super();
    // The person was rendered in front of a film in full screen, whatever the window is now.
    this.setup = { screen: about.screen, camera: about.camera, viewport: { x: 0, y: 0, width: 1, height: 1 } };
    this.label = "Sample";
    this.isLive = true;
    this.canvas = document.createElement("canvas");
    [this.canvas.width, this.canvas.height] = [640, 480];
    this._images = images;
    this._clip = document.createElement("video");
    this._clip.muted = true;
    this._clip.preload = "auto";
    this._clip.src = about.clip;
    this._turn = 0;
    this._film = null;
    this._rest = null;
    this.lookAt([0.5, 0.5]);
    this._timer = setInterval(() => this._draw(), 1000 / about.frames_per_s);
  }

  /** Turns the eyes to a target. */
  lookAt([x, y]) {
    const distance = ({ target }) => Math.hypot(target[0] - x, target[1] - y);
    const nearest = Math.min(...this._images.map(distance));
    this._fixating = this._images.filter((each) => distance(each) <= nearest + 1e-9);
    this._draw();
  }

  /** Watches a film: the clip of the person, which is loaded first, runs beside it. */
  async watch(film, signal) {
    await this._load(signal);
    this.rest();
    this._film = film;
    this._rest = new AbortController();
    const options = { signal: this._rest.signal };
    const follow = () => {
      this._clip.currentTime = film.currentTime;
    };
    film.addEventListener("seeked", follow, options);
    film.addEventListener("pause", () => this._clip.pause(), options);
    const play = () => {
      follow();
      this._clip.play().catch(() => {});
    };
    film.addEventListener("playing", play, options);
    // The film may have begun while the clip was loading.
    if (!film.paused) play();
  }

  rest() {
    this._rest?.abort();
    this._film = null;
    this._clip.pause();
  }

  /** Waits until the clip can be played to its end. */
  _load(signal) {
    const clip = this._clip;
    return new Promise((resolve, reject) => {
      const look = () => {
        if (clip.readyState >= HTMLMediaElement.HAVE_ENOUGH_DATA) resolve();
        else if (clip.error) reject(new TypeError("the sample person's clip cannot be loaded"));
      };
      clip.addEventListener("canplaythrough", resolve, { once: true, signal });
      clip.addEventListener("error", look, { once: true, signal });
      signal?.addEventListener("abort", () => reject(signal.reason), { once: true });
      if (clip.error) clip.load();
      look();
    });
  }

  _draw() {
    const context = this.canvas.getContext("2d", { alpha: false, willReadFrequently: true });
    if (this._film && this._clip.readyState >= 2) {
      context.drawImage(this._clip, 0, 0, 640, 480);
      return;
    }
    this._turn += 1;
    context.drawImage(this._fixating[this._turn % this._fixating.length].bitmap, 0, 0, 640, 480);
  }

  nextImage(signal) {
    return wait(50, signal);
  }

  async capture() {
    const timestampMs = performance.timeOrigin + performance.now();
    const context = this.canvas.getContext("2d", { alpha: false, willReadFrequently: true });
    return { blob: await encodeJpeg(this.canvas, 0.9), timestampMs, brightness: measureBrightness(context) };
  }

  stop() {
    clearInterval(this._timer);
    this.rest();
    this._clip.removeAttribute("src");
    this._clip.load();
  }
}
