/** Step 1: what happens with the images, and consent. */

import { CameraSource } from "./gaze-client.js";
import { SamplePerson } from "./sample-person.js";

const byId = (id) => document.getElementById(id);

/** Texts for the errors of getUserMedia. */
const CAMERA_ERRORS = {
  NotAllowedError: "error.denied",
  SecurityError: "error.denied",
  NotFoundError: "error.noCamera",
  OverconstrainedError: "error.noCamera",
  NotReadableError: "error.busy",
  AbortError: "error.busy",
};

/** Opens a camera, or says why not; returns whether it is open. */
export async function openCamera(studio, deviceId) {
  if (!navigator.mediaDevices?.getUserMedia) {
    studio.showError("error.insecure", { port: location.port });
    return false;
  }
  studio.release();
  const turn = studio.releases;
  try {
    const source = await CameraSource.open({ deviceId }).catch((error) => {
      // The camera of before is gone; there may be another one.
      if (deviceId && ["OverconstrainedError", "NotFoundError"].includes(error.name)) return CameraSource.open();
      throw error;
    });
    if (!studio.take(source, turn)) return false;
    studio.deviceId = source.deviceId;
  } catch (error) {
    if (turn !== studio.releases) return false;
    const key = CAMERA_ERRORS[error.name];
    if (key) studio.showError(key);
    else studio.showFailure(error);
    return false;
  }
  return true;
}

/** Opens the sample person, or says why not; returns whether it is there. */
async function openSamplePerson(studio) {
  studio.release();
  const turn = studio.releases;
  try {
    return studio.take(await SamplePerson.open(), turn);
  } catch (error) {
    if (turn === studio.releases) studio.showFailure(error);
    return false;
  }
}

/** Opens again what was open before; returns whether it is open. */
export function reopen(studio) {
  return studio.isSample ? openSamplePerson(studio) : openCamera(studio, studio.deviceId);
}

export function setUpStart(studio) {
  const consent = byId("consent");
  consent.addEventListener("change", () => {
    byId("use-camera").disabled = !consent.checked;
  });
  byId("use-camera").addEventListener("click", async () => {
    studio.hideError();
    studio.isSample = false;
    if (await openCamera(studio)) await studio.go("camera");
  });
  byId("use-sample").addEventListener("click", async () => {
    studio.hideError();
    studio.isSample = true;
    if (await openSamplePerson(studio)) await studio.go("camera");
  });
  return {
    enter() {
      studio.release();
      // It may be another viewer now, and some browsers remember the tick when the page is loaded again.
      consent.checked = false;
      byId("use-camera").disabled = true;
      studio.setup.calibration = null;
      studio.calibrationResult = null;
    },
  };
}
