package standin

import (
	"fmt"
	"log/slog"
	"net"
	"os"
	"sync"
	"time"

	"github.com/kubectl-intercept/kubectl-intercept/agent/environ"
	"github.com/kubectl-intercept/kubectl-intercept/agent/files"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/frame"
)

// volumes serves the volumes of a container. All flows at one time share a server, which has
// threads and descriptors of its own.
type volumes struct {
	container string
	hidden    []string
	log       *slog.Logger

	mu  sync.Mutex
	now *shared // nil while there are no flows
}

// shared is a server with its flows.
type shared struct {
	*files.Server
	pid   int // whose volumes it serves
	flows int
}

// serve answers a flow of the kind Files.
func (v *volumes) serve(in tunnel.Incoming) error {
	server, done, err := v.use()
	if err != nil {
		v.log.Warn("volumes are not served", "error", err)
		return &frame.DeniedError{Reason: err.Error()}
	}
	defer done()
	if err := in.Accept(); err != nil {
		return err
	}
	here, there := streams()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := server.Serve(there); err != nil {
			v.log.Debug("a stream of files broke", "error", err)
		}
	}()
	err = in.Join(here, nil)
	here.Close()
	<-ended
	return err
}

// use returns the server, until done is called.
func (v *volumes) use() (server *files.Server, done func(), err error) {
	pid, err := environ.Root.Find(v.container)
	if err != nil {
		return nil, nil, err
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.now == nil || v.now.pid != pid {
		if server, err = v.open(pid); err != nil {
			return nil, nil, err
		}
		v.now = &shared{Server: server, pid: pid}
	}
	used := v.now
	used.flows++
	return used.Server, func() { v.leave(used) }, nil
}

// leave closes a server with its last flow.
func (v *volumes) leave(used *shared) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if used.flows--; used.flows > 0 {
		return
	}
	used.Close()
	if v.now == used {
		v.now = nil
	}
}

// open makes the server of a process.
func (v *volumes) open(pid int) (*files.Server, error) {
	root, err := os.Open(fmt.Sprintf("/proc/%d/root", pid))
	if err != nil {
		return nil, fmt.Errorf("open the root folder of the container: %w", err)
	}
	defer root.Close()
	info, err := os.Open(fmt.Sprintf("/proc/%d/mountinfo", pid))
	if err != nil {
		return nil, fmt.Errorf("read the volumes of the container: %w", err)
	}
	defer info.Close()
	mounts, err := files.Mounts(info)
	if err != nil {
		return nil, err
	}
	status, err := os.Open(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return nil, fmt.Errorf("read whose the container's process is: %w", err)
	}
	defer status.Close()
	id, err := files.ReadIdentity(status)
	if err != nil {
		return nil, err
	}
	return files.New(files.Config{Root: root, Mounts: files.Without(mounts, v.hidden), Identity: id, Log: v.log})
}

// pipe is one end of a stream within this process.
type pipe struct{ r, w net.Conn }

// streams returns the two ends of a stream.
func streams() (a, b *pipe) {
	r1, w1 := net.Pipe()
	r2, w2 := net.Pipe()
	return &pipe{r1, w2}, &pipe{r2, w1}
}

func (p *pipe) Read(b []byte) (int, error)         { return p.r.Read(b) }
func (p *pipe) Write(b []byte) (int, error)        { return p.w.Write(b) }
func (p *pipe) CloseWrite() error                  { return p.w.Close() }
func (p *pipe) Reset()                             { p.Close() }
func (p *pipe) SetReadDeadline(t time.Time) error  { return p.r.SetReadDeadline(t) }
func (p *pipe) SetWriteDeadline(t time.Time) error { return p.w.SetWriteDeadline(t) }

// Close ends both directions.
func (p *pipe) Close() error {
	p.w.Close() // neither fails
	return p.r.Close()
}
