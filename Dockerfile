# previewops in a container: docker build --tag previewops . ; compose.yaml has a complete system.
ARG PYTHON=3.12

FROM python:${PYTHON}-slim-bookworm AS build
# Optional dependencies, separated by commas: objects stores bundles in a bucket, fonts draws Chinese, Japanese, Korean,
# formats reads HEIF, JPEG XL, SVG and PDF.
ARG EXTRAS=objects,fonts,formats
WORKDIR /source
COPY . .
RUN python -m venv /venv \
 && /venv/bin/pip install --no-cache-dir --disable-pip-version-check -c constraints.txt ".[${EXTRAS}]" \
 && /venv/bin/pip uninstall --yes --quiet pip

FROM python:${PYTHON}-slim-bookworm
# Fonts for other scripts and emoji, and fontconfig to find them. The package bundles Latin, Greek and Cyrillic.
RUN apt-get update \
 && apt-get install --yes --no-install-recommends fontconfig fonts-noto-core fonts-noto-color-emoji \
 && rm -rf /var/lib/apt/lists/* \
 && fc-cache --system-only \
 && groupadd --system --gid 10001 previewops \
 && useradd --system --uid 10001 --gid 10001 --no-create-home --home-dir /data --shell /usr/sbin/nologin previewops \
 && install --directory --owner=previewops --group=previewops --mode=0750 /data
COPY --from=build /venv /venv
ENV PATH=/venv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    DATA_DIR=/data \
    PREVIEW_ASSET_ROOTS=/data/assets
# All writes go to /data and /tmp, which may be a tmpfs, so the root file system can be read-only.
VOLUME /data
WORKDIR /data
# A number: Kubernetes cannot see that a name is not root's.
USER 10001:10001
STOPSIGNAL SIGTERM
# Checks that the supervisor or worker of this container makes progress. Not `previewops health`: that checks the queue
# and all hosts, so a hundred dead letters would make every container unhealthy. Nor Redis: while it is away, workers
# wait, and some orchestrators would replace them all.
HEALTHCHECK --interval=20s --timeout=5s --start-period=60s --retries=3 \
  CMD ["previewops", "alive"]
ENTRYPOINT ["previewops"]
CMD ["supervise"]
