/** Step 2: camera, position, size of the screen and place of the lens. */

import { findZoom, PositionCheck, startSession, wait } from "./gaze-client.js";
import { setText, t } from "./i18n.js";
import { openCamera } from "./step-start.js";

const byId = (id) => document.getElementById(id);
const CARD_MM = { width: 85.6, height: 53.98 }; // ISO/IEC 7810 ID-1
/** A 15.6-inch laptop; phones have about 160 CSS pixels per inch. */
const LAPTOP_MM = [345, 194];
const PHONE_PX = 600;
const USUAL = {
  get screenMm() {
    const isPhone = Math.min(screen.width, screen.height) < PHONE_PX;
    return isPhone ? [screen.width, screen.height].map((each) => Math.round((each * 25.4) / 160)) : LAPTOP_MM;
  },
  lens: [0, 8],
  fovDeg: 63,
};
const LOOK_EVERY_MS = 350;
const [BLACK, DARK] = [10, 40];
const [NEAR_MM, FAR_MM] = [300, 900];
const TURNED_DEG = 25;

const FLAG_HINTS = {
  face_rotated: "rotated",
  eyes_covered: "covered",
  implausible_face: "drawing",
  head_turned_away: "turned",
  face_cut_off: "cutOff",
  face_too_small: "tooFar",
  no_contrast: "noContrast",
  too_dark: "dark",
};

/** Returns the hint for an image and its answer: name, state and values. */
export function chooseHint(brightness, answer) {
  const bad = (name) => ({ name, state: "bad", values: {} });
  if (brightness < BLACK) return bad("black");
  const flags = answer.flags ?? [];
  if (flags.includes("several_faces")) return bad("severalFaces");
  if (answer.validity === "no_face") return bad(brightness < DARK ? "dark" : "noFace");
  if (answer.validity === "eyes_closed") return bad("eyesClosed");
  const flagged = flags.find((flag) => flag in FLAG_HINTS);
  if (answer.validity === "low_quality") return bad(flagged ? FLAG_HINTS[flagged] : "noContrast");
  const { distance_mm: distance, head_pose_deg: pose } = answer;
  if (distance < NEAR_MM) return bad("tooClose");
  if (distance > FAR_MM) return bad("tooFar");
  if (pose && Math.max(Math.abs(pose.yaw), Math.abs(pose.pitch)) > TURNED_DEG) return bad("turned");
  if (brightness < DARK) return bad("dark");
  if (!distance) return { name: "good", state: "good", values: {} };
  return { name: "goodDistance", state: "good", values: { distance: Math.round(distance / 10) } };
}

const NUMBERS = ["screen-width", "screen-height", "lens-x", "lens-y", "distance"];

/** Returns the vertical field of view at which an estimated distance becomes the measured one. */
export function correctFieldOfView(fovDeg, estimatedMm, measuredMm) {
  const half = Math.tan((fovDeg * Math.PI) / 360) * (estimatedMm / measuredMm);
  return Math.min(150, Math.max(10, (Math.atan(half) * 360) / Math.PI));
}

/** Returns what an estimated distance would be with another vertical field of view. */
export function scaleDistance(distanceMm, fovDeg, otherFovDeg) {
  const half = (each) => Math.tan((each * Math.PI) / 360);
  return (distanceMm * half(fovDeg)) / half(otherFovDeg);
}

