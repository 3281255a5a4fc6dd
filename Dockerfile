# Targets:
#
#   function     the function's image, which clusters run (default, last in this file)
#   lite         the function without MediaPipe and scikit-learn: the same networks in LiteRT, the same trees as ONNX
#   upstream     the local session API and aggregator, for the dev overlays; never in production
#   func-base    base image for `func build --builder=host`, which can neither skip mediapipe's dependencies nor install
#                Debian packages
#
# Build arguments to set for a release:
#
#   BASE_IMAGE         Debian with Python 3.11 or 3.12, as name@sha256:…
#   SOURCE_DATE_EPOCH  modification time of every file under /opt
#   VERSION, REVISION  image labels
ARG BASE_IMAGE=docker.io/library/python:3.11-slim-bookworm

# --- Python packages --------------------------------------------------------------------------------------------------
FROM ${BASE_IMAGE} AS build
ARG SOURCE_DATE_EPOCH=0
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_COMPILE=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /build
# Third-party packages, checked against the hashes in requirements.lock. This layer changes only with the lock.
COPY requirements.lock ./
COPY .ci/install .ci/install
RUN --mount=type=cache,target=/root/.cache/pip \
    python3 -m venv /opt/venv \
    && .ci/install locked /opt/venv/bin/python requirements.lock \
    && /opt/venv/bin/python -m pip uninstall --quiet --yes pip setuptools \
    # Remove what is never imported: tests, type stubs, sources and headers, sample data.
    && site=$(echo /opt/venv/lib/python3.*/site-packages) \
    && find "$site/numpy" "$site/scipy" "$site/sklearn" "$site/joblib" "$site/mediapipe" \
        -type d \( -name tests -o -name test \) -prune -exec rm -r {} + \
    && find "$site" -type f -regex '.*\.\(pyi\|pxd\|pyx\|pyx\.tp\|h\|a\|c\|cpp\|f\)' -delete \
    && rm -r "$site/cv2/data" "$site/sklearn/datasets/data" "$site/sklearn/datasets/images" "$site/sklearn/datasets/descr" \
    # Compile now, since a read-only root cannot store byte code; unchecked, so that file times do not matter.
    && python3 -m compileall -q -j 0 --invalidation-mode unchecked-hash /opt/venv/lib \
    && find /opt/venv -exec touch --no-dereference --date="@${SOURCE_DATE_EPOCH}" {} +

# --- the same for the lite image --------------------------------------------------------------------------------------
FROM ${BASE_IMAGE} AS build-lite
ARG SOURCE_DATE_EPOCH=0
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_COMPILE=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /build
COPY requirements-lite.lock ./
COPY .ci/install .ci/install
RUN --mount=type=cache,target=/root/.cache/pip \
    python3 -m venv /opt/venv \
    && .ci/install locked /opt/venv/bin/python requirements-lite.lock \
    && /opt/venv/bin/python -m pip uninstall --quiet --yes pip setuptools \
    && site=$(echo /opt/venv/lib/python3.*/site-packages) \
    && find "$site/numpy" -type d -name tests -prune -exec rm -r {} + \
    && find "$site" -type f -regex '.*\.\(pyi\|pxd\|pyx\|h\|a\|c\|cpp\)' -delete \
    # LiteRT's accelerators, compilers and command-line tools, none of which the interpreter loads.
    && rm -r "$site/cv2/data" "$site/ai_edge_litert/vendors" "$site/ai_edge_litert/tools" \
    && rm "$site/ai_edge_litert/libLiteRtWebGpuAccelerator.so" \
    && python3 -m compileall -q -j 0 --invalidation-mode unchecked-hash /opt/venv/lib \
    && find /opt/venv -exec touch --no-dereference --date="@${SOURCE_DATE_EPOCH}" {} +

