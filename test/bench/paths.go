package main

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/kubectl-intercept/kubectl-intercept/test/bench/report"
)

// path is how a caller reaches a server.
type path struct {
	column string
	in     func(argv ...string) []string // where the caller is
	addr   string                        // what it connects to
	socks  string                        // the SOCKS5 proxy that it uses; "" for none
	// ensure makes the path usable again if it broke during the last measurement. nil
	// means that there is nothing to do.
	ensure func(context.Context) error
}

func (b *bench) direct() path {
	return path{column: report.Direct, in: b.lab.node, addr: b.plain}
}

func (b *bench) intercepted() path {
	return path{column: report.Intercept, in: b.lab.node, addr: b.ephemeral}
}

func (b *bench) forwarded() path {
	return path{column: report.Forward, in: b.lab.laptop, addr: "127.0.0.1:" + forwardPort, ensure: func(ctx context.Context) error {
		return b.keepForward(ctx, forwardPort, "")
	}}
}

// keepForward starts kubectl port-forward if it does not run. kubectl port-forward ends
// when a connection in the pod breaks.
func (b *bench) keepForward(ctx context.Context, port, kubeconfig string) (err error) {
	if b.forward.alive() {
		return nil
	}
	b.forward, err = b.lab.startForward(ctx, "plain", port, kubeconfig)
	return err
}

// dropForward ends kubectl port-forward, so that the next use gets a new one.
func (b *bench) dropForward() {
	b.forward.stop()
	b.forward = nil
}

// call measures one thing on a path, with the arguments of the call command.
func (b *bench) call(ctx context.Context, w path, what string, args ...string) (result, error) {
	var r result
	if w.ensure != nil {
		if err := w.ensure(ctx); err != nil {
			return r, err
		}
	}
	argv := append([]string{b.lab.self, "call", what, "-addr=" + w.addr, "-socks=" + w.socks}, args...)
	out, err := output(ctx, b.length+time.Minute, w.in(argv...), b.lab.env)
	if err != nil {
		return r, err
	}
	if err := json.Unmarshal([]byte(out), &r); err != nil {
		return r, fmt.Errorf("%s: %w", what, err)
	}
	// Data in transit must not affect the next figure.
	return r, sleep(ctx, 150*time.Millisecond)
}

// transfer measures a rate on a path and notes it under a key.
func (b *bench) transfer(ctx context.Context, w path, t transfer, key string) (result, error) {
	r, err := b.call(ctx, w, t.call, "-streams="+t.streams, "-length="+b.length.String())
	if err != nil {
		return r, b.failed(ctx, key, w.column, err)
	}
	b.report.Add(key, w.column, r.Bulk.Rate())
	return r, nil
}

// failed records that a measurement on a path failed. It returns an error only if the run
// has ended, so that the section continues.
func (b *bench) failed(ctx context.Context, key, column string, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	b.lab.say("%s, %s: %v", key, column, err)
	b.report.Fail(key, column, err)
	return nil
}

func millis(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
