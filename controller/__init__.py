"""The layer that runs: work queue, workers, the one writer, configuration, logs, metrics, health, events."""
