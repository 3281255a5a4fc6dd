"""Times EyeTrax's own feature extraction. Runs in EyeTrax's environment, so it imports nothing of this project.

Arguments: the face landmarker bundle, then JPEG files. Prints one line of JSON when it is ready. For each line on its
standard input, an index of a file, it extracts the features and prints the wall and CPU time in seconds.
"""

import json
import os
import sys
import time


def main() -> None:
    """Answer until the end of the input."""
    # MediaPipe sends usage reports unless its proxy is unreachable.
    os.environ["HTTPS_PROXY"] = os.environ["https_proxy"] = "http://127.0.0.1:9"
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # libraries print, too
    import cv2  # noqa: PLC0415
    from eyetrax import GazeEstimator  # noqa: PLC0415

    cv2.setNumThreads(1)
    estimator = GazeEstimator(face_landmarker_model=sys.argv[1])
    images = [cv2.imread(path) for path in sys.argv[2:]]
    found = [estimator.extract_features(image)[0] is not None for image in images]
    answers.write(json.dumps({"faces": sum(found)}) + "\n")
    answers.flush()
    for line in sys.stdin:
        image = images[int(line)]
        started_s, cpu_started_s = time.perf_counter(), time.process_time()
        estimator.extract_features(image)
        cpu_s, wall_s = time.process_time() - cpu_started_s, time.perf_counter() - started_s
        answers.write(json.dumps({"wall_s": wall_s, "cpu_s": cpu_s}) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
