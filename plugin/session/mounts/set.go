package mounts

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"path"
	"slices"
	"sync"
	"time"

	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/mount"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/files"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/state"
)

// again is the pause before volumes are brought again that could not be resumed.
const again = 5 * time.Second

// Config says what a Set works with.
type Config struct {
	Dir    *state.Dir
	Record Record
	// Open opens a stream to the volumes of an intercept's container.
	Open func(ctx context.Context, intercept, uid string) (tunnel.Stream, error)
	Log  *slog.Logger
}

// Record is what the next process takes over.
type Record interface {
	Change(func(*state.State))
}

// Volumes are the volumes of a container on this machine.
type Volumes struct {
	// Dir has them: what the container has at /data is at DIR/data.
	Dir string `json:"dir"`
	// Paths are the places where the container has them.
	Paths []string `json:"paths,omitempty"`
	// Copied says that they are copied, and Notice tells the user of that, in lines.
	Copied bool   `json:"copied,omitempty"`
	Notice string `json:"notice,omitempty"`
	// Error says why they are not there.
	Error string `json:"error,omitempty"`
}

// Line tells of the volumes in one line; "" if v is nil or there are none.
func (v *Volumes) Line() string {
	switch {
	case v == nil:
		return ""
	case v.Error != "":
		return "none: " + v.Error
	case v.Copied:
		return v.Dir + " (a copy)"
	}
	return v.Dir
}

// Set is the volumes of a session's intercepts. It is safe for concurrent use.
type Set struct {
	Config

	mu     sync.Mutex
	byUID  map[string]*held
	closed bool
	ends   sync.WaitGroup
}

// held is the volumes of one intercept.
type held struct {
	key string

	mu    sync.Mutex // held while they come or go
	mount state.Mount
	tree  *files.Tree // nil if they are copies, or not there
	shown *Volumes    // nil before they are there
	err   error       // why they are not there
	over  bool
}

// New returns an empty Set.
func New(c Config) *Set { return &Set{Config: c, byUID: map[string]*held{}} }

var errOver = errors.New("the intercept has ended")

// Bring brings the volumes of an intercept, "namespace/name", and returns once they are
// there. Those of an earlier wish go first, and stay if it is the same. Without volumes it
// returns the zero Volumes.
func (s *Set) Bring(ctx context.Context, key, uid string, w state.Wish) (*Volumes, error) {
	h, err := s.hold(key, uid)
	if err != nil {
		return nil, err
	}
	if taken := s.taken(w.Dir, h); taken != "" {
		return nil, fmt.Errorf("the folder %s has the volumes of intercept %s: name another one", w.Dir, taken)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.over:
		return nil, errOver
	case h.shown != nil && (h.mount.Wish == w || w.How == state.Same):
		return h.shown, nil
	case w.How == state.Same:
		return &Volumes{}, nil
	}
	if err := h.end(true); err != nil {
		return nil, err
	}
	if w.How == state.None {
		s.Record.Change(func(now *state.State) { put(now, key, nil) })
		return &Volumes{}, nil
	}
	m := state.Mount{Wish: w, Dir: w.Dir}
	if m.Own() {
		if m.Dir, err = s.Dir.NewMount(path.Base(key)); err != nil {
			return nil, err
		}
	}
	return h.shown, s.start(ctx, h, uid, m)
}

// hold returns what is held for an intercept, which may be nothing yet.
func (s *Set) hold(key, uid string) (*held, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, errOver
	}
	h := s.byUID[uid]
	if h == nil {
		h = &held{key: key}
		s.byUID[uid] = h
	}
	return h, nil
}

// taken returns the intercept whose volumes a folder has, if that is another one.
func (s *Set) taken(dir string, by *held) string {
	s.mu.Lock()
	others := slices.Collect(maps.Values(s.byUID))
	s.mu.Unlock()
	for _, h := range others {
		if h != by && dir != "" && h.is(dir) {
			return h.key
		}
	}
	return ""
}

func (h *held) is(dir string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.shown != nil && h.mount.Dir == dir
}

