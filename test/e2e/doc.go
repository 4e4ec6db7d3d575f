// Package e2e tests the whole product on a real Kubernetes of two nodes, in
// the way people use it: the plugin is run on laptops that reach nothing but
// the API server, and callers call Services and pods in the cluster.
//
//	laptop "alice"            laptop "bob"               the tests
//	kubectl-intercept         kubectl-intercept          client-go
//	program on 127.0.0.1      program on 127.0.0.1           |
//	      |                         |                        |
//	      +------------+------------+------------------------+
//	                   |  TCP to the API server, nothing else
//	      +------------+------------------------+
//	      |  node-1                             |  node-2
//	      |  API server, traffic-manager        |
//	      |  caller                             |  caller
//	      |  pod: application + traffic-agent   |  pod: application + traffic-agent
//	      +-------------------------------------+
//
// A test has such a cluster for itself, made by `bin/cluster up --nodes 2`; two
// clusters, "e2e" and "e2e-2", take the tests in turn. The binaries and images of
// bin/ are the product. Callers and programs are mostly sockets
// that the test process opens in the network namespaces of nodes, pods and
// laptops; see package lab.
//
// TestCheck and TestLicense break what others need: they make clusters of one
// node for themselves.
//
// The tests need Linux, root and the build tag e2e:
//
//	go test -count=1 -tags e2e -parallel 2 -timeout 60m ./test/e2e/...
//
// `make deps bin/tools.tar` gets the programs that laptops run (curl, dig, psql,
// ping, iperf3, systemd-resolved), pods serve with and visitors browse with, and
// `make bin/rollouts/image.tar` Argo Rollouts. `make e2e` and `make try` also build krew.
//
// A cluster that is up already is used. E2E_KEEP=1 leaves them up for the next
// run, E2E_BIN names another folder than bin/, and E2E_CLUSTER another name than
// "e2e", so that two runs do not share clusters. A test that fails prints the
// objects, events and logs of what it used.
package e2e
