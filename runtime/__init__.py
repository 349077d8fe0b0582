"""What every process needs: settings, keys, supervision, heartbeat, metrics, logs, clock."""
