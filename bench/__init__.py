"""Benchmarks: the figures that the project states, measured on a real etcd and kube-apiserver.

`python -m bench.quick` prints ours beside the goals. Each contender runs in a process of its own and says what it
measured in one line of JSON (`bench.contender`), so that others can be put beside it in any language.

Rules: no figure is typed in; what is compared runs in turn (A B A B) in the same run; medians with the range beside
them; the share of the machine that other programs took meanwhile is printed, because it moves every time in the table.
"""
