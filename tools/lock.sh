#!/usr/bin/env bash
# Resolve every extra afresh and write the exact pins to requirements.lock (Linux, Python 3.11).
# TORCH=2.13.0 tools/lock.sh chooses the build of torch that the lock starts from; KEEP=1 keeps the
# pins that are there and adds what is new.
set -euo pipefail
cd "$(dirname "$0")/.."
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
python3.11 -m venv "$scratch/venv"
pip="$scratch/venv/bin/pip"
# One command: a second one would let another package move torch.
"$pip" install --quiet ${KEEP:+-c requirements.lock} "torch==${TORCH:-2.13.0}" '.[book,media,cluster,test]'
{
    echo "# Exact pins for Linux and Python 3.11, every extra included. Made by tools/lock.sh."
    # The local version (+cpu, +cu128) names a build, not a release: the pin fits any of them.
    "$pip" freeze --all --exclude pip --exclude iaca | sed -E 's/\+(cpu|cu[0-9]+)$//'
} > requirements.lock
"$pip" check
PYTHONPATH=. "$scratch/venv/bin/python" tools/environment.py  # the checkout, not the copy
