"""Collateral: what a miner has put up, deposits and withdrawals of it, and what follows from the amount."""
