# The operator's image, the same from `docker build .`, `buildah bud` and `make image`:
#
# - dependencies by hash from requirements.lock, compiled once, so that a start compiles nothing: bytecode is checked
#   against its source never (unchecked-hash), holds no times, and a read-only root file system needs no cache;
# - no pip and no compiler in what is shipped; a numeric user, so that `runAsNonRoot` can be verified;
# - the same commit gives the same digest (`make image` hands the time of the commit to the builder).
#
# Another base must have a Python of version 3.11 or newer, as `python3`, with the modules `venv` and `ensurepip`.
ARG BASE=python:3.13-slim

FROM ${BASE} AS build
# The order of sets gets into bytecode.
ENV PYTHONHASHSEED=0 PYTHONDONTWRITEBYTECODE=1 PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_ROOT_USER_ACTION=ignore
WORKDIR /build
RUN python3 -m venv tools && python3 -m venv --without-pip /opt/autobackup
COPY requirements.lock tools/image/wheel.lock tools/image/sbom.lock ./
# The secrets are for who has an index or a certificate authority of their own; without them they are not there.
RUN --mount=type=secret,id=pip.conf,target=/etc/pip.conf --mount=type=secret,id=ca.crt,target=/run/secrets/ca.crt \
    tools/bin/pip install --quiet --require-hashes --only-binary :all: -r wheel.lock -r sbom.lock \
 && tools/bin/pip --python /opt/autobackup/bin/python install --quiet --no-compile --require-hashes -r requirements.lock
# Two thirds of the Kubernetes client are a second, asynchronous one, and tests: nothing here imports them. Of its
# generated part, which is imported where there is a kubeconfig, bytecode is enough.
RUN rm -rf /opt/autobackup/lib/python3.*/site-packages/kubernetes/aio \
 && find /opt/autobackup/lib/python3.*/site-packages/kubernetes -name '*_test.py' -delete \
 && /opt/autobackup/bin/python -m compileall -q -b -j 1 --invalidation-mode unchecked-hash \
      /opt/autobackup/lib/python3.*/site-packages/kubernetes/client \
 && find /opt/autobackup/lib/python3.*/site-packages/kubernetes/client -name '*.py' -delete \
 && /opt/autobackup/bin/python -m compileall -q -j 1 --invalidation-mode unchecked-hash /opt/autobackup/lib
COPY pyproject.toml setup.cfg README.md LICENSE ./
COPY informers informers
COPY reconcilers reconcilers
COPY controller controller
COPY autobackup autobackup
# Found by name, not by path, pip leaves no record of where it was. Zip archives know no year before 1980.
RUN SOURCE_DATE_EPOCH=315532800 tools/bin/pip wheel --quiet --no-deps --no-index --no-build-isolation --wheel-dir wheels . \
 && tools/bin/pip --python /opt/autobackup/bin/python install --quiet --no-compile --no-deps --no-index \
      --find-links wheels autobackup \
 && for package in informers reconcilers controller autobackup; do \
      /opt/autobackup/bin/python -m compileall -q -j 1 --invalidation-mode unchecked-hash \
        /opt/autobackup/lib/python3.*/site-packages/"${package}" || exit 1; \
    done
COPY tools/image/inventory.py ./
RUN tools/bin/cyclonedx-py environment --output-reproducible --output-format JSON --output-file packages.json \
      /opt/autobackup/bin/python \
 && mkdir /opt/autobackup/share \
 && python3 inventory.py packages.json > /opt/autobackup/share/autobackup.cdx.json

FROM ${BASE}
ENV PATH=/opt/autobackup/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 HOME=/tmp
# The base's own pip goes; its standard library gets the bytecode it lacks (python:slim ships none).
RUN rm -rf /usr/share/python-wheels /usr/local/bin/pip* /usr/local/lib/python3.*/site-packages/pip* \
      /usr/local/lib/python3.*/ensurepip /usr/lib/python3.*/ensurepip \
 && PYTHONHASHSEED=0 python3 -m compileall -q -j 1 --invalidation-mode unchecked-hash \
      -x '/(tests?|_pyrepl|idlelib|pydoc_data|tkinter|turtle.*|unittest|venv|wsgiref|xmlrpc|(site|dist)-packages)(/|\.py)' \
      "$(python3 -c 'import sysconfig; print(sysconfig.get_path("stdlib"))')"
COPY --from=build /opt/autobackup /opt/autobackup
WORKDIR /
USER 65532:65532
# Probes and metrics.
EXPOSE 8081 8080
ARG VERSION=unknown
ARG REVISION=unknown
ARG CREATED=unknown
LABEL org.opencontainers.image.title="autobackup" \
      org.opencontainers.image.description="Automatic backup on Kubernetes: annotate a workload, a volume or a database, and its backups run." \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.created="${CREATED}"
ENTRYPOINT ["autobackup"]
CMD ["run"]
