"""The WebSocket server: one reader of the journal, and every subscriber a cursor into it."""
