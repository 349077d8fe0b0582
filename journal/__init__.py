"""The history: durable, numbered streams of entries, and the State that is a fold of them."""
