// Bench measures an intercept and a connected laptop on a real Kubernetes on this
// machine. In the same run it measures kubectl port-forward and direct connections, for
// comparison:
//
//	make bench                                  # or, as root:
//	go run ./test/bench -rounds 5 -json out.json
//	go run ./test/bench -only 'throughput|latency' -keep
//
// It needs Linux, root and the binaries of `make images`. It makes a cluster
// of its own (or takes the one that -keep left), installs the product, and
// removes the cluster at the end.
//
// # Paths
//
// A path leads from a caller to a server. The same client and the same server
// (package meter) measure these paths:
//
//	direct        caller in the node's network → pod
//	port-forward  caller on the laptop → kubectl port-forward → pod
//	intercept     caller in the node's network → pod → program on the laptop
//	outbound      caller on the laptop → TUN or proxy → Service → pod
//
// The outbound figures have their own table. In it, TUN is what `connect` makes, and
// proxy is the SOCKS5 proxy of `connect --proxy`. All sessions go by the service proxy of the
// API server, but in the rows "by port-forward", and in the rows "past the API server", in
// which they go by a port of the node.
//
// Requests of HTTP have a table of their own. In it, a caller in the node's network asks a
// pod. The last column is judged, and behind each value stands its ratio to direct:
//
//	direct     the application
//	nginx      nginx in the application's pod, behind a redirect, where the agent would be
//	HAProxy    the same
//	matched    the agent, with a personal intercept that takes the requests
//	unmatched  the agent, with a personal intercept that does not take them
//
// Up is the direction from caller to server. A figure is the median of all rounds. A
// round measures one figure on all paths before it measures the next figure. The ratio
// compares the intercept with port-forward. There are three exceptions. Flows beside
// stalled ones are compared with the same flow alone, names with a round trip through
// the TUN, and netd alone with the kernel's loopback.
//
// # Sections
//
// The flag -only takes a regular expression that selects sections by name:
//
//	first       from `add` to the first byte that arrives on the laptop, with an
//	            ephemeral agent and with a sidecar, on demand and already there
//	throughput  MB/s (1e6 bytes, counted by the receiver), 1 and 4 streams
//	latency     64 bytes and back; a new connection with one byte and back
//	loaded      64 bytes and back, beside an upload and a download
//	stalled     a healthy flow beside 20 and 200 whose receiver never reads
//	memory      resident memory at rest, under load and after leave
//	requests    HTTP requests: how many there are in a second with 16 connections (1 MiB:
//	            4) or 100 streams, and how long one takes when it is alone
//	personal    CPU time per request and memory of the agent with 0, 1, 50 and 250
//	            personal intercepts, and its memory with 1000 idle connections
//	delay       throughput and latency with the API server 20 ms away
//	alone       netd and its network stack, with a sink and a source in place of
//	            a cluster, beside the kernel's loopback
//	outbound    throughput, on 1, 4 and 32 streams, and latency from the laptop
//	names       DNS through the TUN: answers from memory per second, and how long
//	            those of the cluster take
//	flows       memory of the session with 1000 idle connections of the laptop, and
//	            with 20 whose receiver never reads; how long `connect` takes
//	via         throughput and latency from the network of a pod, beside that of the
//	            traffic-manager
//	volumes     how long it takes to copy a pod's files to the laptop, beside kubectl cp
//	            and sshfs (by kubectl port-forward, without SSH)
//
// Below the table, Bench prints the peak resident memory of each process in each phase,
// and the CPU time of each process per 1e9 bytes. It also prints the sum of these CPU
// times and the CPU time of the whole machine. The agent is the one in the pod whose
// traffic is measured. For HTTP requests it prints the CPU time per request of what is
// between caller and server.
//
// # Reading it
//
// On a machine with few cores, callers, servers and the programs between them share
// the cores, so ratios mean more than values. If a direct flow has less than 1500 MB/s,
// or port-forward less than 150, other programs kept the machine busy. Then Bench reports
// that the figures are noise. It prints each figure that misses its limit. With -strict
// it then also exits with code 1.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/kubectl-intercept/kubectl-intercept/test/bench/tree"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	program := run
	if filepath.Base(os.Args[0]) == "tar" { // in the pods that kubectl cp copies from
		program = func(_ context.Context, args []string, out, _ io.Writer) error { return tree.Tar(args, out) }
	}
	err := program(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// run runs the benchmark, or one of the helper programs that the benchmark starts in
// the cluster and on the laptop.
func run(ctx context.Context, args []string, out, log io.Writer) error {
	if len(args) > 0 {
		switch args[0] {
		case "serve":
			return serve(ctx, args[1:], out)
		case "call":
			return call(ctx, args[1:], out)
		case "delay":
			return delayProxy(ctx, args[1:], out)
		case "clock":
			return clock(ctx, args[1:], out)
		case "alone":
			return alone(ctx, args[1:], out)
		case "volume":
			return serveVolume(ctx, args[1:])
		}
	}
	o, err := parse(args, log)
	if err != nil {
		return err
	}
	return measure(ctx, o, out, log)
}
