# syntax=docker/dockerfile:1
#
# The image of Salver: the server, ONNX Runtime beside it, nothing else. No shell, no models.
#
#   docker build -t salver:0.1.0 .
#   docker run --rm -p 8000:8000 -p 8001:8001 -p 8002:8002 \
#     --read-only -v "$PWD/models/repository:/models:ro" salver:0.1.0
#
# helm/tests lints this file and checks what can be read from it. No test builds the image.
#
# Bases are pinned by tag here. A release pins them by digest:
#   --build-arg RUST_IMAGE=docker.io/library/rust@sha256:...   (likewise PYTHON_IMAGE, BASE_IMAGE)
# Both compile bases are bookworm because the final base is Debian 12: the binary must not ask
# for a newer glibc than 2.36.
ARG RUST_IMAGE=docker.io/library/rust:1.95-bookworm
ARG PYTHON_IMAGE=docker.io/library/python:3.11-slim-bookworm
ARG BASE_IMAGE=gcr.io/distroless/cc-debian12:nonroot

# 1. The server. Build each architecture on a machine of that architecture: this stage does not
#    cross-compile, and a release build under emulation takes hours.
FROM ${RUST_IMAGE} AS build
ARG TARGETARCH
ENV CARGO_TARGET_DIR=/target \
    CARGO_INCREMENTAL=0
WORKDIR /src
COPY . .
# The two cache mounts keep downloaded and compiled dependencies from one build to the next.
# `touch` makes cargo compile the workspace's own crates every time: it compares file times, and
# sources checked out before the cached build ran would pass for unchanged, giving an old binary.
RUN --mount=type=cache,id=salver-registry,target=/usr/local/cargo/registry,sharing=locked \
    --mount=type=cache,id=salver-target-${TARGETARCH},target=/target,sharing=locked \
    find . -type f -exec touch {} + \
    && cargo build --release --locked -p server-app \
    && install -D -m 0755 /target/release/salver /out/salver

# 2. ONNX Runtime, taken from its wheel on PyPI. pip refuses a file whose hash differs. This stage
#    runs nothing of the target architecture, so it needs no emulation.
FROM --platform=${BUILDPLATFORM} ${PYTHON_IMAGE} AS onnxruntime
ARG TARGETARCH
ARG ONNXRUNTIME_VERSION=1.31.1
# sha256 of the cp311 manylinux_2_28 wheels; pass your own for another version.
ARG ONNXRUNTIME_SHA256_AMD64=5752bd508126ae7c49894d3b9d2e83f0c3d487319246d04c444b393308d7ad7f
ARG ONNXRUNTIME_SHA256_ARM64=da05378364c44d4407e463982d2bf8d5e4cfea873283757e48beeb41df97b7f3
WORKDIR /wheel
RUN --mount=type=cache,target=/root/.cache/pip,sharing=locked \
    case "${TARGETARCH}" in \
        amd64) machine=x86_64 sha256="${ONNXRUNTIME_SHA256_AMD64}" ;; \
        arm64) machine=aarch64 sha256="${ONNXRUNTIME_SHA256_ARM64}" ;; \
        *) echo "no ONNX Runtime wheel for ${TARGETARCH}" >&2; exit 1 ;; \
    esac \
    && echo "onnxruntime==${ONNXRUNTIME_VERSION} --hash=sha256:${sha256}" > wheel.txt \
    && pip download --no-deps --only-binary=:all: --require-hashes --requirement wheel.txt \
        --python-version 3.11 --implementation cp --abi cp311 \
        --platform "manylinux_2_28_${machine}" --dest . \
    && python -m zipfile -e onnxruntime-*.whl . \
    && install -D -m 0644 -t /out/lib \
        "onnxruntime/capi/libonnxruntime.so.${ONNXRUNTIME_VERSION}" \
    && install -D -m 0644 -t /out/licenses/onnxruntime \
        onnxruntime/LICENSE onnxruntime/ThirdPartyNotices.txt

# 3. The image. libstdc++ and libgcc, which ONNX Runtime needs, are in the `cc` base.
FROM ${BASE_IMAGE}
ARG BASE_IMAGE
# The workspace's version (a test compares them) and the commit, which the builder passes:
# --build-arg REVISION="$(git rev-parse HEAD)"
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="Salver" \
      org.opencontainers.image.description="Model inference server" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.base.name="${BASE_IMAGE}"

# The server looks for libonnxruntime.so* in lib/ beside itself.
COPY --from=onnxruntime /out/ /opt/salver/
COPY --from=build /out/salver /opt/salver/salver
ENV PATH="/opt/salver:${PATH}"
WORKDIR /

# Numeric, so that Kubernetes can see that it is not root.
USER 65532:65532
# Smoke: the binary starts on this base, as this user.
RUN ["/opt/salver/salver", "version"]

# Data over HTTP and gRPC (either port speaks both), metrics and health.
EXPOSE 8000 8001 8002
STOPSIGNAL SIGTERM
# Unhealthy means not ready: during the first five minutes that is not counted, models load.
# Asks 127.0.0.1:8000; if you change the HTTP port, change this too. Kubernetes ignores it.
HEALTHCHECK --interval=10s --timeout=5s --start-period=5m --retries=3 \
    CMD ["/opt/salver/salver", "client", "health"]
# The repository is an argument, not an ENV: the environment would outrank a configuration file.
ENTRYPOINT ["/opt/salver/salver"]
CMD ["serve", "--model-repository", "/models"]
