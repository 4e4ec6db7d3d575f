package intercept

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/pflag"
	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/resolve"
	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/target"
)

// Unsaid are the parts of a Request about which no flag was typed. If the intercept exists,
// it keeps them: somebody who changes the local port does not mean to take everybody's traffic, or
// to answer callers where there was a mirror.
type Unsaid struct {
	Mode, Match, Inject, KeepEstablished, NoFallback, LocalTLS, LocalProtocol, Preview, Mount bool
}

// unsaid is what none of the flags that were parsed is about.
func (f *MatchFlags) unsaid(fs *pflag.FlagSet) Unsaid {
	no := func(name string) bool { flag := fs.Lookup(name); return flag != nil && !flag.Changed }
	return Unsaid{Mode: no("mode"), Match: !f.Given() && no("mechanism"), Inject: no("inject"), KeepEstablished: no("keep-established"),
		NoFallback: no("no-fallback"), LocalTLS: no("local-tls"), LocalProtocol: no("local-protocol"), Preview: no("preview-url"), Mount: no("mount")}
}

// keep gives the spec what no flag is about, from the intercept as it is. It returns an
// error if that does not go with what the flags say.
func (m *maker) keep(spec, had *v1alpha1.InterceptSpec) error {
	if m.Ingest {
		return nil // the flags say all there is
	}
	u := &m.Unsaid
	if u.Mode && had.Mode == v1alpha1.ModeReplace {
		if spec.Match != nil {
			return errors.New("the intercept stops the application, which cannot answer what does not match: add --mode intercept, or leave --match out")
		}
		spec.Mode = v1alpha1.ModeReplace
		if spec.StandIn == nil || m.containerUnsaid() {
			spec.StandIn = had.StandIn
		}
	}
	if u.Match && had.Match != nil && spec.Mode != v1alpha1.ModeReplace {
		spec.Match = had.Match
	}
	if u.Mode && had.Mode == v1alpha1.ModeMirror {
		spec.Mode = v1alpha1.ModeMirror
	}
	if spec.Mode != v1alpha1.ModeMirror && spec.Match != nil {
		spec.Mode = v1alpha1.ModePersonal
	}
	if u.Inject {
		spec.Inject = had.Inject
	}
	if u.KeepEstablished && spec.Mode != v1alpha1.ModeReplace {
		spec.KeepEstablished = had.KeepEstablished
	}
	// A mirror has neither of these two.
	if u.NoFallback && spec.Mode != v1alpha1.ModeMirror {
		spec.NoFallback = had.NoFallback
	}
	if u.Preview && spec.Mode != v1alpha1.ModeMirror && spec.Match != nil {
		spec.Preview = had.Preview
	}
	if u.Mount && spec.StandIn == nil { // programs may be using the volumes
		spec.StandIn = had.StandIn
	}
	for n := range spec.Ports {
		p := &spec.Ports[n]
		k := slices.IndexFunc(had.Ports, func(q v1alpha1.InterceptPort) bool { return q.Port == p.Port && q.Protocol == p.Protocol })
		if k < 0 {
			continue
		}
		if u.LocalTLS {
			p.LocalTLS = had.Ports[k].LocalTLS
		}
		if u.LocalProtocol {
			p.LocalProtocol = had.Ports[k].LocalProtocol
		}
	}
	return m.goesTogether(spec)
}

// goesTogether is an error if what the intercept keeps does not go with what flags say.
func (m *maker) goesTogether(spec *v1alpha1.InterceptSpec) error {
	udp := slices.ContainsFunc(spec.Ports, func(p v1alpha1.InterceptPort) bool { return p.Protocol == corev1.ProtocolUDP })
	if spec.Mode == v1alpha1.ModeMirror && m.Unsaid.Mode {
		const instead = ", and the intercept is a mirror: add --mode intercept, or another --name for one beside the mirror"
		switch {
		case spec.NoFallback:
			return errors.New("--no-fallback refuses callers" + instead)
		case spec.Preview != nil:
			return errors.New("visitors of --preview-url come to this machine" + instead)
		case udp:
			return errors.New("a UDP port cannot be mirrored" + instead)
		}
	}
	if spec.Match != nil && m.Unsaid.Match {
		return m.checkMatch()
	}
	return nil
}

// checkMatch is an error if a port has no HTTP requests that could be told apart.
func (m *maker) checkMatch() error {
	if err := resolve.CannotTellApart(m.workload, m.resolved); err != nil {
		return err
	}
	for _, p := range m.resolved {
		if p.Protocol == corev1.ProtocolUDP {
			return fmt.Errorf("port %s of %s is UDP, which has no HTTP requests to match: intercept it without --match, under another --name", resolve.Identifier(p), m.workload)
		}
	}
	return nil
}

// keepsConditions says that the intercept exists, and goes on with conditions that it has.
func (m *maker) keepsConditions(ctx context.Context) bool {
	if !m.Unsaid.Match {
		return false
	}
	user, err := target.User(ctx, m.client)
	if err != nil {
		return false
	}
	_, _, existing, err := m.existing(ctx, user)
	return err == nil && existing != nil && len(existing.Spec.Match.Conditions()) > 0
}
