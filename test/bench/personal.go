package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/kubectl-intercept/kubectl-intercept/test/bench/report"
	"github.com/kubectl-intercept/kubectl-intercept/test/bench/web"
)

// personalName is the name of the intercept that takes the laptop's requests. Those that
// take nothing have a number at its end.
const personalName = "bench-web"

// personal measures what personal intercepts and idle connections cost the agent. It does
// so with a new agent, whose memory is not that of earlier sections.
func (b *bench) personal(ctx context.Context) error {
	if err := b.drop(ctx); err != nil {
		return err
	}
	addr, err := b.lab.newPod(ctx, "ephemeral")
	if err != nil {
		return err
	}
	b.ephemeral = addr
	if err := b.interceptRequests(ctx); err != nil {
		return err
	}
	paths := b.webPaths("")
	w := paths[len(paths)-1] // through the agent, to the application
	for _, n := range intercepts() {
		if n == 0 {
			continue
		}
		if err := b.morePersonal(ctx, n); err != nil {
			return err
		}
		if err := b.personalCost(ctx, w, n); err != nil {
			return err
		}
	}
	if err := b.lessPersonal(ctx); err != nil {
		return err
	}
	if err := b.drop(ctx); err != nil {
		return err
	}
	if err := b.personalCost(ctx, w, 0); err != nil {
		return err
	}
	// These come last, because a process keeps some of its peak memory.
	if err := b.interceptRequests(ctx); err != nil {
		return err
	}
	for _, h := range []struct{ key, protocol string }{{"idle", web.HTTP1}, {"idle.h2", web.HTTP2}} {
		if err := b.idleMemory(ctx, w, h.key, h.protocol); err != nil {
			return err
		}
	}
	return nil
}

// personalCost measures the agent with a number of intercepts that do not take the
// requests.
func (b *bench) personalCost(ctx context.Context, w webPath, intercepts int) error {
	for range b.rounds {
		pid := b.find(agentProcess)
		before := cpuTime(pid)
		r, err := b.request(ctx, w, webLoads()[0].load, b.length)
		if err != nil {
			return b.failed(ctx, webPrefix+costKey(intercepts), report.Unmatched, err)
		}
		b.report.Add(webPrefix+costKey(intercepts), report.Unmatched, (cpuTime(pid)-before)*1e6/float64(r.Latency.Count))
	}
	now, err := b.rest(ctx, agentProcess)
	b.report.Add(webPrefix+restKey(intercepts), report.Unmatched, now)
	return err
}

// idleMemory measures the agent's memory while connections are open that have had one
// request each.
func (b *bench) idleMemory(ctx context.Context, w webPath, key, protocol string) error {
	rest, err := b.rest(ctx, agentProcess)
	if err != nil {
		return err
	}
	load := webLoads()[0].load
	load.Protocol, load.Streams = protocol, 1
	argv := append([]string{b.lab.self, "call", "hold", "-count=" + strconv.Itoa(webIdleCount)}, w.arguments(load)...)
	holder, err := start(ctx, b.lab.node(argv...), b.lab.env, ready)
	if err != nil {
		return b.failed(ctx, webPrefix+key, report.Unmatched, err)
	}
	defer holder.stop()
	now, err := b.rest(ctx, agentProcess)
	b.report.Add(webPrefix+key, report.Unmatched, now-rest)
	return err
}

// morePersonal makes copies of the laptop's intercept for other values, until there are
// count, and waits until the agent follows all of them.
func (b *bench) morePersonal(ctx context.Context, count int) error {
	text, err := b.lab.kubectl(ctx, "get", "intercept/"+personalName, "--output=json")
	if err != nil {
		return err
	}
	items := []any{}
	for n := 1; n < count; n++ {
		var one struct {
			Spec map[string]any `json:"spec"`
		}
		if err := json.Unmarshal([]byte(text), &one); err != nil {
			return err
		}
		one.Spec["match"] = map[string]any{"headers": []any{map[string]any{"name": webField, "regexp": fmt.Sprintf("user-%03d", n)}}}
		items = append(items, map[string]any{
			"apiVersion": "kubectl-intercept.dev/v1alpha1", "kind": "Intercept", "spec": one.Spec,
			"metadata": map[string]any{"name": fmt.Sprintf("%s-%03d", personalName, n), "labels": map[string]any{"bench": "many"}},
		})
	}
	list, err := json.Marshal(map[string]any{"apiVersion": "v1", "kind": "List", "items": items})
	if err != nil {
		return err
	}
	file := filepath.Join(b.lab.tmp, "personal.json")
	if err := os.WriteFile(file, list, 0o600); err != nil {
		return err
	}
	if len(items) > 0 {
		if _, err := b.lab.kubectl(ctx, "apply", "-f", file); err != nil {
			return err
		}
	}
	return b.awaitPersonal(ctx, count)
}

// lessPersonal removes what morePersonal has made.
func (b *bench) lessPersonal(ctx context.Context) error {
	if _, err := b.lab.kubectl(ctx, "delete", "intercepts", "--selector=bench=many", "--wait=false"); err != nil {
		return err
	}
	return b.awaitPersonal(ctx, 1)
}

// awaitPersonal waits until there are so many intercepts, all of them active.
func (b *bench) awaitPersonal(ctx context.Context, count int) error {
	const active = "Active"
	ctx, cancel := context.WithTimeoutCause(ctx, 3*time.Minute, fmt.Errorf("%d intercepts are not active after 3 minutes", count))
	defer cancel()
	for {
		text, err := b.lab.kubectl(ctx, "get", "intercepts", "--output=jsonpath={.items[*].status.state}")
		if err != nil {
			return fmt.Errorf("%w (%v)", err, context.Cause(ctx))
		}
		states := strings.Fields(text)
		if len(states) == count && strings.Count(text, active) == count {
			return nil
		}
		if err := sleep(ctx, 500*time.Millisecond); err != nil {
			return fmt.Errorf("%w: %d are", context.Cause(ctx), strings.Count(text, active))
		}
	}
}
