//go:build linux

// Package stack measures netd/stack alone, TUN to netstack to a local sink
// and source, beside the kernel's loopback in the same run: what the machine
// gives and what the TUN costs of it. It needs root, makes a network
// namespace of its own and touches no other.
//
//	go test -tags rootful -bench . -benchtime 1x ./test/bench/stack
package stack

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/kubectl-intercept/kubectl-intercept/netd/stack"
	"github.com/kubectl-intercept/kubectl-intercept/netd/stack/tuntest"
)

// Options of a run.
type Options struct {
	Rounds   int           // each takes every figure on both paths; 0 is 3
	Duration time.Duration // of each transfer; 0 is 2 s
	Plain    bool          // a TUN without offload
}

// Figure is what both paths gave: medians of the rounds.
type Figure struct {
	Name            string
	Unit            string // Gbit/s, µs or /s
	Loopback, Stack float64
	// CPU that the whole process spent, both ends included, in ns per KiB;
	// of transfers only.
	LoopbackCPU, StackCPU float64
}

// Ratio of the stack to the loopback.
func (f Figure) Ratio() float64 { return f.Stack / f.Loopback }

const (
	source, sink, echo = 1, 2, 3 // ports
	address            = "10.98.0.1/24"
	far                = "10.98.0.2"
	chunk              = 128 << 10
)

// Run measures.
func Run(ctx context.Context, o Options) ([]Figure, error) {
	if o.Rounds == 0 {
		o.Rounds = 3
	}
	if o.Duration == 0 {
		o.Duration = 2 * time.Second
	}
	space, err := tuntest.New()
	if err != nil {
		return nil, err
	}
	defer space.Close()
	file, err := space.TUN("bench0", !o.Plain, 1500, address)
	if err != nil {
		return nil, err
	}
	s, err := stack.New(stack.Config{File: file, Offload: !o.Plain, Handler: handler{}})
	if err != nil {
		return nil, err
	}
	defer s.Close()
	for _, port := range []int{source, sink, echo} {
		l, err := space.Listen(fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			return nil, err
		}
		defer l.Close()
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				go serve(c.(*net.TCPConn), port)
			}
		}()
	}

	b := &bench{space: space, ctx: ctx, d: o.Duration}
	kinds := []kind{
		{"up, 1 stream", "Gbit/s", b.transfer(sink, 1)},
		{"down, 1 stream", "Gbit/s", b.transfer(source, 1)},
		{"up, 4 streams", "Gbit/s", b.transfer(sink, 4)},
		{"down, 4 streams", "Gbit/s", b.transfer(source, 4)},
		{"64 bytes and back, p50", "µs", b.ping},
		{"new connections", "/s", b.connections},
	}
	figures := make([]Figure, len(kinds))
	for i, k := range kinds {
		var rates, cpus [2][]float64
		for range o.Rounds {
			for path, host := range []string{"127.0.0.1", far} {
				rate, cpu, err := k.measure(host)
				if err != nil {
					return nil, fmt.Errorf("%s at %s: %w", k.name, host, err)
				}
				rates[path], cpus[path] = append(rates[path], rate), append(cpus[path], cpu)
			}
		}
		figures[i] = Figure{
			Name: k.name, Unit: k.unit, Loopback: median(rates[0]), Stack: median(rates[1]),
			LoopbackCPU: median(cpus[0]), StackCPU: median(cpus[1]),
		}
	}
	return figures, nil
}

type kind struct {
	name, unit string
	measure    func(host string) (value, cpu float64, err error)
}

type bench struct {
	space *tuntest.Space
	ctx   context.Context
	d     time.Duration
}

func (b *bench) dial(host string, port int) (*net.TCPConn, error) {
	c, err := b.space.Dial(b.ctx, "tcp", net.JoinHostPort(host, strconv.Itoa(port)))
	if err != nil {
		return nil, err
	}
	c.SetDeadline(time.Now().Add(b.d + 20*time.Second))
	return c.(*net.TCPConn), nil
}

