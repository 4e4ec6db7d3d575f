package process

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"

	"google.golang.org/protobuf/proto"
)

const (
	// MaxSize is how many bytes all parts have together, at most.
	MaxSize = 4 << 20
	// maxPart holds the longest string that Linux hands to a process, 128 KiB, and a
	// usual part beside it.
	maxPart = 256 << 10
	// usualPart is where a part ends, unless one string is longer.
	usualPart = 32 << 10
	// maxEntries bounds the memory that many small strings take.
	maxEntries = 1 << 16
	// overhead is what protobuf adds to a string, at most.
	overhead   = 12
	maxProblem = 4 << 10
)

// A ProblemError says in the agent's words why it could not tell.
type ProblemError struct{ Text string }

// Error implements error.
func (e *ProblemError) Error() string { return e.Text }

// Write writes all about a process. It writes nothing when p is larger than Read accepts.
func Write(w io.Writer, p *Process) error {
	parts, err := split(p)
	if err != nil {
		return err
	}
	for _, part := range parts {
		if _, err := w.Write(part); err != nil {
			return fmt.Errorf("send the environment: %w", err)
		}
	}
	return nil
}

// WriteProblem writes, in place of a process, why there is none.
func WriteProblem(w io.Writer, problem error) error {
	text := problem.Error()
	text = strings.ToValidUTF8(text[:min(len(text), maxProblem)], "?")
	part, err := encode(&Part{Problem: text, Last: true})
	if err != nil {
		return err
	}
	if _, err := w.Write(part); err != nil {
		return fmt.Errorf("send why there is no environment: %w", err)
	}
	return nil
}

// Read reads what Write wrote, and not a byte more. A *ProblemError is what WriteProblem
// wrote. A stream that ends too early gives io.ErrUnexpectedEOF.
func Read(r io.Reader) (*Process, error) {
	all := &Part{}
	for total := 0; !all.Last; {
		part, err := readPart(r)
		if err != nil {
			return nil, fmt.Errorf("receive the environment: %w", err)
		}
		if total += len(part); total > MaxSize {
			return nil, fmt.Errorf("receive the environment: more than %d bytes", MaxSize)
		}
		if err := (proto.UnmarshalOptions{Merge: true, DiscardUnknown: true}).Unmarshal(part, all); err != nil {
			return nil, fmt.Errorf("receive the environment: %w", err)
		}
		if entries(all) > maxEntries {
			return nil, fmt.Errorf("receive the environment: more than %d strings", maxEntries)
		}
	}
	if all.Problem != "" {
		return nil, &ProblemError{Text: all.Problem}
	}
	return all.process()
}

func readPart(r io.Reader) ([]byte, error) {
	var length [4]byte
	if _, err := io.ReadFull(r, length[:]); err != nil {
		return nil, early(err)
	}
	n := binary.BigEndian.Uint32(length[:])
	if n > maxPart {
		return nil, fmt.Errorf("a part of %d bytes", n)
	}
	part := make([]byte, n)
	if _, err := io.ReadFull(r, part); err != nil {
		return nil, early(err)
	}
	return part, nil
}

// early is the end of a stream in which more should follow.
func early(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// split makes the parts of a process, each behind its length.
func split(p *Process) (parts [][]byte, err error) {
	if n := len(p.Environment) + len(p.Command) + len(p.Groups); n > maxEntries {
		return nil, fmt.Errorf("the process has %d variables, arguments and groups, more than %d", n, maxEntries)
	}
	part, size, total := &Part{Overwritten: p.Overwritten, WorkingDirectory: []byte(p.Directory), Uid: p.UID, Gid: p.GID, Groups: p.Groups}, 0, 0
	flush := func() {
		var b []byte
		if b, err = encode(part); err == nil {
			parts, part, size = append(parts, b), &Part{}, 0
			if total += len(b); total > MaxSize {
				err = fmt.Errorf("environment and arguments of the process have more than %d bytes", MaxSize)
			}
		}
	}
	add := func(n int) {
		if size += n + overhead; size > usualPart {
			flush()
		}
	}
	for _, v := range p.Environment {
		if err == nil {
			part.Environment = append(part.Environment, &EnvironmentVariable{Name: []byte(v.Name), Value: []byte(v.Value)})
			add(len(v.Name) + len(v.Value))
		}
	}
	for _, arg := range p.Command {
		if err == nil {
			part.CommandLine = append(part.CommandLine, []byte(arg))
			add(len(arg))
		}
	}
	if err == nil {
		part.Last = true
		flush()
	}
	return parts, err
}

// encode puts a part behind its length.
func encode(p *Part) ([]byte, error) {
	b, err := proto.MarshalOptions{}.MarshalAppend(make([]byte, 4), p)
	switch n := len(b) - 4; {
	case err != nil:
		return nil, fmt.Errorf("encode the environment: %w", err)
	case n > maxPart:
		return nil, fmt.Errorf("a variable, an argument or the list of groups of the process is longer than %d bytes", maxPart-usualPart)
	default:
		binary.BigEndian.PutUint32(b, uint32(n))
		return b, nil
	}
}

func entries(p *Part) int { return len(p.Environment) + len(p.CommandLine) + len(p.Groups) }

// process returns what the parts say. The error says that no process has such strings.
func (x *Part) process() (*Process, error) {
	p := &Process{Overwritten: x.Overwritten, Directory: string(x.WorkingDirectory), UID: x.Uid, GID: x.Gid, Groups: x.Groups}
	for _, v := range x.Environment {
		name, value := string(v.Name), string(v.Value)
		if name == "" || strings.ContainsAny(name, "=\x00") || strings.Contains(value, "\x00") {
			return nil, fmt.Errorf("receive the environment: %q is no name of a variable, or its value has a NUL", name)
		}
		p.Environment = append(p.Environment, Variable{Name: name, Value: value})
	}
	for _, arg := range x.CommandLine {
		p.Command = append(p.Command, string(arg))
	}
	return p, nil
}
