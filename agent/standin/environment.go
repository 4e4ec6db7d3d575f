package standin

import (
	"bytes"
	"context"
	"log/slog"
	"time"

	"github.com/kubectl-intercept/kubectl-intercept/agent/environ"
	"github.com/kubectl-intercept/kubectl-intercept/manager/rpc/process"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/frame"
)

// Container returns what serves the flows of a Set: it answers what the container with this
// ID has, "containerd://…" as the status of a pod says it. The volumes at the hidden paths,
// and below them, stay in the pod.
func Container(id string, hidden []string, log *slog.Logger) func(excluded []string) tunnel.Handler {
	v := &volumes{container: id, hidden: hidden, log: log}
	return func(excluded []string) tunnel.Handler {
		return func(_ context.Context, o *frame.Open, in tunnel.Incoming) error {
			switch {
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
	return in.Join(&answer{Reader: bytes.NewReader(text)}, nil)
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

// answer is a stream that sends a text and ignores what comes.
type answer struct{ *bytes.Reader }

func (*answer) Write(p []byte) (int, error)      { return len(p), nil }
func (*answer) CloseWrite() error                { return nil }
func (*answer) Reset()                           {}
func (*answer) Close() error                     { return nil }
func (*answer) SetReadDeadline(time.Time) error  { return nil }
func (*answer) SetWriteDeadline(time.Time) error { return nil }
