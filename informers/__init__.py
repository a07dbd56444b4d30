"""Shared informers for Kubernetes in asyncio: list, watch, store, index, tell handlers what changed."""
