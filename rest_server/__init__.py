"""Output one: everything a user sees over HTTP, read back from the journal."""
