#!/bin/sh
# Triage one study and print its priority, by --triage-exit-code.
#
#   by-priority.sh /data/incoming/ct_1.2.3 /data/results
#
# Prints STAT, HIGH, ROUTINE or CHECK and the folder of results; makes a link to it under
# RESULTS/<priority>/, so that the listing of that folder is the worklist.
set -eu

if [ $# -ne 2 ] || [ ! -d "$1" ]; then
  echo "by-priority.sh: usage: by-priority.sh STUDY_FOLDER RESULTS_FOLDER" >&2
  exit 2
fi
results=$2
name=$(basename "$(cd "$1" && pwd)")
out=$results/$name
mkdir -p "$out"

code=0
failed=0
"${VFX_EDGE:-vfx-edge}" run "$1" --out "$out" --triage-exit-code --quiet >&2 || code=$?
case $code in
  10) priority=STAT ;;      # malignant
  11) priority=HIGH ;;      # uncertain: an MRI is recommended
  12) priority=HIGH ;;      # osteoporotic
  0) priority=ROUTINE ;;    # nothing suspected
  13) priority=CHECK ;;     # not assessable: never "nothing suspected"
  14) priority=CHECK ;;     # nothing suspected, but a vertebra in view could not be read
  *) priority=CHECK         # it failed, and has printed why
     failed=$code ;;
esac
for one in STAT HIGH ROUTINE CHECK; do  # an earlier run's link
  rm -f "$results/$one/$name"
done
mkdir -p "$results/$priority"
ln -s "../$name" "$results/$priority/$name"  # also of what failed: it must not be overlooked
echo "$priority $out"
exit "$failed"
