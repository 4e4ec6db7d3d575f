package control

import (
	"context"
	"fmt"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/kubectl-intercept/kubectl-intercept/manager/rpc"
)

const (
	// countersEvery is the shortest time between two reports of changed counters.
	countersEvery = 2 * time.Second
	// countersLook is how often the counters are compared with the last report.
	countersLook = 250 * time.Millisecond
)

// Ports are the ports of the agent, which the manager configures.
type Ports interface {
	// Apply changes the ports to those of the configuration. It does not wait for
	// the proofs that connections reach them.
	Apply(*rpc.AgentConfig)
	// Report returns the state of all ports. Changed sends when a report is due at
	// once.
	Report() *rpc.AgentReport
	Changed() <-chan struct{}
}

// Watch keeps a stream to the manager. It returns nil when the manager asks the
// agent to exit, and an error when ctx ends or when it gives up (ErrAbandoned).
// While there is no stream, the last configuration stays in force, except that stopped
// containers go on after a while.
func (c *Client) Watch(ctx context.Context, ports Ports) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	go c.renew(ctx)
	heard := time.Now()
	alone := &solitude{ports: ports, after: aloneAfter}
	for n := 0; ; n++ {
		began := time.Now()
		exit, served, err := c.watchOnce(ctx, ports, alone.apply)
		if served {
			heard = time.Now()
		}
		if exit {
			return nil
		}
		if ctx.Err() != nil {
			return fmt.Errorf("watch: %w", ctx.Err())
		}
		if time.Since(began) > steady {
			n = 0
		}
		if c.Patience.exceeded(time.Since(heard), err) {
			return fmt.Errorf("watch: %w: %w", ErrAbandoned, err)
		}
		alone.lost()
		c.log.Warn("no stream to the manager, what is captured stays so", "error", err)
		if !Pause(ctx, backOff(n)) {
			return fmt.Errorf("watch: %w", ctx.Err())
		}
	}
}

// watchOnce keeps one stream until it breaks, and applies what comes. Served says that the manager sent
// something on it.
func (c *Client) watchOnce(ctx context.Context, ports Ports, apply func(*rpc.AgentConfig)) (exit, served bool, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	agents, closeAll, err := c.connect(ctx)
	if err != nil {
		return false, served, err
	}
	defer closeAll()
	stream, err := agents.Watch(ctx)
	if err != nil {
		return false, served, fmt.Errorf("watch: %w", err)
	}
	first := ports.Report()
	first.Version = c.version
	if err := stream.Send(first); err != nil {
		return false, served, fmt.Errorf("report: %w", err)
	}
	reporting := make(chan struct{})
	go func() {
		defer close(reporting)
		defer cancel() // end a stream on which reports cannot be sent
		c.report(ctx, stream.Send, ports, first)
	}()
	defer func() { cancel(); <-reporting }()
	c.log.Info("connected", "manager", c.settings.Manager)
	for {
		cfg, err := stream.Recv()
		if err != nil {
			return false, served, fmt.Errorf("watch: %w", err)
		}
		served = true
		if len(cfg.CaBundle) > 0 {
			if err := c.identity.setRoots(cfg.CaBundle); err != nil {
				c.log.Error("keeping the old CA bundle", "error", err)
			}
		}
		c.setLevel(cfg.LogLevel)
		if cfg.Exit {
			return true, true, nil
		}
		apply(cfg)
	}
}

// setLevel lets the agent log at a level, or at its own if that is "". A level that this
// version does not know changes nothing.
func (c *Client) setLevel(level string) {
	if c.Level == nil {
		return
	}
	l := c.settings.LogLevel
	if level != "" && l.UnmarshalText([]byte(level)) != nil || l == c.Level.Level() {
		return
	}
	c.Level.Set(l)
	c.log.Info("the log level is another one", "to", l)
}

// report sends reports until ctx ends or sending fails. It reports a changed state
// at once. It reports changed counters soon after the first change, and then at
// most once in countersEvery.
func (c *Client) report(ctx context.Context, send func(*rpc.AgentReport) error, ports Ports, last *rpc.AgentReport) {
	tick := time.NewTicker(countersLook)
	defer tick.Stop()
	last = proto.CloneOf(last)
	last.Version = ""
	sent := time.Now()
	for {
		urgent := false
		select {
		case <-ctx.Done():
			return
		case <-ports.Changed():
			urgent = true
		case <-tick.C:
		}
		if !urgent && time.Since(sent) < countersEvery {
			continue
		}
		r := ports.Report()
		if !urgent && proto.Equal(r, last) {
			continue
		}
		if err := send(r); err != nil {
			c.log.Debug("report was not sent", "error", err)
			return
		}
		last, sent = r, time.Now()
	}
}
