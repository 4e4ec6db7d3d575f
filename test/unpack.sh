#!/bin/sh
# Unpacks Debian packages into a folder without installing them: some would
# change the machine. Does nothing where that was done before.
# Usage: test/unpack.sh FOLDER PACKAGE…
set -eu

folder=$1
shift
command -v dpkg >/dev/null || exit 0 # test/deps.sh has said so
if [ -e "$folder/.unpacked" ] && [ "$(cat "$folder/.unpacked")" = "$*" ]; then
	exit 0
fi
echo "Unpacking Debian packages: $*"
rm -rf "$folder"
mkdir -p "$folder/packages"
cd "$folder/packages"
# The versions are those of Debian, whatever the machine has installed.
download() { apt-get -o Dir::State::status=/dev/null download "$@" >/dev/null; }
download "$@" 2>/dev/null || {
	[ "$(id -u)" != 0 ] || apt-get update >/dev/null
	download "$@"
}
for p in *.deb; do
	dpkg -x "$p" ..
done
cd ..
rm -r packages
echo "$*" >.unpacked
