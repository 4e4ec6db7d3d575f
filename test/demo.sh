#!/bin/sh
# make demo: a Service of a real Kubernetes is answered by a program on this
# side and then, after leave, by the application again. Cleans up after itself.
# With "about" it only says what make demo does.
set -eu
cd "$(dirname "$0")/.."

if [ "${1:-}" = about ]; then
	cat <<-'END'
	make demo shows the main job of kubectl-intercept on a real Kubernetes, on this machine:

	  1. It installs the Debian packages that are missing, and unpacks others into bin/.
	  2. It builds programs and images. The first run compiles Kubernetes from source:
	     about 15 minutes on 2 cores. Later runs take seconds.
	  3. It starts a cluster in network namespaces of its own, and intercepts a Service
	     there: less than a minute.
	  4. It removes the cluster. The Debian packages and bin/ stay.

	What the builds print is in bin/logs; make demo V=1 shows it all.

	END
	exit
fi

cluster=demo-$$
scratch=$(mktemp -d)
program= stopped=
finish() {
	code=$?
	[ "$code" = 0 ] || [ -n "$stopped" ] || failed
	[ -z "$program" ] || kill "$program" 2>/dev/null || true
	bin/cluster down --name "$cluster" >/dev/null 2>&1 || true
	rm -rf "$scratch"
}
# What tells why the demo failed, before the cluster goes.
failed() {
	log=$PWD/bin/logs/demo.log
	mkdir -p bin/logs
	{
		for what in 'get pods,deployments,intercepts,sessions -A -o wide' 'get events -A' \
			'logs -n intercept-system deployment/traffic-manager'; do
			echo "== kubectl $what"
			laptop kubectl --request-timeout=5s $what
		done
		for component in kube-apiserver kubelet containerd; do
			echo "== $component"
			bin/cluster logs --name "$cluster" "$component"
		done
	} >"$log" 2>&1 || true
	echo "The demo failed. The state of its cluster is in $log" >&2
}
trap finish EXIT
trap 'stopped=1; exit 1' INT TERM

say() { printf '\n\033[1m%s\033[0m\n' "$*"; }
# On the laptop: a network namespace that reaches the API server, nothing else.
laptop() { HOME=$scratch XDG_CACHE_HOME=$scratch/cache XDG_RUNTIME_DIR=$scratch bin/cluster laptop --name "$cluster" -- "$@"; }
type_() { printf '$ %s\n' "$*"; }
ask() {
	type_ "curl http://quote      # from inside the cluster"
	bin/cluster exec --name "$cluster" -- curl -s --max-time 5 "http://$address"
}

say "1. A real Kubernetes: API server, kubelet, containerd, in namespaces of their own"
bin/cluster up --name "$cluster"
ln -sf "$PWD/bin/kubectl" "$PWD/bin/kubectl-intercept" "$scratch/"
export PATH="$scratch:$PATH"

say "2. The traffic-manager goes into the cluster, once"
type_ kubectl intercept install
laptop kubectl intercept install

say "3. An application with a Service, running in the cluster"
laptop kubectl apply -f test/manifests/quote.yaml
laptop kubectl rollout status deployment/quote --timeout=60s
address=$(laptop kubectl get service quote -o 'jsonpath={.spec.clusterIP}')
ask

say "4. The laptop starts its own version of it and takes the Service's traffic"
type_ "quote -listen 127.0.0.1:8080 -name 'your laptop' &"
laptop bin/quote -listen 127.0.0.1:8080 -name 'your laptop' &
program=$!
type_ kubectl intercept add deploy/quote --port 8080:http
laptop kubectl intercept add deploy/quote --port 8080:http
ask
ask
seen=0 tries=0 # the count is reported once a second
until [ "${seen:-0}" -ge 2 ]; do
	seen=$(laptop kubectl get intercept quote -o 'jsonpath={.status.connections}')
	[ $((tries += 1)) -le 50 ] || { echo "the intercept counts $seen connections, not 2" >&2; exit 1; }
	sleep 0.2
done
type_ kubectl intercept list -o wide
laptop kubectl intercept list -o wide

say "5. Leave: the application in the cluster answers again"
type_ kubectl intercept leave quote
laptop kubectl intercept leave quote
ask

say "Done. The pod was not restarted, and everything is cleaned up now."
