"""The input: four trading venues, each turned into position and order records by a poller worker."""
