package standin

import (
	"bytes"
	"context"

	"github.com/kubectl-intercept/kubectl-intercept/agent/egress"
	"github.com/kubectl-intercept/kubectl-intercept/agent/environ"
	"github.com/kubectl-intercept/kubectl-intercept/manager/rpc/process"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/frame"
)

// Container returns what serves the flows of a Set: it answers what the container with this
// ID has, "containerd://…" as the status of a pod says it, and dials from the pod.
func Container(id string) func(excluded []string) tunnel.Handler {
	return func(excluded []string) tunnel.Handler {
		return func(ctx context.Context, o *frame.Open, in tunnel.Incoming) error {
			if o.Kind == frame.Network {
				return egress.Own.Handle(ctx, o, in)
			}
			if !o.Supported(frame.Environment) {
				return frame.ErrUnsupported
			}
			text, err := environment(id, excluded)
			if err != nil {
				return err
			}
			if err := in.Accept(); err != nil {
				return err
			}
			return in.Join(tunnel.Answer(text), nil)
		}
	}
}

// environment is the answer to a flow of the kind Environment.
func environment(id string, excluded []string) ([]byte, error) {
	var b bytes.Buffer
	p, err := environ.Root.Of(id, excluded)
	if err == nil {
		err = process.Write(&b, p)
	}
	if err == nil {
		return b.Bytes(), nil
	}
	b.Reset()
	err = process.WriteProblem(&b, err)
	return b.Bytes(), err
}
