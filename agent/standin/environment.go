package standin

import (
	"bytes"
	"context"
	"log/slog"

	"github.com/kubectl-intercept/kubectl-intercept/agent/egress"
	"github.com/kubectl-intercept/kubectl-intercept/agent/environ"
	"github.com/kubectl-intercept/kubectl-intercept/manager/rpc/process"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/frame"
)

// Container returns what serves the flows of a Set: it answers what the container with this
// ID has, "containerd://…" as the status of a pod says it, and dials from the pod. The volumes
// at the hidden paths, and below them, stay in the pod.
func Container(id string, hidden []string, log *slog.Logger) func(excluded []string) tunnel.Handler {
	v := &volumes{container: id, hidden: hidden, log: log}
	return func(excluded []string) tunnel.Handler {
		return func(ctx context.Context, o *frame.Open, in tunnel.Incoming) error {
			switch {
			case o.Kind == frame.Network:
				return egress.Own.Handle(ctx, o, in)
			case o.Supported(frame.Environment):
				return serveEnvironment(id, excluded, in)
			case o.Supported(frame.Files):
				return v.serve(in)
			}
			return frame.ErrUnsupported
		}
	}
}

func serveEnvironment(id string, excluded []string, in tunnel.Incoming) error {
	text, err := environment(id, excluded)
	if err != nil {
		return err
	}
	if err := in.Accept(); err != nil {
		return err
	}
	return in.Join(tunnel.Answer(text), nil)
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