// start brings what m says. The caller holds h.mu.
func (s *Set) start(ctx context.Context, h *held, uid string, m state.Mount) error {
	how := mount.Auto
	if m.Wish.How == state.Copied {
		how = mount.Copy
	}
	dial := func(ctx context.Context) (io.ReadWriteCloser, error) { return s.Open(ctx, h.key, uid) }
	tree, err := files.Start(ctx, files.Options{Dial: dial, How: how, Dir: m.Dir, ReadOnly: m.Wish.ReadOnly, Records: s.Dir.Records(), Limit: m.Wish.Limit})
	if h.err = err; err != nil {
		return err
	}
	h.mount, h.tree = m, tree
	h.shown = &Volumes{Dir: tree.Dir, Copied: !tree.Mounted, Notice: tree.Notice}
	for _, v := range tree.Volumes.Mounts {
		h.shown.Paths = append(h.shown.Paths, v.Path)
	}
	if h.mount.Copied = !tree.Mounted; h.mount.Copied {
		h.mount.Paths = h.shown.Paths
	}
	saved := h.mount
	s.Record.Change(func(now *state.State) { put(now, h.key, &saved) })
	s.Log.Info("volumes are here", "intercept", h.key, "folder", tree.Dir, "copied", !tree.Mounted)
	return nil
}

// Resume brings the volumes that an earlier process had, and tries until it succeeds, ctx
// ends, or the intercept does. It does not wait.
func (s *Set) Resume(ctx context.Context, key, uid string, m state.Mount) {
	if m.Dir == "" {
		return
	}
	h, err := s.hold(key, uid)
	if err != nil {
		return
	}
	s.ends.Go(func() {
		for !s.resumed(ctx, h, uid, m) {
			select {
			case <-time.After(again):
			case <-ctx.Done():
				return
			}
		}
	})
}

// resumed tries once, and says that there is nothing more to do.
func (s *Set) resumed(ctx context.Context, h *held, uid string, m state.Mount) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.over || h.shown != nil {
		return true
	}
	if m.Copied { // programs may have changed the copy
		h.mount, h.shown = m, &Volumes{Dir: m.Dir, Paths: m.Paths, Copied: true}
		return true
	}
	err := s.start(ctx, h, uid, m)
	if err != nil && ctx.Err() == nil {
		s.Log.Info("volumes are not back yet", "intercept", h.key, "error", err)
	}
	return err == nil
}

// Keep ends what is held for intercepts with other UIDs than served returns. It does not wait.
func (s *Set) Keep(served func() map[string]bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return
	}
	uids := served() // not before: Bring may have begun since
	for uid, h := range s.byUID {
		if !uids[uid] {
			delete(s.byUID, uid)
			s.ends.Go(func() { s.end(h, true) })
		}
	}
}

// Close ends everything. With forever, no process takes the volumes over.
func (s *Set) Close(forever bool) {
	s.mu.Lock()
	s.closed = true
	for _, h := range s.byUID {
		s.ends.Go(func() { s.end(h, forever) })
	}
	s.mu.Unlock()
	s.ends.Wait()
}

func (s *Set) end(h *held, forever bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.over = true
	if err := h.end(forever); err != nil {
		s.Log.Warn("volumes are not taken away", "intercept", h.key, "folder", h.mount.Dir, "error", err)
		return
	}
	if forever {
		s.Record.Change(func(now *state.State) {
			if now.Mounts[h.key].Dir == h.mount.Dir {
				put(now, h.key, nil)
			}
		})
	}
}

// end unmounts the volumes. With forever, it removes a copy in a folder of our own. The
// caller holds h.mu.
func (h *held) end(forever bool) (err error) {
	if h.tree != nil {
		err = h.tree.Close()
	}
	if forever && h.shown != nil {
		err = errors.Join(err, removeCopy(&h.mount))
	}
	h.tree, h.shown = nil, nil
	return err
}

// Status tells of all, by the intercepts' "namespace/name".
func (s *Set) Status() map[string]Volumes {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := map[string]Volumes{}
	for _, h := range s.byUID {
		if !h.mu.TryLock() {
			continue // they are coming or going
		}
		switch {
		case h.shown != nil:
			all[h.key] = *h.shown
		case h.err != nil:
			all[h.key] = Volumes{Error: h.err.Error()}
		}
		h.mu.Unlock()
	}
	return all
}

// put changes a map that others may still read.
func put(s *state.State, key string, m *state.Mount) {
	fresh := map[string]state.Mount{}
	for k, v := range s.Mounts {
		fresh[k] = v
	}
	if delete(fresh, key); m != nil {
		fresh[key] = *m
	}
	s.Mounts = fresh
}

// Recover unmounts what a process of the session has left that was killed. No process may be
// using it.
func Recover(d *state.Dir) error {
	_, err := files.Recover(d.Records())
	return err
}

// Remove takes away all that a process has left that was killed, for good.
func Remove(d *state.Dir, s *state.State) error {
	err := Recover(d)
	for _, m := range s.Mounts {
		err = errors.Join(err, removeCopy(&m))
	}
	return err
}

func removeCopy(m *state.Mount) error {
	if m.Copied && m.Own() {
		return os.RemoveAll(m.Dir)
	}
	return nil
}
