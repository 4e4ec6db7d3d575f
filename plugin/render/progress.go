// Package render is how the commands speak: progress while they wait, the
// block that describes an intercept, and errors in words.
package render

import (
	"fmt"
	"io"
	"sync"

	"golang.org/x/term"
)

// Progress shows the step a command is at: one live line on a terminal, a
// line per step elsewhere. Its methods may be called from any goroutine.
type Progress struct {
	mu   sync.Mutex
	out  io.Writer
	live bool
	last string
}

// NewProgress returns a Progress on out, which is a command's ErrOut.
func NewProgress(out io.Writer) *Progress {
	return &Progress{out: out, live: IsTerminal(out)}
}

// IsTerminal says whether a person looks at w.
func IsTerminal(w io.Writer) bool {
	f, ok := w.(interface{ Fd() uintptr })
	return ok && term.IsTerminal(int(f.Fd()))
}

// Step says what happens now. A step that is shown already is not repeated.
func (p *Progress) Step(step string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if step == "" || step == p.last {
		return
	}
	p.last = step
	if p.live {
		fmt.Fprintf(p.out, "\r\x1b[K%s …", step)
		return
	}
	fmt.Fprintln(p.out, step)
}

// Done takes the live line away, so that something else can be written.
func (p *Progress) Done() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.live && p.last != "" {
		fmt.Fprint(p.out, "\r\x1b[K")
	}
	p.last = ""
}
