/** Consent → camera → calibration → film → score. */

import { GazeCalibrationPlugin, GazeCameraPlugin, GazeExtension } from "./jspsych-gaze.js";

// Measure your participants' screen, or ask for it: these values are those of the rendered sample person.
const setup = {
  screen: { width_mm: 345, height_mm: 194 },
  camera: { vertical_fov_deg: 50, offset_y_mm: 8 },
};

const jsPsych = globalThis.initJsPsych({
  extensions: [{ type: GazeExtension, params: { setup } }],
  on_finish: () => jsPsych.data.displayData("json"),
});

const consent = {
  type: globalThis.jsPsychHtmlButtonResponse,
  stimulus:
    "<p>You will watch a film of 10 seconds. Meanwhile, images of your camera go to our server, " +
    "which computes where you look and drops the images.</p>",
  choices: ["I agree", "No, thank you"],
  on_finish: ({ response }) => {
    if (response === 1) jsPsych.abortExperiment("<p>Thank you. Nothing was recorded.</p>");
  },
};

const camera = {
  type: GazeCameraPlugin,
  on_finish: ({ problem }) => {
    if (problem) jsPsych.abortExperiment(`<p>The camera cannot be used (${problem}).</p>`);
  },
};

const enterFullScreen = {
  type: globalThis.jsPsychFullscreen,
  message: "<p>Look at the centre of each target until it moves. Then a film begins.</p>",
  button_label: "Start",
};

const calibration = { type: GazeCalibrationPlugin };

const film = {
  type: globalThis.jsPsychVideoButtonResponse,
  stimulus: ["film.webm"],
  choices: [],
  css_classes: ["gaze-film"], // fills the screen
  autoplay: false, // the extension starts it, together with the frames
  trial_ends_after_video: true,
  extensions: [{ type: GazeExtension, params: { video_id: "sample" } }],
};

const leaveFullScreen = {
  type: globalThis.jsPsychFullscreen,
  fullscreen_mode: false,
  on_start: () => jsPsych.extensions.gaze.source.stop(),
};

const score = {
  type: globalThis.jsPsychHtmlButtonResponse,
  stimulus: () => {
    const [row] = jsPsych.data.get().filter({ trial_type: "video-button-response" }).values();
    const { gaze_score, gaze_chance, gaze_problem } = row;
    return gaze_score === null
      ? `<p>There is no score: ${gaze_problem}.</p>`
      : `<p>Your gaze was on salient places in <b id="score">${gaze_score}</b> % of the frames; ` +
          `a random gaze would be in ${gaze_chance} %.</p>`;
  },
  choices: ["Finish"],
};

await jsPsych.run([consent, camera, enterFullScreen, calibration, film, leaveFullScreen, score]);
