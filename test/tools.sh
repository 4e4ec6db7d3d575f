#!/bin/sh
# Makes the image with which pods serve real programs, of Debian's packages that
# test/unpack.sh has unpacked: PostgreSQL, iperf3, a shell, and the libraries
# that they name. See test/image.sh.
# Usage: test/tools.sh FOLDER HEALTH OUTPUT
set -eu

folder=$(cd "$1" && pwd)
health=$2
output=$3
command -v dpkg >/dev/null || exit 0 # test/deps.sh has said so
for pg in "$folder"/usr/lib/postgresql/*; do version=${pg##*/}; done
share=/usr/share/postgresql/$version

set -- "/bin/sh:/bin/sh:755" "$folder/usr/bin/iperf3:/bin/iperf3:755"
for p in postgres initdb; do
	set -- "$@" "$pg/bin/$p:/usr/lib/postgresql/$version/bin/$p:755"
done
for p in plpgsql dict_snowball; do
	set -- "$@" "$pg/lib/$p.so:/usr/lib/postgresql/$version/lib/$p.so:755"
done
for p in $(cd "$folder$share" && find . -maxdepth 1 -type f ! -name '*.sample' ! -name 'fix-*' && find ./timezonesets ./tsearch_data -type f && ls ./*.conf.sample ./extension/plpgsql*); do
	set -- "$@" "$folder$share/$p:$share/${p#./}"
done
passwd=$(mktemp)
trap 'rm -f "$passwd"' EXIT
echo "postgres:x:70:70::/:/bin/sh" >"$passwd"
test/image.sh "$folder" tools "$health" 70:70 "$output" "$@" "$passwd:/etc/passwd:644"
