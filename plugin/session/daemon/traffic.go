package daemon

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/traffic"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/frame"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/line"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/render"
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

// trafficTries is how many lines are offered: of several replicas, one that has no carrier of the
// session refuses its lines.
const trafficTries = 16

// traffic asks on an outbound line of its own, which changes nothing for the session at the
// replica.
func (w *work) traffic(ctx context.Context) (*traffic.Report, error) {
	ctx, cancel := context.WithTimeout(ctx, trafficTimeout)
	defer cancel()
	var err error
	for range trafficTries {
		var s tunnel.Stream
		if s, err = w.link.lines.DialOutbound(ctx); err == nil {
			var report *traffic.Report
			if report, err = askTraffic(ctx, s, w.link.hello.Session); err != nil {
				err = fmt.Errorf("ask the traffic-manager who moves how much: %w", err)
			}
			return report, err
		}
		if ctx.Err() != nil {
			break
		}
	}
	return nil, fmt.Errorf("ask the traffic-manager: %w", err)
}

// askTraffic asks on a line, which it closes.
func askTraffic(ctx context.Context, s tunnel.Stream, session string) (*traffic.Report, error) {
	defer s.Close()
	open := &frame.Open{Kind: frame.Dialed, Session: session, Protocol: frame.TCP, Target: frame.TargetTraffic}
	verdict, reason, err := line.Ask(ctx, s, open)
	switch {
	case err != nil:
		return nil, err
	case verdict == frame.Denied && reason == "":
		return nil, errors.New("it does not know this question: kubectl intercept upgrade brings a newer one")
	case verdict != frame.Accepted:
		return nil, verdict.Err(reason)
	}
	defer context.AfterFunc(ctx, s.Reset)()
	var report traffic.Report
	if err := json.NewDecoder(s).Decode(&report); err != nil {
		return nil, fmt.Errorf("read the answer: %w", err)
	}
	return &report, nil
}
