// Bench measures an intercept, and a connected laptop, against kubectl
// port-forward and against no way at all, on a real Kubernetes on this machine,
// in one run:
//
//	make bench                                  # or, as root:
//	go run ./test/bench -rounds 5 -json out.json
//	go run ./test/bench -only 'throughput|latency' -keep
//
// It needs Linux, root and the binaries of `make images`. It makes a cluster
// of its own (or takes the one that -keep left), installs the product, and
// removes the cluster at the end.
//
// # Ways
//
// The same client and the same server (package meter) measure three ways:
//
//	direct        caller in the node's network → pod
//	port-forward  caller on the laptop → kubectl port-forward → pod
//	intercept     caller in the node's network → pod → program on the laptop
//	outbound      caller on the laptop → TUN or proxy → Service → pod
//
// Outbound is a table of its own, in which TUN is what `connect` makes and proxy
// what `connect --proxy` does (SOCKS5), both by the session's own transport, the
// service proxy of the API server, and, as "by port-forward", by its other one.
//
// Up is from caller to server. A figure is the median of all rounds; in a
// round every figure is taken on all ways before the next one is. The ratio is
// that of the intercept to port-forward, except for flows beside stalled ones,
// where it is that to the same flow alone, for names, where it is that to a
// round trip through the TUN, and for netd alone, where it is that to the
// kernel's loopback.
//
// # Sections
//
// -only takes a regular expression of their names:
//
//	first       from `add` to the first byte that arrives on the laptop, with an
//	            ephemeral agent and with a sidecar, on demand and already there
//	throughput  MB/s (1e6 bytes, counted by the receiver), 1 and 4 streams
//	latency     64 bytes and back; a new connection with one byte and back
//	loaded      64 bytes and back, beside an upload and a download
//	stalled     a healthy flow beside 20 and 200 whose receiver never reads
//	memory      resident memory at rest, under load and after leave
//	delay       throughput and latency with the API server 20 ms away
//	alone       netd and its network stack, with a sink and a source in place of
//	            a cluster, beside the kernel's loopback
//	outbound    throughput, on 1, 4 and 32 streams, and latency from the laptop
//	names       DNS through the TUN: answers from memory per second, and how long
//	            those of the cluster take
//	flows       memory of the session with 1000 idle connections of the laptop, and
//	            with 20 whose receiver never reads; how long `connect` takes
//
// Under the table are the peak resident memory of each process by phase and
// the CPU time that each spent per 1e9 bytes, with their sum beside that of the
// whole machine. The agent is that of the pod whose traffic is measured.
//
// # Reading it
//
// On a machine with few cores callers, servers and everything between share
// them, so ratios say more than values. When a direct flow has less than 1500
// MB/s or port-forward less than 150, something else kept the machine busy:
// the run says that it is noise. A missed bar is printed; with -strict it is
// also an exit code of 1.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// run is the benchmark, or one of the programs that it starts elsewhere.
func run(ctx context.Context, args []string, out, log io.Writer) error {
	if len(args) > 0 {
		switch args[0] {
		case "serve":
			return serve(ctx, args[1:], out)
		case "call":
			return call(ctx, args[1:], out)
		case "delay":
			return delayLine(ctx, args[1:], out)
		case "clock":
			return clock(ctx, args[1:], out)
		case "alone":
			return alone(ctx, args[1:], out)
		}
	}
	o, err := parse(args, log)
	if err != nil {
		return err
	}
	return measure(ctx, o, out, log)
}
