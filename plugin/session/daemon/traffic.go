package daemon

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/traffic"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/frame"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/handshake"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/mux"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/render"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/carrier"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/outbound"
)

// trafficTimeout bounds the whole question who moves how much.
const trafficTimeout = 20 * time.Second

// serveTraffic asks the traffic-manager who moves how much.
func (a *api) serveTraffic(w http.ResponseWriter, r *http.Request) {
	var report *traffic.Report
	work, err := a.working()
	if err == nil {
		report, err = work.traffic(r.Context())
	}
	if err != nil {
		http.Error(w, render.Error(err), http.StatusBadGateway)
		return
	}
	answer(w, report)
}

// traffic asks on a carrier of its own, since those of the session may be of the other
// direction.
func (w *work) traffic(ctx context.Context) (*traffic.Report, error) {
	ctx, cancel := context.WithTimeout(ctx, trafficTimeout)
	hello := w.link.hello
	hello.Direction = handshake.Outbound
	group := mux.NewGroup(mux.NewBudget(windowBudget))
	up := make(chan struct{}, 1)
	pool := carrier.NewPool(carrier.Config{Size: 1, Dial: w.link.dial, Hello: hello, Log: w.log,
		Serve: func(ctx context.Context, conn net.Conn) error {
			return group.Add(ctx, conn, func() {
				select {
				case up <- struct{}{}:
				default:
				}
			})
		}})
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		pool.Run(ctx)
	}()
	defer func() {
		cancel()
		<-ended
	}()
	select {
	case <-up:
	case <-ctx.Done():
		return nil, fmt.Errorf("ask the traffic-manager: %w", errors.Join(pool.State().Err, context.Cause(ctx)))
	}
	report, err := askTraffic(ctx, &outbound.Dialer{Session: hello.Session, Group: group})
	if err != nil {
		return nil, fmt.Errorf("ask the traffic-manager who moves how much: %w", err)
	}
	return report, nil
}

// askTraffic asks by a Dialer.
func askTraffic(ctx context.Context, d *outbound.Dialer) (*traffic.Report, error) {
	conn, err := d.Open(ctx, frame.TCP, frame.TargetTraffic, nil)
	if errors.Is(err, frame.ErrDenied) {
		return nil, errors.New("it does not know this question: kubectl intercept upgrade brings a newer one")
	}
	if err != nil {
		return nil, err
	}
	near, far := net.Pipe()
	go conn.Join(&outbound.PipeEnd{Conn: far}, nil) // ends with near
	defer near.Close()
	defer context.AfterFunc(ctx, func() { near.Close() })()
	var report traffic.Report
	if err := json.NewDecoder(near).Decode(&report); err != nil {
		return nil, fmt.Errorf("read the answer: %w", err)
	}
	return &report, nil
}
