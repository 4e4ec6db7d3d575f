#!/bin/sh
# Makes the image with which pods serve real programs, of Debian's packages that
# test/unpack.sh has unpacked: PostgreSQL, iperf3, a shell, and the libraries
# that they name.
# Usage: test/tools.sh FOLDER HEALTH OUTPUT
set -eu

folder=$(cd "$1" && pwd)
health=$2
output=$3
command -v dpkg >/dev/null || exit 0 # test/deps.sh has said so
for pg in "$folder"/usr/lib/postgresql/*; do version=${pg##*/}; done
share=/usr/share/postgresql/$version
LD_LIBRARY_PATH=$(echo "$folder"/usr/lib/*-linux-gnu "$folder"/lib/*-linux-gnu | tr ' ' :)

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
programs=
for f; do
	case $f in *:755) programs="$programs ${f%%:*}" ;; esac
done
libraries=$(for p in $programs; do LD_LIBRARY_PATH=$LD_LIBRARY_PATH ldd "$p"; done | sort -u)
if missing=$(echo "$libraries" | grep 'not found'); then
	echo "libraries are missing in $folder:" "$missing" >&2
	exit 1
fi
for lib in $(echo "$libraries" | sed -n 's/.* => \(\/[^ ]*\) .*/\1/p' | sort -u); do
	set -- "$@" "$lib:/lib/${lib##*/}:755"
done
loader=$(echo "$libraries" | sed -n 's/^[[:space:]]*\(\/lib[^ ]*\) (.*/\1/p' | sort -u)
set -- "$@" "$loader:$loader:755"

passwd=$(mktemp)
trap 'rm -f "$passwd"' EXIT
echo "postgres:x:70:70::/:/bin/sh" >"$passwd"
set -- "$@" "$passwd:/etc/passwd"
files=
for f; do files="$files -file $f"; done
# No name of these has a space.
"${GO:-go}" run ./krew/image -name kubectl-intercept.dev/test/tools:dev -binary "$health" -user 70:70 $files -o "$output"
