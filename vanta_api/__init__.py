"""The contract: records, wire JSON, WebSocket messages and the Python clients.

This package stands at the bottom of the import order and installs alone: nothing here may import
``journal``, ``venues``, ``validator``, ``rest_server``, ``ws_server`` or ``runtime``.
"""

__version__ = "0.1.0"
