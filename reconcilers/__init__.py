"""Auto backup as pure functions: cached state in, a plan out.

Nothing here performs I/O, reads a clock or knows asyncio. Every reconciler is `plan(view, key) -> Plan`;
the only thing it takes from `informers` are types. That is what makes `autobackup resolve`, dry runs and
crash-at-every-write tests the same code as the operator.
"""
