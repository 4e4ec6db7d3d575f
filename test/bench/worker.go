package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"syscall"
	"time"

	"github.com/kubectl-intercept/kubectl-intercept/test/bench/delay"
	"github.com/kubectl-intercept/kubectl-intercept/test/bench/meter"
	"github.com/kubectl-intercept/kubectl-intercept/test/bench/stack"
	"github.com/kubectl-intercept/kubectl-intercept/test/bench/tree"
	"github.com/kubectl-intercept/kubectl-intercept/test/bench/web"
)

// ready is the line that a long-running program prints when it is ready.
const ready = "ready"

// serve runs the server in a pod or on the laptop.
func serve(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("serve", flag.ContinueOnError)
	listen := flags.String("listen", ":7000", "address")
	name := flags.String("name", "", "what it calls itself")
	webListen := flags.String("web", "", "address of the HTTP server; none if empty")
	if err := flags.Parse(args); err != nil {
		return err
	}
	l, err := net.Listen("tcp", *listen)
	if err != nil {
		return err
	}
	if *webListen == "" {
		fmt.Fprintln(out, ready)
		return meter.Serve(ctx, l, *name)
	}
	w, err := net.Listen("tcp", *webListen)
	if err != nil {
		l.Close()
		return err
	}
	fmt.Fprintln(out, ready)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ended := make(chan error, 1)
	go func() {
		defer cancel()
		ended <- web.Serve(ctx, w, *name)
	}()
	err = meter.Serve(ctx, l, *name)
	cancel()
	return errors.Join(err, <-ended)
}

// serveVolume fills a pod's volume and serves it by SFTP.
func serveVolume(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("volume", flag.ContinueOnError)
	listen := flags.String("listen", ":7000", "address")
	dir := flags.String("dir", "", "where to put files")
	count := flags.Int("files", 0, "how many")
	size := flags.Int64("size", 0, "bytes in each")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if err := tree.Fill(*dir, *count, *size); err != nil {
		return err
	}
	l, err := net.Listen("tcp", *listen)
	if err != nil {
		return err
	}
	return tree.ServeSFTP(ctx, l)
}

// delayProxy runs a proxy that simulates a distant API server.
func delayProxy(ctx context.Context, args []string, out io.Writer) error {
	var proxy delay.Proxy
	flags := flag.NewFlagSet("delay", flag.ContinueOnError)
	listen := flags.String("listen", "", "address")
	flags.StringVar(&proxy.Target, "target", "", "where it leads")
	flags.DurationVar(&proxy.OneWay, "oneway", 0, "its length")
	if err := flags.Parse(args); err != nil {
		return err
	}
	l, err := net.Listen("tcp", *listen)
	if err != nil {
		return err
	}
	fmt.Fprintln(out, ready)
	return proxy.Serve(ctx, l)
}

// result is what a call prints.
type result struct {
	Bulk    meter.Bulk
	Latency meter.Latency
	At      time.Time     // when the answer arrived that await waited for
	CPU     time.Duration // the CPU time of the caller itself
}

// call runs a caller, which measures one figure and prints it.
func call(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("call", flag.ContinueOnError)
	addr := flags.String("addr", "", "address of a server")
	socks := flags.String("socks", "", "SOCKS5 proxy through which to reach it")
	domain := flags.String("domain", "", "below which to look names up")
	streams := flags.Int("streams", 1, "connections at a time")
	length := flags.Duration("length", 3*time.Second, "how long, or at most how long")
	count := flags.Int("count", 1, "how many")
	name := flags.String("name", "", "server to wait for")
	loadJSON := flags.String("load", "{}", "requests to make, a web.Load")
	if len(args) == 0 {
		return errors.New("call what?")
	}
	if err := flags.Parse(args[1:]); err != nil {
		return err
	}
	to := meter.Target{Addr: *addr, Socks: *socks}
	var load web.Load
	if err := json.Unmarshal([]byte(*loadJSON), &load); err != nil {
		return fmt.Errorf("-load: %w", err)
	}
	var r result
	var err error
	switch args[0] {
	case "upload":
		r.Bulk, err = meter.Upload(ctx, to, *streams, *length)
	case "download":
		r.Bulk, err = meter.Download(ctx, to, *streams, *length)
	case "ping":
		r.Latency, err = meter.Ping(ctx, to, *count, *length)
	case "connect":
		r.Latency, err = meter.Connect(ctx, to, *count, *length)
	case "loaded":
		r.Latency, err = meter.Loaded(ctx, to, *length)
	case "await":
		fmt.Fprintln(out, ready)
		r.At, err = meter.Await(ctx, to, *name)
	case "cached":
		r.Latency, err = meter.Cached(ctx, *addr, *domain, *count, *length)
	case "uncached":
		r.Latency, err = meter.Uncached(ctx, *addr, *domain, *count, *length)
	case "requests":
		r.Latency, err = web.Run(ctx, *addr, load, *count, *length)
	case "hold":
		return web.Hold(ctx, *addr, load, *count, func() { fmt.Fprintln(out, ready) })
	case "idle":
		return meter.Idle(ctx, to, *count, func() { fmt.Fprintln(out, ready) })
	case meter.Downloads, meter.Uploads:
		return meter.Stall(ctx, to, *count, args[0], func() { fmt.Fprintln(out, ready) })
	default:
		err = fmt.Errorf("call %q is unknown", args[0])
	}
	if err != nil {
		return err
	}
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return err
	}
	r.CPU = time.Duration(u.Utime.Nano() + u.Stime.Nano())
	return json.NewEncoder(out).Encode(r)
}

// alone measures netd and its stack without a cluster.
func alone(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("alone", flag.ContinueOnError)
	length := flags.Duration("length", time.Second, "of a transfer")
	if err := flags.Parse(args); err != nil {
		return err
	}
	list, err := stack.Run(ctx, stack.Options{Rounds: 1, Duration: *length})
	if err != nil {
		return err
	}
	return json.NewEncoder(out).Encode(list)
}

// span is what clock prints.
type span struct{ Start, End time.Time }

// clock runs a command, and prints the times at which it began and ended. So the time
// to enter the laptop's namespaces is not counted.
func clock(ctx context.Context, args []string, out io.Writer) error {
	if len(args) == 0 {
		return errors.New("clock what?")
	}
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	s := span{Start: time.Now()}
	err := cmd.Run()
	s.End = time.Now()
	if err != nil {
		return fmt.Errorf("%s: %w", args[0], err)
	}
	return json.NewEncoder(out).Encode(s)
}
