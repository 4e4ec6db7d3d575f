package container

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// WatchCommand is the name of the hidden command that calls Watch.
const WatchCommand = "container-watch"

// creation is how long after the death of this process the engine's program may take to make
// the container that it was about to make.
const creation = time.Minute

// leftovers are what there is of a container outside of it.
type leftovers struct {
	Engine string // path
	Dir    string // with the env file and the file with the container's ID
}

func (l leftovers) cidFile() string { return filepath.Join(l.Dir, "id") }

// remove removes the container, which may be gone already, and the folder.
func (l leftovers) remove(ctx context.Context) error {
	if id := l.id(); id != "" {
		e := Engine{l.Engine}
		_ = e.run(ctx, nil, nil, "rm", "--force", "--volumes", id)
	}
	return os.RemoveAll(l.Dir)
}

// watcher is a process that removes the leftovers, also if this one is killed.
type watcher struct {
	left leftovers
	cmd  *exec.Cmd
	in   io.WriteCloser
}

// begin starts the process. Args are its command line, which ends up in Watch.
func begin(args []string, l leftovers) (*watcher, error) {
	cmd := exec.Command(args[0], args[1:]...)
	cmd.SysProcAttr, cmd.Dir = detached(), os.TempDir() // Windows keeps the folder of a process
	in, err := cmd.StdinPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err == nil {
		err = json.NewEncoder(in).Encode(l)
	}
	if err != nil {
		return nil, fmt.Errorf("watch over a container: %w", err)
	}
	return &watcher{l, cmd, in}, nil
}

// end has the process remove the leftovers, and does so itself if the process cannot.
func (w *watcher) end(ctx context.Context) error {
	_, err := io.WriteString(w.in, "{}\n")
	err = errors.Join(err, w.in.Close(), w.cmd.Wait())
	if err != nil {
		return w.left.remove(ctx)
	}
	return nil
}

// Watch waits until the process that started this one is done with a container, or dead, and
// removes what is left of the container. In is a pipe from that process.
func Watch(ctx context.Context, in io.Reader) error {
	d := json.NewDecoder(in)
	var l leftovers
	if err := d.Decode(&l); err != nil {
		return fmt.Errorf("watch over a container: %w", err)
	}
	var end struct{}
	if err := d.Decode(&end); err != nil { // dead: the engine's program may still be at work
		_ = os.Remove(filepath.Join(l.Dir, "environment")) // at the end the folder goes
		bounded, cancel := context.WithTimeout(ctx, creation)
		defer cancel()
		l.await(bounded)
	}
	return l.remove(ctx)
}
