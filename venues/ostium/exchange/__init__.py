"""The sandbox's exchange: contracts, oracle, keepers and traders as one deterministic state machine."""
