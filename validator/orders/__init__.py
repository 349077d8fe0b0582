"""Orders that Vanta's own rules fill: what a signal may ask for, what of it is admitted, when it fills.

- ``signal``: reading and checking what was sent. ``sizes``: leverage, value and quantity of one order.
- ``admission``: what the leverage rules leave of an order. ``slippage``: what a fill costs beyond the price.
- ``triggers``: when a resting order fills. ``book``: an account's positions and resting orders, and every
  change of them, without I/O. ``desk``: the account ``DEVELOPMENT``, journalled.

Prices are in the pair's quote currency, values in USD, quantities in lots.
"""
