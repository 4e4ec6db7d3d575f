package process

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
)

// large has values that fill several parts, and one of 100 KiB.
func large() *Process {
	p := &Process{Directory: "/app", Command: []string{"/app/run", "--all", ""}, UID: 1000, GID: 1001, Groups: []uint32{1001, 2000}, Overwritten: true}
	for i := range 50 {
		p.Environment = append(p.Environment, Variable{fmt.Sprintf("V%d", i), strings.Repeat("x", i*100)})
	}
	p.Environment = append(p.Environment, Variable{"LARGE", strings.Repeat("é", 50<<10)}, Variable{"BYTES", "\xff\x01\n"}, Variable{"EMPTY", ""})
	return p
}

func TestWhatIsWrittenIsRead(t *testing.T) {
	many := &Process{}
	for i := range maxEntries {
		many.Environment = append(many.Environment, Variable{fmt.Sprint(i), ""})
	}
	for name, p := range map[string]*Process{"nothing": {}, "large": large(), "many": many} {
		t.Run(name, func(t *testing.T) {
			var wire bytes.Buffer
			if err := Write(&wire, p); err != nil {
				t.Fatal(err)
			}
			wire.WriteString("the next")
			got, err := Read(iotest.HalfReader(&wire))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(p, got); diff != "" {
				t.Errorf("(-written +read):\n%.2000s", diff)
			}
			if rest := wire.String(); rest != "the next" {
				t.Errorf("after the end is %q", rest)
			}
		})
	}
}

func TestReadStopsAtAnEarlyEnd(t *testing.T) {
	var wire bytes.Buffer
	if err := Write(&wire, large()); err != nil {
		t.Fatal(err)
	}
	for _, n := range []int{0, 3, 4, 5, wire.Len() / 2, wire.Len() - 1} {
		if _, err := Read(bytes.NewReader(wire.Bytes()[:n])); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("after %d of %d bytes: %v", n, wire.Len(), err)
		}
	}
	broken := errors.New("broken")
	if _, err := Read(io.MultiReader(bytes.NewReader(wire.Bytes()[:100]), iotest.ErrReader(broken))); !errors.Is(err, broken) {
		t.Errorf("a stream that breaks: %v", err)
	}
}

func TestProblems(t *testing.T) {
	for text, want := range map[string]string{
		"the container has ended":       "the container has ended",
		"no \xff":                       "no ?",
		strings.Repeat("x", 1<<20):      strings.Repeat("x", maxProblem),
		strings.Repeat("x", 4095) + "é": strings.Repeat("x", 4095) + "?",
	} {
		var wire bytes.Buffer
		if err := WriteProblem(&wire, errors.New(text)); err != nil {
			t.Fatal(err)
		}
		_, err := Read(&wire)
		var problem *ProblemError
		if !errors.As(err, &problem) || problem.Text != want {
			t.Errorf("%.100q: %.200v", text, err)
		}
	}
}

func TestWriteRefuses(t *testing.T) {
	many := &Process{Groups: make([]uint32, maxEntries+1)}
	for want, p := range map[string]*Process{
		"more than 65536": many,
		"longer than":     {Environment: Environment{{"A", strings.Repeat("x", maxPart)}}},
		"more than 4194304 bytes": {Command: func() (all []string) {
			for range 40 {
				all = append(all, strings.Repeat("x", 128<<10))
			}
			return all
		}()},
	} {
		var wire bytes.Buffer
		if err := Write(&wire, p); err == nil || !strings.Contains(err.Error(), want) || wire.Len() > 0 {
			t.Errorf("%v after %d bytes, want an error with %q", err, wire.Len(), want)
		}
	}
	pipe, closed := io.Pipe()
	pipe.Close()
	if err := Write(closed, &Process{}); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("a closed stream: %v", err)
	}
	if err := WriteProblem(closed, io.EOF); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("a closed stream: %v", err)
	}
}

// behind puts a message behind its length.
func behind(message []byte) []byte {
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(message))), message...)
}

func encoded(t *testing.T, p *Part) []byte {
	t.Helper()
	b, err := proto.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestReadRefuses(t *testing.T) {
	variable := func(name, value string) []byte {
		return behind(encoded(t, &Part{Last: true, Environment: []*EnvironmentVariable{{Name: []byte(name), Value: []byte(value)}}}))
	}
	full := behind(encoded(t, &Part{WorkingDirectory: make([]byte, maxPart-100)}))
	for want, wire := range map[string][]byte{
		"a part of 262145 bytes":  {0, 4, 0, 1},
		"more than 4194304 bytes": bytes.Repeat(full, MaxSize/maxPart+1),
		"more than 65536 strings": behind(bytes.Repeat([]byte{0x22, 0}, maxEntries+1)),
		"cannot parse":            behind([]byte{0xff}),
		`"" is no name`:           variable("", "x"),
		`"A=B" is no name`:        variable("A=B", ""),
		`"A" is no name`:          variable("A", "x\x00B=y"),
	} {
		if _, err := Read(bytes.NewReader(wire)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want an error with %q", err, want)
		}
	}
}

// A newer agent may add fields and parts with nothing but these.
func TestReadPassesOverWhatItDoesNotKnow(t *testing.T) {
	unknown := protowire.AppendString(protowire.AppendTag(nil, 100, protowire.BytesType), "new")
	wire := behind(unknown)
	wire = append(wire, behind(append(encoded(t, &Part{Uid: 7, Environment: []*EnvironmentVariable{{Name: []byte("A"), Value: []byte("a")}}}), unknown...))...)
	wire = append(wire, behind(encoded(t, &Part{Last: true}))...)
	got, err := Read(bytes.NewReader(wire))
	if diff := cmp.Diff(&Process{UID: 7, Environment: Environment{{"A", "a"}}}, got); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
}

func TestNothingPrintsValues(t *testing.T) {
	e := Environment{{"PASSWORD", "sesame"}, {"TOKEN", "sesame"}}
	var out strings.Builder
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x"} {
		fmt.Fprintf(&out, verb+verb+verb+"\n", e, e[0], &Process{Environment: e})
	}
	for _, h := range []slog.Handler{slog.NewTextHandler(&out, nil), slog.NewJSONHandler(&out, nil)} {
		slog.New(h).Info("read", "environment", e, "variable", e[0])
	}
	if got := out.String(); strings.Contains(got, "sesame") || strings.Contains(got, "736573616d65") || !strings.Contains(got, "PASSWORD") {
		t.Error(got)
	}
	if _, ok := e.Lookup("NONE"); ok {
		t.Error("a variable that is not there was found")
	}
	if v, ok := e.Lookup("TOKEN"); !ok || v != "sesame" {
		t.Errorf("TOKEN is %q, %t", v, ok)
	}
}

// FuzzRead: what Read accepts, Write can send, and it is read back the same.
func FuzzRead(f *testing.F) {
	var wire bytes.Buffer
	if err := Write(&wire, large()); err != nil {
		f.Fatal(err)
	}
	f.Add(wire.Bytes())
	wire.Reset()
	if err := WriteProblem(&wire, io.EOF); err != nil {
		f.Fatal(err)
	}
	f.Add(wire.Bytes())
	f.Add([]byte{0, 0, 0, 2, 0x48, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := Read(bytes.NewReader(b))
		if err != nil || len(b) > maxPart/2 { // Write leaves room where Read does not
			return
		}
		var again bytes.Buffer
		if err := Write(&again, p); err != nil {
			t.Fatal(err)
		}
		got, err := Read(&again)
		if err != nil || !cmp.Equal(p, got) {
			t.Errorf("%v: %s", err, cmp.Diff(p, got))
		}
	})
}