// transfer counts at the receiver, which tells the sender of an upload.
func (b *bench) transfer(port, streams int) func(string) (float64, float64, error) {
	return func(host string) (float64, float64, error) {
		var wg sync.WaitGroup
		counts, errs := make([]int64, streams), make([]error, streams)
		begin, cpu := time.Now(), used()
		for i := range streams {
			wg.Go(func() {
				c, err := b.dial(host, port)
				if err != nil {
					errs[i] = err
					return
				}
				defer c.Close()
				if port == sink {
					counts[i], errs[i] = upload(c, b.d)
				} else {
					counts[i], errs[i] = download(c, b.d)
				}
			})
		}
		wg.Wait()
		elapsed, cpu := time.Since(begin), used()-cpu
		var bytes int64
		for _, n := range counts {
			bytes += n
		}
		return float64(bytes) * 8 / 1e9 / elapsed.Seconds(), float64(cpu) / (float64(bytes) / 1024), errors.Join(errs...)
	}
}

func upload(c *net.TCPConn, d time.Duration) (int64, error) {
	buf := make([]byte, chunk)
	for until := time.Now().Add(d); time.Now().Before(until); {
		if _, err := c.Write(buf); err != nil {
			return 0, err
		}
	}
	c.CloseWrite()
	var n int64
	_, err := fmt.Fscan(c, &n)
	return n, err
}

func download(c *net.TCPConn, d time.Duration) (n int64, err error) {
	buf := make([]byte, chunk)
	for until := time.Now().Add(d); time.Now().Before(until); {
		m, err := c.Read(buf)
		if n += int64(m); err != nil {
			return n, err
		}
	}
	return n, nil
}

func (b *bench) ping(host string) (float64, float64, error) {
	c, err := b.dial(host, echo)
	if err != nil {
		return 0, 0, err
	}
	defer c.Close()
	buf, times := make([]byte, 64), []float64(nil)
	for range 5000 {
		begin := time.Now()
		if _, err := c.Write(buf); err != nil {
			return 0, 0, err
		}
		if _, err := io.ReadFull(c, buf); err != nil {
			return 0, 0, err
		}
		times = append(times, float64(time.Since(begin).Nanoseconds())/1e3)
	}
	return median(times), 0, nil
}

func (b *bench) connections(host string) (rate, _ float64, err error) {
	const n = 2000
	err = b.space.Do(func() error {
		begin, buf := time.Now(), make([]byte, 1)
		for range n {
			c, err := net.Dial("tcp", net.JoinHostPort(host, strconv.Itoa(echo)))
			if err != nil {
				return err
			}
			c.Write(buf)
			_, err = io.ReadFull(c, buf)
			c.Close()
			if err != nil {
				return err
			}
		}
		rate = n / time.Since(begin).Seconds()
		return nil
	})
	return rate, 0, err
}

// serve is the far side of both paths.
func serve(c interface {
	io.ReadWriteCloser
	CloseWrite() error
}, port int) {
	defer c.Close()
	buf := make([]byte, chunk)
	switch port {
	case source:
		for {
			if _, err := c.Write(buf); err != nil {
				return
			}
		}
	case sink:
		var n int64
		for {
			m, err := c.Read(buf)
			n += int64(m)
			if err != nil {
				fmt.Fprintln(c, n)
				return
			}
		}
	case echo:
		for {
			n, err := c.Read(buf)
			if err != nil {
				return
			}
			c.Write(buf[:n])
		}
	}
}

type handler struct{}

func (handler) TCP(_ context.Context, r *stack.TCPRequest) {
	if c, err := r.Accept(); err == nil {
		serve(c, int(r.To.Port()))
	}
}
func (handler) UDP(_ context.Context, f *stack.UDPFlow) { f.Refuse() }
func (handler) Ping(context.Context, *stack.Echo)       {}

func median(v []float64) float64 {
	v = slices.Clone(v)
	slices.Sort(v)
	return v[len(v)/2]
}

// used is the CPU time of this process so far.
func used() time.Duration {
	var u syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
