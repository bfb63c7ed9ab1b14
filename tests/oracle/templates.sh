#!/usr/bin/env bash
# Chat templates as npm's @huggingface/jinja renders them, beside ours: the families' templates on
# the cases of templates/cases.json, and random small templates.
#
# Usage: templates.sh <render_templates>. Exit status 77 where the other program cannot be had.
set -euo pipefail
here=$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")
status=0
oracle=$("$here/install") || status=$?
if [[ $status -eq 3 ]] || ! command -v node >/dev/null; then
  echo "SKIPPED: chat templates were not compared: no @huggingface/jinja or no node here"
  exit 77
fi
[[ $status -eq 0 ]] || exit "$status"
exec node "$here/templates.mjs" "$oracle" "$1"
