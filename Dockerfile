# linkstream alone: Python, the pinned packages, each checked against its hash, and nothing of what built them. It runs as
# nobody in particular, and needs no more to write than /var/lib/linkstream; the rest may be read-only.
#
# The base image is pinned by its tag. A registry may move a tag; where that matters, pin the digest that you checked:
#   docker build --build-arg PYTHON=python:3.11.14-slim-bookworm@sha256:<digest> .
ARG PYTHON=python:3.11.14-slim-bookworm

FROM ${PYTHON} AS build
WORKDIR /src
COPY requirements/ requirements/
RUN python -m venv /opt/tools \
 && /opt/tools/bin/pip install --no-cache-dir --no-deps --require-hashes -r requirements/dev.lock
RUN python -m venv /opt/linkstream \
 && /opt/linkstream/bin/pip install --no-cache-dir --no-deps --require-hashes -r requirements/run.lock
COPY pyproject.toml README.md LICENSE topics.yaml ./
COPY stream/ stream/
COPY connectors/ connectors/
RUN /opt/tools/bin/python -m hatchling build -t wheel -d /opt/wheel \
 && /opt/linkstream/bin/pip install --no-cache-dir --no-deps --no-index /opt/wheel/*.whl \
 && /opt/linkstream/bin/linkstream version
RUN mkdir -p /etc/linkstream \
 && { cat topics.yaml; echo 'web: {listen: "${LINKSTREAM_WEB:-127.0.0.1:8900}", topic_link: "${LINKSTREAM_TOPIC_LINK:-}"}'; } > /etc/linkstream/topics.yaml

FROM ${PYTHON}
RUN groupadd --system --gid 10001 linkstream \
 && useradd --system --uid 10001 --gid 10001 --home-dir /var/lib/linkstream --shell /usr/sbin/nologin linkstream \
 && install -d -o 10001 -g 10001 -m 0700 /var/lib/linkstream
COPY --from=build /opt/linkstream /opt/linkstream
COPY --from=build /etc/linkstream /etc/linkstream
ENV PATH=/opt/linkstream/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    LINKSTREAM_CONFIG=/etc/linkstream/topics.yaml \
    LINKSTREAM_LOG_FORMAT=json
WORKDIR /var/lib/linkstream
USER 10001:10001
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s \
  CMD ["python", "-c", "import os, urllib.request as u; u.urlopen('http://' + os.getenv('LINKSTREAM_WEB', '127.0.0.1:8900') + '/livez')"]
ENTRYPOINT ["linkstream"]
CMD ["run"]
