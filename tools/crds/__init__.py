"""Generator of the CustomResourceDefinitions in manifests/crds/.

    python -m tools.crds            write them
    python -m tools.crds --check    exit 1 when a committed file is not what would be written

The CRDs are a superset of Stash's: manifests written for Stash are accepted as they are. Invariants, each held by a
test:

- structural, every field described, every string, list and map bounded (the API server prices CEL by the largest
  object that could pass);
- **every list in a spec is atomic** (x-kubernetes-list-type: atomic); only `conditions` are maps, keyed by type. The
  operator finds out whether an apply would change anything by comparing what it wants with what it read, which is right
  only while nobody else can own single entries of a list and the server does not merge or reorder them;
- no defaults but Stash's own, so what is read back is what was written;
- small enough for `kubectl apply` (its last-applied annotation takes 256 KiB).

`kinds` puts the kinds together from `backend`, `policies`, `execution`, `targets`, `sessions` and `conditions`; `core`
embeds Kubernetes' own types from core-types.json; `schema` and `rules` are the words all of them are written in.
"""
