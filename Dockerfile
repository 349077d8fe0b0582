# Small, non-root, and the same lock file as everywhere else.
FROM python:3.11-slim

ENV PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
WORKDIR /app

COPY requirements.lock ./
RUN pip install --no-cache-dir -r requirements.lock

COPY api_manager.py ./
COPY vanta_api ./vanta_api
COPY journal ./journal
COPY validator ./validator
COPY venues ./venues
COPY rest_server ./rest_server
COPY ws_server ./ws_server
COPY runtime ./runtime

RUN useradd --system --uid 10001 --home-dir /data vanta && mkdir -p /data && chown vanta /data
USER vanta
VOLUME /data
EXPOSE 48888 8765

HEALTHCHECK --interval=30s --timeout=5s --start-period=60s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:48888/readyz', timeout=4)"]

CMD ["python", "api_manager.py", "--serve", "--api-host", "0.0.0.0", "--data-dir", "/data", "--api-keys", "/data/api_keys.json"]
