// Package podnet is the network of the pod that an intercept stands in for, as programs on
// the laptop use it: flows that its agent opens there, and what names mean there.
package podnet

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"k8s.io/apimachinery/pkg/types"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/manager/rpc/podnames"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/frame"
)

// Lines open flows into pods: standin.Lines.
type Lines interface {
	Open(ctx context.Context, o *frame.Open) (tunnel.Stream, error)
	Pod(uid string) string
}

// Network is the network of one pod after the other: the one that the intercept stands in
// for. It is safe for concurrent use.
type Network struct {
	key       types.NamespacedName
	intercept func(context.Context, types.NamespacedName) (*v1alpha1.Intercept, error)
	lines     Lines

	mu    sync.Mutex
	of    string // the pod that names are from
	names *podnames.Names
}

// New returns the network for an intercept, which the function finds.
func New(key types.NamespacedName, intercept func(context.Context, types.NamespacedName) (*v1alpha1.Intercept, error), lines Lines) *Network {
	return &Network{key: key, intercept: intercept, lines: lines}
}

var errOld = errors.New("the agent in the pod is older than this program and cannot dial for it: delete the pod, and the one that is made in its place gets a new agent")

// Open implements outbound.Opener. While there is no pod it waits for one, until ctx ends.
func (n *Network) Open(ctx context.Context, p frame.Protocol, target string, first []byte) (tunnel.Stream, error) {
	i, err := n.intercept(ctx, n.key)
	if err != nil {
		return nil, err
	}
	s, err := n.lines.Open(ctx, &frame.Open{Kind: frame.Network, Intercept: n.key.String(), InterceptUID: string(i.UID), Protocol: p, Target: target, First: first})
	if errors.Is(err, frame.ErrUnsupported) {
		return nil, errOld
	}
	return s, err
}

// Pod is the pod that flows come from, "namespace/name"; empty if there is none.
func (n *Network) Pod(ctx context.Context) string {
	i, err := n.intercept(ctx, n.key)
	if err != nil {
		return ""
	}
	return n.lines.Pod(string(i.UID))
}

// Names are what names mean in the pod. They are asked for once for each pod. While there is
// no pod, they are those of the last one.
func (n *Network) Names(ctx context.Context) (*podnames.Names, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	pod := n.Pod(ctx)
	if n.names != nil && (pod == "" || pod == n.of) {
		return n.names, nil
	}
	names, err := n.ask(ctx)
	if err != nil {
		return nil, fmt.Errorf("ask for the names of the pod of intercept %s: %w", n.key, err)
	}
	n.names, n.of = names, n.Pod(ctx)
	return names, nil
}

func (n *Network) ask(ctx context.Context) (*podnames.Names, error) {
	s, err := n.Open(ctx, frame.TCP, frame.TargetNames, nil)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	stop := context.AfterFunc(ctx, s.Reset)
	defer stop()
	if err := s.CloseWrite(); err != nil {
		return nil, err
	}
	return podnames.Read(s)
}
