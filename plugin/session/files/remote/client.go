package remote

import (
	"context"
	"io"
	"maps"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pkg/sftp"

	"github.com/kubectl-intercept/kubectl-intercept/manager/rpc/volume"
)

// Dial opens a stream to the agent of the pod. The context is for opening alone.
type Dial func(context.Context) (io.ReadWriteCloser, error)

// Client reaches the files of one container. It is safe for use by several goroutines.
type Client struct {
	dial       Dial
	wait       time.Duration
	sftp, bulk []*slot
	since      atomic.Int64 // when the pod was out of reach first; 0 if it is not
	tried      atomic.Int64 // when it could not be reached last
	life       context.Context
	end        context.CancelFunc

	mu      sync.Mutex
	streams map[*guarded]bool // all that are open
}

const (
	// Streams is how many streams of each protocol a client keeps open at most.
	Streams = 4
	// DefaultWait is how long calls wait for a pod that cannot be reached. A pod that is
	// replaced is there again in less.
	DefaultWait = 15 * time.Second
)

// New makes a Client, which opens streams as it needs them. Wait is how long calls wait for a
// pod that cannot be reached.
func New(dial Dial, wait time.Duration) *Client {
	c := &Client{dial: dial, wait: wait, sftp: newSlots(Streams), bulk: newSlots(Streams), streams: map[*guarded]bool{}}
	c.life, c.end = context.WithCancel(context.Background())
	return c
}

// Close ends all streams. Calls fail from then on.
func (c *Client) Close() {
	c.end()
	c.mu.Lock()
	open := slices.Collect(maps.Keys(c.streams))
	c.mu.Unlock()
	for _, g := range open {
		g.Close()
	}
	for _, s := range slices.Concat(c.sftp, c.bulk) {
		s.token <- struct{}{}
		s.stream = closed{}
		s.release()
	}
}

// closed is in the slots of a closed client.
type closed struct{}

func (closed) Close() error { return nil }
func (closed) broken() bool { return false }

// session is an SFTP client on one stream.
type session struct {
	*sftp.Client
	stream *guarded
	gone   chan struct{}
}

func (s *session) broken() bool {
	select {
	case <-s.gone:
		return true
	default:
		return false
	}
}

func (c *Client) openSFTP(ctx context.Context) (opened, error) {
	g, err := c.open(ctx)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { g.Close() })
	defer stop()
	client, err := sftp.NewClientPipe(g, g, sftp.MaxPacketUnchecked(volume.MaxPacket), sftp.UseConcurrentReads(true))
	if err != nil {
		g.Close()
		return nil, err
	}
	s := &session{client, g, make(chan struct{})}
	go func() {
		// The error is the one that calls get.
		_ = client.Wait()
		close(s.gone)
	}()
	return s, nil
}

// call is patiently for a program that may get a signal: see Patient.
func (c *Client) call(ctx context.Context, p string, repeatable bool, f func(*session) error) error {
	ctx, cancel := Patient(ctx)
	defer cancel()
	return c.patiently(ctx, p, repeatable, f)
}

// patiently runs f with an SFTP client. If the stream breaks, f runs again with another, or the
// call fails if f may not be repeated.
func (c *Client) patiently(ctx context.Context, p string, repeatable bool, f func(*session) error) error {
	for retry := (repeat{c: c}); ; {
		slot, done := idlest(c.sftp)
		stream, err := c.take(ctx, slot, c.openSFTP)
		if err != nil {
			done()
			return err
		}
		slot.release()
		s, ok := stream.(*session)
		if !ok {
			done()
			return ErrUnavailable
		}
		finish := s.stream.watch()
		err, lost := understand(p, f(s))
		finish()
		done()
		if !lost {
			return err
		}
		s.Close()
		<-s.gone
		if !repeatable || !retry.again(ctx) {
			return err
		}
	}
}

// Lstat returns the attributes of a path.
func (c *Client) Lstat(ctx context.Context, p string) (a volume.Attr, err error) {
	err = c.call(ctx, p, true, func(s *session) error {
		info, err := s.Lstat(p)
		if err == nil {
			a, err = attrOf(info)
		}
		return err
	})
	return a, err
}

// attrOf reads the attributes that the agent adds to those of SFTP.
func attrOf(info os.FileInfo) (volume.Attr, error) {
	if stat, ok := info.Sys().(*sftp.FileStat); ok {
		for _, e := range stat.Extended {
			if e.ExtType == volume.AttrName {
				return volume.DecodeAttr([]byte(e.ExtData))
			}
		}
	}
	return volume.Attr{}, volume.ErrMalformed
}

// Readlink returns where a symbolic link leads: relative to its folder, and not out of what is
// served.
func (c *Client) Readlink(ctx context.Context, p string) (target string, err error) {
	err = c.call(ctx, p, true, func(s *session) error {
		target, err = s.ReadLink(p)
		return err
	})
	if err == nil && !volume.Inside(p, target) {
		return "", &Error{EACCES, p}
	}
	return target, err
}

// StatVFS says how much room the volume has in which the path is.
func (c *Client) StatVFS(ctx context.Context, p string) (stat *sftp.StatVFS, err error) {
	err = c.call(ctx, p, true, func(s *session) error {
		stat, err = s.StatVFS(p)
		return err
	})
	return stat, err
}

// Change makes a change of the path p, by f, once.
func (c *Client) Change(ctx context.Context, p string, f func(*sftp.Client) error) error {
	return c.call(ctx, p, false, func(s *session) error { return f(s.Client) })
}
