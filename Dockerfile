# The function's image, and two more targets for where it is needed:
#
#   function     what clusters run (the default, last in this file)
#   neighbours   session API and aggregator of one machine, for the dev overlay; never in production
#   func-base    what `func build --builder=host` puts the function on, as it can neither leave out mediapipe's
#                dependencies nor install Debian packages
#
# Build arguments, all that a release must pin:
#
#   BASE_IMAGE         Debian with Python 3.11 or 3.12; name@sha256:…
#   SOURCE_DATE_EPOCH  time that every file under /opt gets
#   VERSION, REVISION  for the labels
ARG BASE_IMAGE=docker.io/library/python:3.11-slim-bookworm

# --- everything that Python needs -------------------------------------------------------------------------------------
FROM ${BASE_IMAGE} AS build
ARG SOURCE_DATE_EPOCH=0
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_COMPILE=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /build
# Third-party packages: every wheel has the hash that requirements.lock lists. This layer changes only with the lock.
COPY requirements.lock ./
COPY .ci/install .ci/install
RUN --mount=type=cache,target=/root/.cache/pip \
    python3 -m venv /opt/venv \
    && .ci/install locked /opt/venv/bin/python \
    && /opt/venv/bin/python -m pip uninstall --quiet --yes pip setuptools \
    # What is never imported: other people's tests, type stubs, sources for compiling against them, sample data.
    && site=$(echo /opt/venv/lib/python3.*/site-packages) \
    && find "$site/numpy" "$site/scipy" "$site/sklearn" "$site/joblib" "$site/mediapipe" \
        -type d \( -name tests -o -name test \) -prune -exec rm -r {} + \
    && find "$site" -type f -regex '.*\.\(pyi\|pxd\|pyx\|pyx\.tp\|h\|a\|c\|cpp\|f\)' -delete \
    && rm -r "$site/cv2/data" "$site/sklearn/datasets/data" "$site/sklearn/datasets/images" "$site/sklearn/datasets/descr" \
    # Byte code that never looks at times, as a read-only root cannot keep what Python compiles at the start.
    && python3 -m compileall -q -j 0 --invalidation-mode unchecked-hash /opt/venv/lib \
    && find /opt/venv -exec touch --no-dereference --date="@${SOURCE_DATE_EPOCH}" {} +
# What we wrote, in a place of its own: a new version is a small layer on the same large one.
COPY pyproject.toml README.md LICENSE ./
COPY gaze_core gaze_core
COPY func func
COPY models models
COPY gaze_tools gaze_tools
RUN --mount=type=cache,target=/root/.cache/pip \
    python3 -m venv /build/tools \
    && .ci/install locked /build/tools/bin/python setuptools \
    && /build/tools/bin/python -m pip install --quiet --no-build-isolation --no-deps --target /opt/function . \
    && mkdir /opt/neighbours && mv /opt/function/gaze_tools /opt/neighbours/ \
    && python3 -m compileall -q -j 0 --invalidation-mode unchecked-hash /opt/function /opt/neighbours \
    && find /opt/function /opt/neighbours -exec touch --no-dereference --date="@${SOURCE_DATE_EPOCH}" {} +

# --- what all images stand on -----------------------------------------------------------------------------------------
FROM ${BASE_IMAGE} AS runtime
# libmediapipe.so is linked against EGL and GLES, though it computes on the CPU. No versions: Debian removes old ones.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends libegl1 libgles2 \
    && rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/cache/ldconfig/* /var/log/*
# The root file system may be read-only: what is temporary goes to the memory that every container has. One thread is
# enough for the small matrices here, and a pool for each CPU of the node is not.
ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 TMPDIR=/dev/shm HOME=/dev/shm \
    OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1
# Numeric, so that Kubernetes can see that it is not root.
USER 65532:65532

# --- base for func's host builder -------------------------------------------------------------------------------------
FROM runtime AS func-base
USER 0:0
# hadolint ignore=DL3042
RUN --mount=type=cache,target=/root/.cache/pip \
    --mount=type=bind,source=requirements.lock,target=/build/requirements.lock \
    --mount=type=bind,source=.ci/install,target=/build/.ci/install \
    /build/.ci/install locked python3 mediapipe
USER 65532:65532

# --- neighbours for the dev overlay -----------------------------------------------------------------------------------
FROM runtime AS neighbours
COPY --from=build /opt/venv /opt/venv
COPY --from=build /opt/function /opt/function
COPY --from=build /opt/neighbours /opt/neighbours
ENV PATH=/opt/venv/bin:$PATH PYTHONPATH=/opt/function:/opt/neighbours
EXPOSE 8080
ENTRYPOINT ["python", "-m"]
CMD ["gaze_tools.stack.session_api", "--host=0.0.0.0", "--port=8080"]

# --- the function -----------------------------------------------------------------------------------------------------
FROM runtime AS function
COPY --from=build /opt/venv /opt/venv
COPY --from=build /opt/function /opt/function
ENV PATH=/opt/venv/bin:$PATH PYTHONPATH=/opt/function
EXPOSE 8080
ENTRYPOINT ["functions-framework", "--source=/opt/function/func/main.py", "--target=handle"]
ARG VERSION=0.2.0
ARG REVISION=unknown
ARG BASE_IMAGE
LABEL org.opencontainers.image.title="gaze-function" \
      org.opencontainers.image.description="Where a viewer looks while a video plays: a stateless function for webcam gaze" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.base.name="${BASE_IMAGE}"
