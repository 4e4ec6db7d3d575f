#!/bin/sh
# Makes an image of a static program and of files of Debian packages that
# test/unpack.sh has unpacked. It adds the libraries that the files with mode 755 name.
# Usage: test/image.sh FOLDER IMAGE BINARY USER OUTPUT SRC:DST:MODE…
# No name may have a space.
set -eu

folder=$1 image=$2 binary=$3 user=$4 output=$5
shift 5
LD_LIBRARY_PATH=$(echo "$folder"/usr/lib/*-linux-gnu "$folder"/lib/*-linux-gnu | tr ' ' :)
programs=
for f; do
	case $f in *:755) programs="$programs ${f%%:*}" ;; esac
done
libraries=$(for p in $programs; do LD_LIBRARY_PATH=$LD_LIBRARY_PATH ldd "$p" 2>/dev/null || true; done | sort -u) # static programs have none
if missing=$(echo "$libraries" | grep 'not found'); then
	echo "libraries are missing in $folder:" "$missing" >&2
	exit 1
fi
for lib in $(echo "$libraries" | sed -n 's/.* => \(\/[^ ]*\) .*/\1/p' | sort -u); do
	set -- "$@" "$lib:/lib/${lib##*/}:755"
done
loader=$(echo "$libraries" | sed -n 's/^[[:space:]]*\(\/lib[^ ]*\) (.*/\1/p' | sort -u)
set -- "$@" "$loader:$loader:755"
files=
for f; do files="$files -file $f"; done
"${GO:-go}" run ./krew/image -name "kubectl-intercept.dev/test/$image:dev" -binary "$binary" -user "$user" $files -o "$output"
