"""Programs that others' libraries are measured with: `go` and `python`, each with its own pinned dependencies."""
