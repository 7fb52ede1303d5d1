# The worker. `docker build -t chunkwise .`; settings are environment variables, see compose.yaml.
# The tag is exact, but a registry may put another image under it. To pin the image itself, put the
# digest behind the tag, python:3.11.14-slim-bookworm@sha256:…, that this prints:
#   docker buildx imagetools inspect python:3.11.14-slim-bookworm --format '{{.Manifest.Digest}}'
FROM python:3.11.14-slim-bookworm

ENV PYTHONUNBUFFERED=1 PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore

WORKDIR /opt/chunkwise
COPY requirements-worker.lock ./
RUN pip install --require-hashes -r requirements-worker.lock
COPY pyproject.toml LICENSE README.md ./
COPY supabase/migrations ./supabase/migrations
COPY supabase/snippets ./supabase/snippets
COPY supabase/upgrades ./supabase/upgrades
COPY supabase/legacy ./supabase/legacy
COPY workers ./workers
RUN pip install --no-deps --no-build-isolation --no-index .

# Where it is mounted writable only /tmp is needed.
WORKDIR /tmp
USER 10001:10001
ENV CHUNKWISE_PULSE_FILE=/tmp/chunkwise.pulse
HEALTHCHECK --interval=30s --timeout=5s --start-period=30s CMD ["python", "-m", "chunkwise.worker.liveness"]
ENTRYPOINT ["chunkwise"]
CMD ["worker"]
