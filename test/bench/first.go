package main

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/kubectl-intercept/kubectl-intercept/test/bench/report"
)

// attach is one way to begin an intercept. An ephemeral agent is measured in the
// deployment "ephemeral", a sidecar in "sidecar". The sidecar takes over the port name
// that the Service of "sidecar" refers to, so the caller connects to that Service.
type attach struct {
	key, title string
	deployment string
	fresh      bool // replace the pod by one without an agent first
	cold       bool // end the session first
	addr       func(*bench) string
	more       []string // more arguments of the command add
}

func attaches() []attach {
	ephemeral := func(b *bench) string { return b.ephemeral }
	service := func(b *bench) string { return b.sidecar }
	sidecar := []string{"--inject=sidecar"}
	return []attach{
		{"first.cold", "ephemeral: new pod, no session", "ephemeral", true, true, ephemeral, nil},
		{"first.pod", "ephemeral: new pod", "ephemeral", true, false, ephemeral, nil},
		{"first.warm", "ephemeral: agent there", "ephemeral", false, false, ephemeral, nil},
		{"first.sidecar.cold", "sidecar: pod replaced, no session", "sidecar", true, true, service, sidecar},
		{"first.sidecar.pod", "sidecar: pod replaced", "sidecar", true, false, service, sidecar},
		{"first.sidecar.warm", "sidecar: agent there", "sidecar", false, false, service, sidecar},
	}
}

// first measures two times from the start of the command `add`: until the laptop
// answers a caller in the cluster, and until the command returns. It measures them
// without a session, with a running session, and with an agent in the pod as well.
func (b *bench) first(ctx context.Context) error {
	for range b.rounds {
		for _, a := range attaches() {
			if a.cold {
				if err := b.lab.endSessions(ctx); err != nil {
					return err
				}
			}
			if a.fresh {
				addr, err := b.lab.newPod(ctx, a.deployment)
				if err != nil {
					return err
				}
				if a.deployment == "ephemeral" {
					b.ephemeral = addr
				}
			}
			if err := b.firstByte(ctx, a); err != nil {
				return fmt.Errorf("%s: %w", a.title, err)
			}
		}
	}
	return nil
}

func (b *bench) firstByte(ctx context.Context, a attach) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	caller, err := start(ctx, b.lab.node(b.lab.self, "call", "await", "-addr="+a.addr(b), "-name=laptop"), b.lab.env, ready)
	if err != nil {
		return err
	}
	defer caller.stop()
	s, err := b.lab.add(ctx, a.deployment, "", a.more...)
	if err != nil {
		return err
	}
	b.added = a.deployment
	line, err := caller.nextLine(ctx)
	if err != nil {
		return err
	}
	var r result
	if err := json.Unmarshal([]byte(line), &r); err != nil {
		return err
	}
	b.report.Add(a.key, report.Intercept, r.At.Sub(s.Start).Seconds())
	b.report.Add(a.key+".returns", report.Intercept, s.End.Sub(s.Start).Seconds())
	return b.drop(ctx)
}
