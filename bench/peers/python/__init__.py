"""Caches of all Deployments kept with kopf and with the official client, in an environment of their own.

The lock beside this file decides what is installed there. Of the project, only what needs no
library is imported here: the contract and the meter of stalls.
"""