export function setUpCamera(studio) {
  const hint = byId("hint");
  let running = null;
  /** Latest estimates of the distance, as they would be with the usual field of view. */
  let distances = [];
  let knownFovDeg = USUAL.fovDeg;
  let fovDeg = knownFovDeg;

  const readNumber = (id, usual) => {
    const field = byId(id);
    const value = field.valueAsNumber;
    return Number.isFinite(value) && field.validity.valid ? value : usual;
  };

  /** Returns the first field whose number cannot be used; only the distance may stay empty. */
  const findWrongNumber = () =>
    studio.isSample
      ? undefined
      : NUMBERS.map(byId).find(({ id, value, validity }) => !validity.valid || (value === "" && id !== "distance"));

  /** Takes the field of view that the measured distance shows; without one, what is known of the camera. */
  const measureFieldOfView = () => {
    const measured = studio.isSample ? null : readNumber("distance", null);
    studio.distanceMm = measured;
    fovDeg = knownFovDeg;
    if (measured === null || !distances.length) return;
    const middle = [...distances].sort((a, b) => a - b)[Math.floor(distances.length / 2)];
    fovDeg = Math.round(10 * correctFieldOfView(USUAL.fovDeg, middle, measured)) / 10;
  };

  const readSetup = () => {
    if (studio.isSample) return studio.source.setup;
    return {
      screen: {
        width_mm: readNumber("screen-width", USUAL.screenMm[0]),
        height_mm: readNumber("screen-height", USUAL.screenMm[1]),
        width_px: Math.round(screen.width),
        height_px: Math.round(screen.height),
      },
      camera: {
        vertical_fov_deg: fovDeg,
        offset_x_mm: readNumber("lens-x", USUAL.lens[0]),
        offset_y_mm: readNumber("lens-y", USUAL.lens[1]),
        ...(studio.isMirrored ? { mirrored: true } : {}),
      },
    };
  };

  /** The viewer sees a mirror, whether or not the camera's image is one already. */
  const showMirroring = () => byId("mirror").toggleAttribute("data-mirrored", studio.isMirrored);

  const cardSize = (screenMm) => Math.round((CARD_MM.width * screen.width) / (screenMm * findZoom()));

  const drawCard = () => {
    const width = Number(byId("card-size").value);
    const isUpright = width > byId("card").parentElement.clientWidth;
    const height = (width * CARD_MM.height) / CARD_MM.width;
    byId("card").style.width = `${isUpright ? height : width}px`;
    byId("card").style.height = `${isUpright ? width : height}px`;
  };

  const showHint = ({ name, state, values }) => {
    if (hint.dataset.state === state && hint.dataset.t === `hint.${name}` && !values.distance) return;
    hint.dataset.state = state;
    setText(hint, `hint.${name}`, values);
  };

  const listCameras = async () => {
    const choice = byId("cameras");
    const devices = studio.isSample ? [] : await navigator.mediaDevices.enumerateDevices();
    const cameras = devices.filter(({ kind }) => kind === "videoinput");
    byId("camera-choice").hidden = cameras.length < 2;
    const current = studio.source?.deviceId;
    choice.replaceChildren(
      ...cameras.map(({ deviceId, label }, index) => {
        const isCurrent = deviceId === current;
        return new Option(label || t("camera.unnamed", { number: index + 1 }), deviceId, isCurrent, isCurrent);
      }),
    );
  };

  const watchPosition = async (signal) => {
    let check = null;
    while (!signal.aborted) {
      byId("camera-again").hidden = studio.source.isLive !== false;
      if (studio.source.isLive === false) {
        showHint({ name: "lost", state: "bad", values: {} });
      } else {
        try {
          check ??= new PositionCheck(studio.source, await startSession("check", { signal }), {});
          measureFieldOfView();
          const usedFovDeg = fovDeg;
          check.setup = readSetup();
          const { brightness, answer } = await check.look({ signal });
          if (answer.distance_mm) {
            const usual = scaleDistance(answer.distance_mm, usedFovDeg, USUAL.fovDeg);
            distances = [...distances.slice(-8), usual];
          }
          const isStill = studio.source.isStill && brightness >= BLACK;
          showHint(isStill ? { name: "still", state: "bad", values: {} } : chooseHint(brightness, answer));
        } catch (error) {
          if (signal.aborted) return;
          check = null;
          showHint({ name: "server", state: "bad", values: {} });
        }
      }
      await wait(LOOK_EVERY_MS, signal).catch(() => {});
    }
  };

  const restart = async () => {
    running?.abort();
    running = new AbortController();
    const { signal } = running;
    distances = [];
    const shown = studio.source.video ?? studio.source.canvas;
    byId("mirror").replaceChildren(shown);
    byId("mirrored-camera").closest("label").hidden = !studio.isMirrored;
    byId("mirrored-camera").checked = studio.isMirrored;
    showMirroring();
    showHint({ name: "wait", state: "wait", values: {} });
    await listCameras();
    watchPosition(signal);
  };

  const open = async (deviceId) => {
    running?.abort();
    studio.hideError();
    if (await openCamera(studio, deviceId)) await restart();
    else byId("camera-again").hidden = false;
  };
  byId("mirrored-camera").addEventListener("change", ({ target }) => {
    studio.rememberMirroring({ isMirrored: target.checked, isChosen: true });
    showMirroring();
  });
  byId("cameras").addEventListener("change", ({ target }) => open(target.value));
  byId("camera-again").addEventListener("click", () => open(studio.deviceId));
  navigator.mediaDevices?.addEventListener?.("devicechange", () => {
    if (studio.current === "camera" && studio.source) listCameras();
  });
  byId("card-size").addEventListener("input", ({ target }) => {
    drawCard();
    // The card is drawn in pixels of the page, which the zoom of the page makes larger than those of the screen.
    const mmPerPx = CARD_MM.width / (Number(target.value) * findZoom());
    byId("screen-width").value = Math.round(screen.width * mmPerPx);
    byId("screen-height").value = Math.round(screen.height * mmPerPx);
  });
  for (const id of ["screen-width", "screen-height"]) {
    byId(id).addEventListener("change", () => {
      byId("card-size").value = cardSize(readNumber("screen-width", LAPTOP_MM[0]));
      drawCard();
    });
  }
  window.addEventListener("resize", drawCard);

  byId("camera-done").addEventListener("click", async () => {
    if (!studio.source || studio.source.isLive === false) return;
    const wrong = findWrongNumber();
    // Beside the button, because the top of the page is out of sight when the field is in sight.
    byId("number-problem").hidden = !wrong;
    if (wrong) {
      const { min, max } = wrong;
      setText(byId("number-problem"), wrong.id === "distance" ? "error.distance" : "error.number", { min, max });
      wrong.focus({ preventScroll: true });
      wrong.scrollIntoView({ block: "center" }); // not behind the message
      return;
    }
    measureFieldOfView();
    Object.assign(studio.setup, { viewport: undefined }, readSetup());
    if (!studio.isSample) {
      const { screen: size, camera } = studio.setup;
      studio.remember({
        screenMm: [size.width_mm, size.height_mm],
        lens: [camera.offset_x_mm, camera.offset_y_mm],
        fovDeg,
      });
    }
    await studio.go("calibration");
  });

  return {
    async enter() {
      const { screenMm = USUAL.screenMm, lens = USUAL.lens, fovDeg: known = USUAL.fovDeg } = studio.remembered;
      knownFovDeg = known;
      [byId("screen-width").value, byId("screen-height").value] = screenMm;
      [byId("lens-x").value, byId("lens-y").value] = lens;
      byId("distance").value = "";
      byId("number-problem").hidden = true;
      byId("card-size").value = cardSize(screenMm[0]);
      for (const fields of document.querySelectorAll('[data-view="camera"] fieldset')) {
        fields.hidden = studio.isSample;
      }
      drawCard();
      await restart();
    },
    leave() {
      running?.abort();
    },
    translate: listCameras,
  };
}
