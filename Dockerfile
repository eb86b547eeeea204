# syntax=docker/dockerfile:1
#
#   docker build -t wheelgate .
#
# Without a way out, from a folder of wheels made elsewhere (deploy/README.md says how):
#
#   docker build -t wheelgate --build-context wheelhouse=./wheelhouse --build-arg PIP_NO_INDEX=1 .
#
# and with a base image of one's own: --build-arg BASE=registry.corp.example/python:3.11-slim

ARG BASE=python:3.11-slim

# An empty wheelhouse: `--build-context wheelhouse=FOLDER` takes its place.
FROM scratch AS wheelhouse

FROM ${BASE} AS build
# Where there is no index to ask: PIP_NO_INDEX=1. An index of one's own: PIP_INDEX_URL.
ARG PIP_NO_INDEX
ARG PIP_INDEX_URL
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_FIND_LINKS=/wheelhouse
WORKDIR /build
COPY requirements.lock requirements-build.lock ./
# Two environments: what builds the project does not go into the image.
RUN --mount=type=bind,from=wheelhouse,target=/wheelhouse \
    python3 -m venv /build/tools \
    && /build/tools/bin/python -m pip install --no-deps --require-hashes -r requirements-build.lock \
    && python3 -m venv /opt/wheelgate \
    && /opt/wheelgate/bin/python -m pip install --no-deps --require-hashes -r requirements.lock
COPY pyproject.toml README.md ./
COPY proxy proxy
RUN /build/tools/bin/python -m pip wheel --no-index --no-deps --no-build-isolation --wheel-dir dist . \
    && /opt/wheelgate/bin/python -m pip install --no-index --no-deps dist/*.whl \
    && /opt/wheelgate/bin/python -m compileall -q /opt/wheelgate/lib \
    && /opt/wheelgate/bin/python -m pip uninstall --yes --quiet setuptools pip

FROM ${BASE}
# A number, so that Kubernetes can see that it is not root. The folder `packages` is the embedded default's.
RUN mkdir -p /var/cache/wheelgate /srv/wheelgate/packages \
    && chown -R 10001:10001 /var/cache/wheelgate /srv/wheelgate
COPY --from=build /opt/wheelgate /opt/wheelgate
ENV PATH=/opt/wheelgate/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    XDG_CACHE_HOME=/var/cache
USER 10001:10001
WORKDIR /srv/wheelgate
VOLUME /var/cache/wheelgate
EXPOSE 8080
# Alive, not ready: a server that waits for a credential must not be restarted for it.
HEALTHCHECK --interval=15s --timeout=5s --start-period=20s --retries=3 \
    CMD ["python", "-c", "import urllib.request as r; r.build_opener(r.ProxyHandler({})).open('http://127.0.0.1:8080/livez', timeout=4)"]
ENTRYPOINT ["wheelgate", "serve", "--host", "0.0.0.0"]