# --- our own code -----------------------------------------------------------------------------------------------------
FROM build AS build-function
ARG SOURCE_DATE_EPOCH=0
# Our own code in a separate folder, so that a new version only adds a small layer.
COPY pyproject.toml README.md LICENSE ./
COPY gaze_core gaze_core
COPY func func
COPY models models
COPY gaze_tools gaze_tools
RUN --mount=type=cache,target=/root/.cache/pip \
    python3 -m venv /build/tools \
    && .ci/install locked /build/tools/bin/python requirements.lock setuptools \
    && /build/tools/bin/python -m pip install --quiet --no-build-isolation --no-deps --target /opt/function . \
    && mkdir /opt/upstream && mv /opt/function/gaze_tools /opt/upstream/ \
    && python3 -m compileall -q -j 0 --invalidation-mode unchecked-hash /opt/function /opt/upstream \
    && find /opt/function /opt/upstream -exec touch --no-dereference --date="@${SOURCE_DATE_EPOCH}" {} +

# --- common base ------------------------------------------------------------------------------------------------------
FROM ${BASE_IMAGE} AS runtime
# libmediapipe.so is linked against EGL and GLES although it computes on the CPU. Versions are not pinned because Debian
# removes old ones.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends libegl1 libgles2 \
    && rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/cache/ldconfig/* /var/log/*
# The root file system may be read-only, so temporary files go to /dev/shm. One BLAS thread: the matrices are small, and
# a thread for each CPU of the node would only cost time.
ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 TMPDIR=/dev/shm HOME=/dev/shm \
    OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1
# Numeric, so that Kubernetes can verify that it is not root.
USER 65532:65532

# --- the function without MediaPipe and scikit-learn ------------------------------------------------------------------
FROM ${BASE_IMAGE} AS lite
ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 TMPDIR=/dev/shm HOME=/dev/shm \
    OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 \
    FACE_LANDMARKER=litert GAZE_MODEL=/opt/function/models/gaze_model.onnx
USER 65532:65532
COPY --from=build-lite /opt/venv /opt/venv
COPY --from=build-function /opt/function /opt/function
ENV PATH=/opt/venv/bin:$PATH PYTHONPATH=/opt/function
EXPOSE 8080
ENTRYPOINT ["functions-framework", "--source=/opt/function/func/main.py", "--target=handle"]
ARG VERSION=0.2.0
ARG REVISION=unknown
ARG BASE_IMAGE
LABEL org.opencontainers.image.title="gaze-function-lite" \
      org.opencontainers.image.description="Webcam gaze estimation and attention scoring as a stateless function" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.base.name="${BASE_IMAGE}"

# --- base for func's host builder -------------------------------------------------------------------------------------
FROM runtime AS func-base
USER 0:0
# hadolint ignore=DL3042
RUN --mount=type=cache,target=/root/.cache/pip \
    --mount=type=bind,source=requirements.lock,target=/build/requirements.lock \
    --mount=type=bind,source=.ci/install,target=/build/.ci/install \
    /build/.ci/install locked python3 requirements.lock mediapipe
USER 65532:65532

# --- session API and aggregator for the dev overlays ------------------------------------------------------------------
FROM runtime AS upstream
COPY --from=build /opt/venv /opt/venv
COPY --from=build-function /opt/function /opt/function
COPY --from=build-function /opt/upstream /opt/upstream
ENV PATH=/opt/venv/bin:$PATH PYTHONPATH=/opt/function:/opt/upstream
EXPOSE 8080
ENTRYPOINT ["python", "-m"]
CMD ["gaze_tools.stack.session_api", "--host=0.0.0.0", "--port=8080"]

# --- the function -----------------------------------------------------------------------------------------------------
FROM runtime AS function
COPY --from=build /opt/venv /opt/venv
COPY --from=build-function /opt/function /opt/function
ENV PATH=/opt/venv/bin:$PATH PYTHONPATH=/opt/function
EXPOSE 8080
ENTRYPOINT ["functions-framework", "--source=/opt/function/func/main.py", "--target=handle"]
ARG VERSION=0.2.0
ARG REVISION=unknown
ARG BASE_IMAGE
LABEL org.opencontainers.image.title="gaze-function" \
      org.opencontainers.image.description="Webcam gaze estimation and attention scoring as a stateless function" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.base.name="${BASE_IMAGE}"
