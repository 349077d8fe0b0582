"""Where the client's events go besides the log: Slack, without making anyone wait."""

from __future__ import annotations

import logging
import threading

import requests

SLACK_TIMEOUT_S = 5.0


def setup_logger(name: str) -> logging.Logger:
    """A logger of that name that writes INFO and above to stderr."""
    made = logging.getLogger(name)
    made.setLevel(logging.INFO)
    if not made.handlers:
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
        made.addHandler(handler)
    return made


def send_to_slack(message: str, webhook_url: str) -> bool:
    """Post to a Slack webhook; False when it did not work. The URL is a secret and never logged."""
    if not webhook_url:
        logger.error("no Slack webhook URL given")
        return False
    try:
        response = requests.post(webhook_url, json={"text": message}, timeout=SLACK_TIMEOUT_S)
    except requests.RequestException as fault:
        logger.error("Slack could not be reached: %s", type(fault).__name__)
        return False
    return response.status_code == 200


def send_to_slack_later(message: str, webhook_url: str) -> None:
    """The same in a thread of its own."""
    threading.Thread(target=send_to_slack, args=(message, webhook_url), daemon=True).start()


logger = logging.getLogger("ptn_websocket")
