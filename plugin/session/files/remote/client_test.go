//go:build linux

package remote

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pkg/sftp"

	agent "github.com/kubectl-intercept/kubectl-intercept/agent/files"
	"github.com/kubectl-intercept/kubectl-intercept/manager/rpc/volume"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/files/filestest"
)

func serve(t *testing.T, root string) *agent.Server {
	t.Helper()
	dir, err := os.Open(root)
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	status, err := os.Open("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	defer status.Close()
	id, err := agent.ReadIdentity(status)
	if err != nil {
		t.Fatal(err)
	}
	s, err := agent.New(agent.Config{Root: dir, Mounts: []volume.Mount{{Path: "/data"}}, Identity: id, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// Files that are open are opened again when the pod is replaced, and a change that may have
// happened is not made again.
func TestPodIsReplaced(t *testing.T) {
	root := t.TempDir()
	filestest.Fill(t, root, map[string]string{"data/a": "first"})
	pod := filestest.New(t, root, serve(t, root))
	c := New(pod.Dial, time.Minute)
	defer c.Close()
	ctx := t.Context()
	f, err := c.Open(ctx, "/data/a", os.O_RDWR)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	appending, err := c.Open(ctx, "/data/a", os.O_WRONLY|os.O_APPEND)
	if err != nil {
		t.Fatal(err)
	}
	defer appending.Close()
	if _, err := c.List(ctx, "/data"); err != nil {
		t.Fatal(err)
	}
	next := t.TempDir()
	filestest.Fill(t, next, map[string]string{"data/a": "second"})
	pod.Replace(serve(t, next))

	// Whether the client knows already that the old stream is broken, is chance.
	end := ""
	if _, err := appending.WriteAt(ctx, []byte("+"), 0); err == nil {
		end = "+"
	}
	b := make([]byte, 6)
	if n, err := f.ReadAt(ctx, b, 0); string(b[:n]) != "second" || err != nil {
		t.Errorf("read %q, %v", b[:n], err)
	}
	if _, err := f.WriteAt(ctx, []byte("S"), 0); err != nil {
		t.Error(err)
	}
	if b, err := os.ReadFile(filepath.Join(next, "data/a")); string(b) != "Second"+end || err != nil {
		t.Errorf("the new pod has %q, %v", b, err)
	}
	if list, err := c.List(ctx, "/data"); len(list) != 1 || err != nil {
		t.Errorf("listed are %v, %v", list, err)
	}
	if err := c.Change(ctx, "/data/b", func(c *sftp.Client) error { return c.Mkdir("/data/b") }); err != nil {
		t.Error(err)
	}
}

// While the pod is away, the first call waits as long as calls wait. Later ones fail at once,
// but for one in a while, which tries.
func TestPodIsAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New(func(context.Context) (io.ReadWriteCloser, error) { return nil, filestest.ErrAway }, time.Minute)
		defer c.Close()
		for i, step := range []struct{ pause, want time.Duration }{{0, time.Minute}, {0, 0}, {0, 0}, {2 * lastTry, lastTry}, {0, 0}} {
			time.Sleep(step.pause)
			begun := time.Now()
			_, err := c.Lstat(t.Context(), "/data")
			if took := time.Since(begun); !errors.Is(err, ErrUnavailable) || took != step.want {
				t.Errorf("call %d: %v after %v, want %v", i, err, took, step.want)
			}
			if Errno(err) != EIO {
				t.Errorf("the number is %d", Errno(err))
			}
		}
	})
}

// A call whose program got a signal waits a little longer.
func TestInterrupted(t *testing.T) {
	for name, dial := range map[string]Dial{
		"for a pod":     func(context.Context) (io.ReadWriteCloser, error) { return nil, filestest.ErrAway },
		"for an answer": func(context.Context) (io.ReadWriteCloser, error) { return newSilent(), nil },
	} {
		synctest.Test(t, func(t *testing.T) {
			c := New(dial, time.Minute)
			defer c.Close()
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			time.AfterFunc(time.Second, cancel)
			begun := time.Now()
			_, err := c.Tree(ctx)
			if took := time.Since(begun); Errno(err) != EINTR || took != time.Second+patience {
				t.Errorf("a call that waits %s: %v after %v", name, err, took)
			}
		})
	}
}

// Close ends calls that wait.
func TestClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, dial := range map[string]Dial{
			"for a pod":     func(context.Context) (io.ReadWriteCloser, error) { return nil, filestest.ErrAway },
			"for an answer": func(context.Context) (io.ReadWriteCloser, error) { return newSilent(), nil },
		} {
			c := New(dial, time.Hour)
			done := make(chan error)
			go func() { _, err := c.Tree(t.Context()); done <- err }()
			synctest.Wait()
			c.Close()
			if err := <-done; !errors.Is(err, ErrUnavailable) {
				t.Errorf("a call that waits %s: %v", name, err)
			}
			if _, err := c.Lstat(t.Context(), "/"); !errors.Is(err, ErrUnavailable) {
				t.Errorf("a call afterwards: %v", err)
			}
		}
	})
}

// A stream on which nothing arrives is given up.
func TestSilentStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New(func(context.Context) (io.ReadWriteCloser, error) { return newSilent(), nil }, 10*time.Second)
		defer c.Close()
		begun := time.Now()
		if _, err := c.Tree(t.Context()); err == nil {
			t.Error("a silent pod has answered")
		}
		// Two attempts, since the first may have met an old stream.
		if took := time.Since(begun); took > 3*stuck {
			t.Errorf("given up after %v", took)
		}
	})
}

// silent takes everything and says nothing.
type silent struct{ closed chan struct{} }

func newSilent() *silent { return &silent{make(chan struct{}, 1)} }

func (s *silent) Read([]byte) (int, error) {
	<-s.closed
	s.closed <- struct{}{}
	return 0, io.EOF
}
func (s *silent) Write(b []byte) (int, error) { return len(b), nil }
func (s *silent) Close() error {
	select {
	case s.closed <- struct{}{}:
	default:
	}
	return nil
}

func TestErrors(t *testing.T) {
	root := t.TempDir()
	filestest.Fill(t, root, map[string]string{"data/a": "a", "data/dir/b": "b", "data/out": "->/etc"})
	c := New(filestest.New(t, root, serve(t, root)).Dial, time.Minute)
	defer c.Close()
	ctx := t.Context()
	lstat := func(p string) error { _, err := c.Lstat(ctx, p); return err }
	for what, test := range map[string]struct {
		err  error
		want uint32
		text string
	}{
		"nothing there": {lstat("/data/none"), ENOENT, "/data/none: no such file or directory"},
		"a folder gone": {lstat("/data/none/x"), ESTALE, "/data/none/x: it is not there any more"},
		"outside":       {func() error { _, err := c.Readlink(ctx, "/data/out"); return err }(), EACCES, "/data/out: permission denied"},
		"not empty": {c.Change(ctx, "/data/dir", func(c *sftp.Client) error { return c.RemoveDirectory("/data/dir") }), 39,
			"/data/dir: directory not empty"},
		"no folder":  {func() error { _, err := c.List(ctx, "/data/a"); return err }(), 20, "/data/a: not a directory"},
		"part of it": {func() error { _, err := c.Range(ctx, "/data/dir", 0, 1); return err }(), 21, "/data/dir: is a directory"},
	} {
		if Errno(test.err) != test.want || test.err.Error() != test.text {
			t.Errorf("%s: %v (%d)", what, test.err, Errno(test.err))
		}
	}
}
