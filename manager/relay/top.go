package relay

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/traffic"
	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/frame"
)

// answerTraffic tells a session who moves how much at any replica: its user's sessions, and
// everybody's if the user may list Sessions.
func (r *Relay) answerTraffic(ctx context.Context, s *session, in tunnel.Incoming) error {
	if err := r.cfg.Budget.Questions.Allow(s.name); err != nil {
		return &frame.DeniedError{Reason: err.Error()}
	}
	owner := s.owner.Load().Subject
	everybody, err := r.cfg.Reach.MayList(ctx, owner, v1alpha1.Group, "sessions", r.cfg.Namespace)
	if err != nil {
		r.cfg.Log.Warn("a user's right to list sessions cannot be checked", "session", s.name, "error", err)
		return &frame.DeniedError{Reason: fmt.Sprintf("it cannot be checked whether you may list sessions: %v", err)}
	}
	report := traffic.Report{Everybody: everybody}
	lists, missing := r.everywhere(ctx)
	if err := ctx.Err(); err != nil {
		return err
	}
	report.Entries, report.Missing = traffic.Merge(lists...), missing
	if !everybody {
		report.Entries = slices.DeleteFunc(report.Entries, func(e traffic.Entry) bool { return e.User != owner.User })
	}
	text, err := json.Marshal(report)
	if err != nil {
		return err
	}
	if err := in.Accept(); err != nil {
		return err
	}
	return in.Join(tunnel.Answer(text), nil)
}

// everywhere asks this replica and all others at the same time.
func (r *Relay) everywhere(ctx context.Context) (lists [][]traffic.Entry, missing []string) {
	var mu sync.Mutex
	var wg sync.WaitGroup
	wg.Go(func() {
		own := r.Traffic(ctx)
		mu.Lock()
		defer mu.Unlock()
		lists = append(lists, own)
	})
	for pod, host := range r.others(ctx) {
		wg.Go(func() {
			list, err := r.cfg.Replicas.Traffic(ctx, host)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				missing = append(missing, fmt.Sprintf("%s: %v", pod, err))
			}
			lists = append(lists, list)
		})
	}
	wg.Wait()
	slices.Sort(missing)
	return lists, missing
}

// others are the replicas, but for this one, that have sessions: pods to addresses.
func (r *Relay) others(ctx context.Context) map[string]string {
	if r.cfg.Replicas == nil {
		return nil
	}
	var list v1alpha1.SessionList
	if err := r.cfg.Cache.List(ctx, &list, client.InNamespace(r.cfg.Namespace), client.UnsafeDisableDeepCopy); err != nil {
		r.cfg.Log.Warn("list sessions", "error", err)
	}
	all := map[string]string{}
	for i := range list.Items {
		for _, relay := range list.Items[i].Status.Relays {
			if relay.Pod != r.cfg.Pod {
				all[relay.Pod] = relay.Address
			}
		}
	}
	return all
}

// Traffic is what the sessions of this replica move. It takes traffic.Interval to see how
// fast.
func (r *Relay) Traffic(ctx context.Context) []traffic.Entry {
	before, began := r.moved(), time.Now()
	select {
	case <-time.After(traffic.Interval * time.Second):
	case <-ctx.Done():
		return nil
	}
	took := time.Since(began).Seconds()
	r.mu.Lock()
	sessions := make([]*session, 0, len(r.sessions))
	for _, s := range r.sessions {
		sessions = append(sessions, s)
	}
	r.mu.Unlock()
	var list []traffic.Entry
	for _, s := range sessions {
		var o v1alpha1.Session
		_ = r.cfg.Cache.Get(ctx, client.ObjectKey{Namespace: r.cfg.Namespace, Name: s.name}, &o) // without it, the entry has no host
		for what, c := range s.traffic.counters() {
			e := traffic.Entry{User: s.user(), Host: o.Spec.Host, Session: s.name, Intercept: what.intercept, Direction: what.direction, Way: what.way,
				Transport: s.traffic.youngest(), Down: c.toLaptop.Load(), Up: c.toTarget.Load()}
			was := before[c] // nothing, if it is new
			e.DownRate, e.UpRate = int64(float64(e.Down-was.down)/took), int64(float64(e.Up-was.up)/took)
			if sealed := what.way == wayLine && what.intercept != ""; sealed {
				e.Lines = c.lines.Load()
			} else {
				flows := c.open.Load()
				e.Flows = &flows
			}
			if e.Down+e.Up+e.Lines > 0 || e.Flows != nil && *e.Flows > 0 { // else it is an idle line's
				list = append(list, e)
			}
		}
	}
	return list
}

type moved struct{ down, up int64 }

// moved is what every counter has now.
func (r *Relay) moved() map[*counter]moved {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := map[*counter]moved{}
	for _, s := range r.sessions {
		for _, c := range s.traffic.counters() {
			all[c] = moved{c.toLaptop.Load(), c.toTarget.Load()}
		}
	}
	return all
}

// asksTraffic says whether a flow is that question.
func asksTraffic(o *frame.Open) bool {
	return o.Protocol == frame.TCP && o.Target == frame.TargetTraffic
}
