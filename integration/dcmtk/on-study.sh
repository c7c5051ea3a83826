#!/bin/sh
# For an existing DCMTK storescp: copies each finished study into the folder of `vfx-edge watch`.
#
#   storescp -aet STORE -od /data/incoming --sort-on-study-uid ct --eostudy-timeout 30 \
#     --exec-on-eostudy "/opt/vfx-edge/integration/dcmtk/on-study.sh '#p' /data/drop" 11113
#
# A copy is made beside the drop folder and renamed into it: nothing half-written is ever there.
set -eu

if [ $# -ne 2 ] || [ ! -d "$1" ] || [ ! -d "$2" ]; then
  echo "on-study.sh: usage: on-study.sh STUDY_FOLDER DROP_FOLDER, both must exist" >&2
  exit 2
fi
study=$1
drop=${2%/}
name=$(basename "$study")
part=$(mktemp -d "$drop.part.XXXXXX")
trap 'rm -rf "$part"' EXIT INT TERM

cp -R "$study" "$part/$name"
sync
mv "$part/$name" "$drop/$name.$(date +%s).$$"
