"""The Flask application: one blueprint per resource, one error shape, one access log.

Rule: everything an application needs is handed in; nothing is read from the environment or kept globally.
"""

from __future__ import annotations

from typing import Final

from flask import Flask
from flask_compress import Compress

from rest_server import access_log, errors
from rest_server.documents import COMPRESS_FROM
from rest_server.routes import checkpoint, events, miners, orders, system, trade_pairs
from rest_server.services import EXTENSION, Services

BLUEPRINTS: Final = (
    miners.blueprint,
    orders.blueprint,
    trade_pairs.blueprint,
    checkpoint.blueprint,
    events.blueprint,
    system.blueprint,
)


def create_app(services: Services) -> Flask:
    """An application that answers from ``services``."""
    app = Flask("rest_server", static_folder=None)
    app.extensions[EXTENSION] = services
    app.url_map.merge_slashes = False  # would answer with an HTML redirect
    app.config.update(
        MAX_CONTENT_LENGTH=services.settings.rest.body_bytes,
        PROPAGATE_EXCEPTIONS=False,
        COMPRESS_ALGORITHM=["gzip", "zstd"],
        COMPRESS_MIMETYPES=["application/json", "application/x-ndjson", "text/plain", "text/html"],
        COMPRESS_MIN_SIZE=COMPRESS_FROM,
        COMPRESS_STREAMS=False,
        COMPRESS_EVALUATE_CONDITIONAL_REQUEST=False,  # only state answers have a validator, and they decide
    )
    access_log.register(app)  # first: it then sees the answer last, with its final length
    errors.register(app)
    Compress(app)
    for blueprint in BLUEPRINTS:
        app.register_blueprint(blueprint)
    return app
