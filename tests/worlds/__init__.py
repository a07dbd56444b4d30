"""Small worlds: the whole operator in virtual time, and everything that can go wrong, one thing after the other.

A world is the scripted API server, people who act by a script, and one or more processes of the operator, each behind
a wire of its own. A run has at most a few disturbances (`disturbances.py`) and is compared with the undisturbed run of
the same script (`oracle.py`). Nothing is left to chance but what a seed decides.

Source of the idea: Sieve (OSDI'22): intermediate states, unobserved states, stale states; Acto (SOSP'23) for the
comparison with a fresh start.
"""
