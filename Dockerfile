# The Telegram bot. Build: docker build -t dealquest-bot .   Run: see compose.yaml
FROM python:3.12-slim AS build
WORKDIR /source
COPY . .
RUN python -m venv /venv \
 && /venv/bin/pip install --no-cache-dir --require-hashes -r constraints.txt \
 && /venv/bin/pip install --no-cache-dir --no-deps --no-build-isolation . ./adapters/telegram

FROM python:3.12-slim
# Data that outlives the container goes to a volume mounted at /data; no VOLUME here, since some hosts refuse to build one.
RUN useradd --create-home --uid 10001 dealquest && install -d -o dealquest -g dealquest /data
COPY --from=build /venv /venv
USER dealquest
ENV DEALQUEST_HOME=/data PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1
# The bot touches this file while updates come in.
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s \
    CMD python -c "import os, sys, time; sys.exit(time.time() - os.stat('/data/telegram-health').st_mtime > 120)"
STOPSIGNAL SIGTERM
CMD ["dealquest", "bot"]
