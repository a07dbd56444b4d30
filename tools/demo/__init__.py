"""`make demo`: the story of auto backup, played on a real API server and checked step by step.

A step counts only when its effect was seen on the API server, by watches that were open before it began. Nothing here
computes what the operator ought to make: objects are found by their marks, and what is printed is what the server has.
"""
