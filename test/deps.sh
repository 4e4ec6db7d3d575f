#!/bin/sh
# Installs the Debian packages named as arguments, or says which are missing.
# Usage: test/deps.sh PACKAGE…
set -eu

if ! "${GO:-go}" version >/dev/null 2>&1; then
	echo "Go is not installed: see https://go.dev/dl/" >&2
	exit 1
fi
if ! command -v dpkg-query >/dev/null; then
	echo "This is not Debian. Demo and tests need the equivalents of: $*" >&2
	exit 0
fi
missing=
for p; do
	dpkg-query -W -f '${Status}' "$p" 2>/dev/null | grep -q '^install ok installed' || missing="$missing $p"
done
[ -n "$missing" ] || exit 0
if [ "$(id -u)" != 0 ]; then
	echo "Missing Debian packages:$missing" >&2
	echo "Install them as root: apt-get install$missing" >&2
	exit 1
fi
echo "Installing Debian packages:$missing"
apt-get install -y --no-install-recommends $missing >/dev/null 2>&1 || {
	apt-get update >/dev/null
	apt-get install -y --no-install-recommends $missing >/dev/null
}
# Debian starts containerd as a service; the embedded cluster runs its own.
