"""The command `autobackup` (also `kubectl autobackup`): one module a verb over the same reconcilers."""

__version__ = "0.1.0"
