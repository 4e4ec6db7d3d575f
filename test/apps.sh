#!/bin/sh
# Makes the image with the applications that speak HTTP, of Debian packages that
# test/unpack.sh has unpacked, and of the files in test/http/apps. See test/image.sh.
# Usage: test/apps.sh FOLDER SITE INTEROP OUTPUT
set -eu

folder=$(cd "$1" && pwd)
site=$2 interop=$3 output=$4
command -v dpkg >/dev/null || exit 0 # test/deps.sh has said so
made=$(mktemp -d)
trap 'rm -rf "$made"' EXIT

# The site: files of 0 bytes, 1 KiB and 1 MiB.
: >"$made/empty"
for _ in 1 2 3 4 5 6 7 8; do printf '0123456789abcde\n0123456789abcde\n0123456789abcde\n0123456789abcde\n0123456789abcde\n0123456789abcde\n0123456789abcde\n0123456789abcde\n'; done >"$made/small"
i=0
while [ $i -lt 1024 ]; do
	cat "$made/small"
	i=$((i + 1))
done >"$made/large"
set -- "$made/empty:/www/empty:644" "$made/small:/www/small:644" "$made/small:/www/index.html:644" "$made/large:/www/large:644"
for f in test/http/apps/*; do set -- "$@" "$f:/apps/${f##*/}:644"; done
set -- "$@" "$interop:/interop:755"

for p in usr/sbin/nginx usr/sbin/apache2 usr/sbin/haproxy usr/sbin/nghttpd usr/bin/node usr/bin/python3.11; do
	set -- "$@" "$folder/$p:/$p:755"
done
for m in mpm_event authz_core alias headers http2; do
	set -- "$@" "$folder/usr/lib/apache2/modules/mod_$m.so:/usr/lib/apache2/modules/mod_$m.so:755"
done
# Node has some modules of its own outside, and Python all.
files() { (cd "$folder" && find "$@" -type f); }
for p in $(files usr/share/nodejs/acorn usr/share/nodejs/acorn-walk usr/share/nodejs/cjs-module-lexer usr/share/nodejs/undici usr/share/nodejs/busboy usr/share/nodejs/streamsearch \( -name '*.js' -o -name '*.json' \)); do
	set -- "$@" "$folder/$p:/$p:644"
done
for p in $(files usr/lib/python3.11 -name '*.py' ! -path '*/lib2to3/*' ! -path '*/distutils/*' ! -path '*/pydoc_data/*' ! -path '*/idlelib/*' ! -path '*/unittest/*') \
	$(files usr/lib/python3/dist-packages/gunicorn usr/lib/python3/dist-packages/websockets usr/lib/python3/dist-packages/pkg_resources -name '*.py'); do
	set -- "$@" "$folder/$p:/$p:644"
done
for p in $(files usr/lib/python3.11/lib-dynload usr/lib/python3/dist-packages/websockets -name '*.so' ! -name '_curses*' ! -name '_sqlite*' ! -name 'nis.*' ! -name 'readline.*'); do
	set -- "$@" "$folder/$p:/$p:755"
done
test/image.sh "$folder" apps "$site" 65532:65532 "$output" "$@"
