# Stands in for orthancteam/orthanc, which can't be had offline: Debian's Orthanc, which reads the same
# file of settings, and has DICOMweb but neither OHIF nor the timer of vfx-edge.lua.
FROM debian:bookworm-slim
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends orthanc orthanc-dicomweb \
    && rm -rf /var/lib/apt/lists/* /etc/orthanc/* \
    && rm -rf /var/lib/orthanc && mkdir -p /var/lib/orthanc/db
COPY tests/containers/orthanc-defaults.json /etc/orthanc/defaults.json
CMD ["Orthanc", "/etc/orthanc"]
