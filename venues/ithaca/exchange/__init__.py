"""The sandbox's exchange: a market, its accounts, and the wire protocol they are reached by."""
