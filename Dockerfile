# A small image of Gentrifugo: docker build -t gentrifugo . && docker run -p 8000:8000 -e CENTRIFUGO_SECRET gentrifugo
#
# The tags of the base images move to newer images. To build from exactly the same image each time, add its digest to the
# tag, as in python:3.11-slim-trixie@sha256:... This command prints it:
# docker buildx imagetools inspect --format '{{.Manifest.Digest}}' python:3.11-slim-trixie

FROM node:24-trixie-slim AS web
WORKDIR /src
COPY scripts/web_libraries.sh scripts/
COPY admin/package.json admin/package-lock.json admin/
RUN scripts/web_libraries.sh

# Not the slim image, because the C module for sending needs a compiler.
FROM python:3.11-trixie AS build
WORKDIR /src
COPY requirements.txt ./
# Install only wheels, because the build requirements of source distributions have no hashes.
RUN python -m venv /opt/gentrifugo && \
    /opt/gentrifugo/bin/pip install --no-cache-dir --require-hashes --only-binary :all: --requirement requirements.txt
COPY setup.py pyproject.toml DESCRIPTION.md LICENSE __init__.py __main__.py _version.py testing.py py.typed ./
COPY app app
COPY engines engines
COPY admin admin
COPY client client
COPY --from=web /src/admin/web/vendor admin/web/vendor
RUN /opt/gentrifugo/bin/pip install --no-cache-dir --no-index --no-deps --no-build-isolation . && \
    /opt/gentrifugo/bin/pip uninstall --yes pip setuptools

FROM python:3.11-slim-trixie
COPY --from=build /opt/gentrifugo /opt/gentrifugo
RUN useradd --system --uid 10001 --no-create-home gentrifugo
USER 10001
ENV PATH=/opt/gentrifugo/bin:$PATH
EXPOSE 8000
STOPSIGNAL SIGTERM
# The check uses the port in CENTRIFUGO_PORT. With TLS or http_prefix, configure another health check.
HEALTHCHECK --interval=5s --timeout=3s CMD ["python", "-c", "import os, urllib.request as r; r.urlopen(f'http://127.0.0.1:{os.environ.get(\"CENTRIFUGO_PORT\") or 8000}/health', timeout=2)"]
# Set options in the environment, at least CENTRIFUGO_SECRET, or mount a configuration file and name it with --config.
ENTRYPOINT ["gentrifugo", "--health"]
