package tunnel

import (
	"bytes"
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"unicode/utf8"
)

var missing = &DeniedError{`user "alice" may not dial 10.96.2.1: that needs "create pods/portforward" in namespace "bank"`}

// refusals is what a far side answers, and what the opener is told.
var refusals = map[string]error{
	"refused":               ErrRefused,
	"denied":                ErrDenied,
	"denied, with a reason": missing,
	"timed out":             ErrTimedOut,
	"unreachable":           ErrUnreachable,
}

// same says that an error is want, in the same words.
func same(err, want error) bool {
	kind := want
	if errors.Is(want, ErrDenied) {
		kind = ErrDenied
	}
	return errors.Is(err, kind) && err.Error() == want.Error()
}

func TestRefusalOnCarrier(t *testing.T) {
	var answer error
	near, far := net.Pipe()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	g := NewGroup(NewBudget(1 << 20))
	go g.Add(ctx, near, nil)
	go Serve(ctx, far, NewBudget(1<<20), func(context.Context, *Open, Incoming) error { return answer })
	wait(t, "carrier", func() bool { return g.Len() == 1 })
	for name, want := range refusals {
		answer = want
		f, err := g.Open(t.Context(), &Open{})
		if err != nil {
			t.Fatal(err)
		}
		if err := f.Confirm(); !same(err, want) || !Answered(err) {
			t.Errorf("%s: %v, want %v", name, err, want)
		}
		f.Abort()
	}
	answer = errors.New("no file descriptors left")
	f, err := g.Open(t.Context(), &Open{})
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Confirm(); err == nil || Answered(err) {
		t.Errorf("what is wrong with the relay itself arrives as %v", err)
	}
}

// TestRefusalOnLine: the line serves the next flow after each.
func TestRefusalOnLine(t *testing.T) {
	k := lineKeys(t, 1)
	server, err := NewLineServer(k)
	if err != nil {
		t.Fatal(err)
	}
	pin, err := k.Pin()
	if err != nil {
		t.Fatal(err)
	}
	agent := lineKeys(t, 2)
	cert, err := agent.Certificate()
	if err != nil {
		t.Fatal(err)
	}
	agentPin, err := agent.Pin()
	if err != nil {
		t.Fatal(err)
	}
	a, b := pair(t)
	var answer error
	done := make(chan error, 1)
	go func() {
		f, err := JoinLine(t.Context(), NewRecordConn(b), cert, pin)
		if err == nil {
			ServeLine(t.Context(), f, func(*Open) bool { return true },
				func(context.Context, *Open, Incoming) error { return answer })
		}
		done <- err
	}()
	f, err := server.Accept(t.Context(), a, &LineJoined{Agent: agentPin})
	if err != nil {
		t.Fatal(err)
	}
	var s Stream = f
	for name, want := range refusals {
		answer = want
		now := s.(*FlowConn)
		now.OnIdle(func(next Stream) { s = next })
		v, reason, err := Ask(t.Context(), now, &Open{})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if err := v.Err(reason); !same(err, want) {
			t.Errorf("%s: %v, want %v", name, err, want)
		}
		now.Refused()
		now.Close()
	}
	s.Reset()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestClean(t *testing.T) {
	for in, want := range map[string]string{
		"":                       "",
		" two\r\n lines\t":       "two   lines",
		"\x1b[31mred\x1b[0m":     "[31mred[0m",
		"\xff\xfe not text":      "not text",
		"müsste \u202egehen":     "müsste gehen",
		strings.Repeat("ä", 300): strings.Repeat("ä", 256),
	} {
		if got := clean(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

func FuzzReason(f *testing.F) {
	f.Add(appendReason(nil, "no permission"))
	f.Add([]byte{0xff, 0xff, 'x'})
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := readReason(bytes.NewReader(b))
		if err != nil {
			return
		}
		if len(s) > MaxReason || !utf8.ValidString(s) || strings.ContainsAny(s, "\x1b\n\r\x00") {
			t.Fatalf("reason %q", s)
		}
		again, err := readReason(bytes.NewReader(appendReason(nil, s)))
		if err != nil || again != s {
			t.Fatalf("%q became %q, %v", s, again, err)
		}
	})
}
