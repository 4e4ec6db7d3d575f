#!/bin/sh
# Runs a command that prints much, shows how far it is, and keeps what it prints
# in bin/logs/NAME.log, whose end and place it shows if the command fails.
# With V=1 it shows everything instead.
# Usage: test/step.sh NAME COMMAND…
set -eu
[ -z "${V:-}" ] || { shift && exec "$@"; }

name=$1
shift
log=$PWD/bin/logs/$name.log
mkdir -p "${log%/*}"
: >"$log"
begun=$(date +%s)

# What a Go command has done so far: it prints a line for each module that it
# downloads and, with -v, one for each package that it compiles.
state() {
	seconds=$(($(date +%s) - begun))
	text=$(printf '  %-16s %d:%02d' "$name" $((seconds / 60)) $((seconds % 60)))
	downloaded=$(grep -c '^go: downloading ' "$log" || true)
	compiled=$(grep -c '^[^ #]*/[^ :]*$' "$log" || true)
	[ "$downloaded" = 0 ] || text="$text, $downloaded modules downloaded"
	[ "$compiled" = 0 ] || text="$text, $compiled packages compiled"
}

# On a terminal the line changes every second; elsewhere it comes every minute.
progress() {
	if [ -t 1 ]; then every=1 form='\r\033[K%s'; else every=60 form='%s …\n'; fi
	while sleep "$every" && kill -0 $$ 2>/dev/null; do
		state
		printf "$form" "$text"
	done
}
progress &
reporter=$!
code=0
"$@" >"$log" 2>&1 || code=$?
kill "$reporter" 2>/dev/null || true
wait "$reporter" 2>/dev/null || true
state
[ ! -t 1 ] || printf '\r\033[K'
if [ "$code" = 0 ]; then
	echo "$text"
	exit
fi
echo "$text: failed" >&2
tail -n 20 "$log" >&2
echo "The whole log is $log; V=1 shows everything while it runs." >&2
exit "$code"
