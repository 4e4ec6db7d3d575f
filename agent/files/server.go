package files

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"

	"github.com/pkg/sftp"

	"github.com/kubectl-intercept/kubectl-intercept/manager/rpc/volume"
)

// Config says what a Server serves.
type Config struct {
	// Root is the root folder of the container: /proc/PID/root of its process.
	Root *os.File
	// Mounts are the volumes to serve, by their paths below Root. See Mounts.
	Mounts []volume.Mount
	// ReadOnly serves all volumes for reading only.
	ReadOnly bool
	// Identity is that of the container's process. See ReadIdentity.
	Identity Identity
	Log      *slog.Logger
}

// Server serves the volumes of one container. It is safe for use by several streams at once.
type Server struct {
	tree    *tree
	threads *threads
	id      Identity
}

// New makes a Server. It does not keep Root. The error is that this process may not act with
// the identity of the container's process: for that it has the same, or CAP_SETUID and
// CAP_SETGID.
func New(c Config) (*Server, error) {
	t, err := newThreads(c.Identity)
	if err != nil {
		return nil, fmt.Errorf("serve volumes as user %d: %w", c.Identity.UID, err)
	}
	s := &Server{threads: t, id: c.Identity}
	err = t.do(func() error {
		s.tree = newTree(c.Root, c.Mounts, c.ReadOnly, cmp.Or(c.Log, slog.Default()))
		return nil
	})
	return s, err
}

// Tree says what the server serves: the volumes that can be reached, by path, and as which
// user.
func (s *Server) Tree() volume.Tree {
	t := volume.Tree{UID: s.id.UID, GID: s.id.GID, Groups: s.id.Groups}
	for _, m := range s.tree.mounts {
		t.Mounts = append(t.Mounts, volume.Mount{Path: m.path, ReadOnly: m.readOnly})
	}
	slices.SortFunc(t.Mounts, func(a, b volume.Mount) int { return cmp.Compare(a.Path, b.Path) })
	return t
}

// Serve answers the requests on a stream until the client ends it, and closes it. The
// client's first byte says which protocol it speaks.
func (s *Server) Serve(stream io.ReadWriteCloser) error {
	defer stream.Close()
	r := bufio.NewReaderSize(stream, 256<<10)
	first, err := r.Peek(1)
	if err == nil && first[0] == volume.Bulk {
		if _, err = r.Discard(1); err == nil {
			err = s.serveBulk(r, stream)
		}
	} else if err == nil {
		h := handlers{s}
		server := sftp.NewRequestServer(&conn{r, stream}, sftp.Handlers{FileGet: h, FilePut: h, FileCmd: h, FileList: h},
			sftp.WithRSMaxTxPacket(volume.MaxPacket))
		err = server.Serve()
	}
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// Close ends the server. No stream may be served any more.
func (s *Server) Close() {
	s.threads.stop()
	s.tree.close()
}

// conn is a stream, of which some bytes were read into r.
type conn struct {
	r io.Reader
	io.WriteCloser
}

func (c *conn) Read(b []byte) (int, error) { return c.r.Read(b) }
