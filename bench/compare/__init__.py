"""Side by side with the best: the same objects, the same API server, the same run. `python -m bench.compare --help`.

Contestants are processes of their own: ours, informers of client-go, a controller on controller-runtime, kopf, the
official Python client, and a floor that reads the same stream and throws it away. They run in turn (A B C A B C); a
ratio is taken within each turn, between neighbours in time, and the median of the ratios is the figure.

`contestants` says who they are, `conversation` how they are talked to, `measures` what is measured, `cells` what comes
out, `report` and `plots` how it is shown, `clauses` what has to be known to read it.
"""
