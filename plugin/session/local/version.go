package local

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"time"

	framing "golang.org/x/net/http2"
)

// version is what is known of the HTTP of a program. HTTP/1.1 holds until there is a
// doubt. HTTP/2 holds while a connection is open that was made because of it: such a
// connection ends with the program, and there may be another one afterwards. Silence holds
// for a few seconds, so that callers of a program in a debugger do not all wait.
type version struct {
	mu     sync.Mutex
	known  answer
	silent time.Time // until when silence holds
	asked  *inquiry  // the one under way, or nil
	flows  int       // open ones that are not translated
	said   answer    // the last answer but silence
}

// answer is what a program says when it is asked for its HTTP.
type answer int

const (
	silence answer = iota
	inHTTP1
	inHTTP2
)

// inquiry is one question to a program, for all flows that begin meanwhile.
type inquiry struct {
	flows int           // how many wait for the answer
	over  chan struct{} // closed when there are answer and err
	answer
	err error
}

const (
	// patience is how long a program has to answer the probe. The agent waits for two seconds.
	patience = time.Second
	// quiet is how long a program that was silent is not asked again.
	quiet = 5 * time.Second
	// questionTimeout bounds a question: a connection, TLS and the answer.
	questionTimeout = 2*dialTimeout + patience
)

// ask says whether the program speaks HTTP/1.1, and asks the program if that is not known.
// Flows that begin at the same time ask once. If not HTTP/1.1, the caller calls leave when
// its flow has ended. A program that is silent counts as one of HTTP/2.
func (v *version) ask(ctx context.Context, program func(context.Context) (answer, error)) (http1 bool, err error) {
	v.mu.Lock()
	if v.holds() {
		defer v.mu.Unlock()
		if v.known == inHTTP1 {
			return true, nil
		}
		v.flows++
		return false, nil
	}
	q := v.asked
	if q == nil {
		q = &inquiry{over: make(chan struct{})}
		v.asked = q
		go v.question(context.WithoutCancel(ctx), q, program) // others may wait for it, too
	}
	q.flows++
	v.mu.Unlock()
	select {
	case <-q.over:
	case <-ctx.Done():
		v.mu.Lock()
		defer v.mu.Unlock()
		select {
		case <-q.over: // its answer counts this flow
		default:
			q.flows--
			return false, ctx.Err()
		}
	}
	return q.answer == inHTTP1, q.err
}

// holds says whether what is known needs no question. The caller holds mu.
func (v *version) holds() bool {
	switch v.known {
	case inHTTP1:
		return true
	case inHTTP2:
		return v.flows > 0
	}
	return time.Now().Before(v.silent)
}

// question asks the program, and notes the answer unless there was a doubt meanwhile.
func (v *version) question(ctx context.Context, q *inquiry, program func(context.Context) (answer, error)) {
	ctx, cancel := context.WithTimeout(ctx, questionTimeout)
	defer cancel()
	a, err := program(ctx)
	v.mu.Lock()
	defer v.mu.Unlock()
	defer close(q.over)
	q.answer, q.err = a, err
	if err == nil && a != inHTTP1 {
		v.flows += q.flows
	}
	if v.asked != q {
		return
	}
	if v.asked = nil; err != nil {
		return
	}
	if v.known = a; a == silence {
		v.silent = time.Now().Add(quiet)
	}
}

// leave is the end of a flow.
func (v *version) leave() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.flows--
}

// forget has the program asked again.
func (v *version) forget() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.known, v.silent, v.asked = silence, time.Time{}, nil
}

// news says whether an answer is another than the last one.
func (v *version) news(a answer) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	if a == silence || a == v.said {
		return false
	}
	v.said = a
	return true
}

// probe asks the program which HTTP it speaks, on a connection of its own. In TLS, ALPN
// says it. In clear text, or if the program does not know ALPN, probe sends how a client
// of HTTP/2 begins: the preface and empty SETTINGS. A server of HTTP/2 begins with
// SETTINGS (RFC 9113, section 3.4); to all others that is a bad request.
func (w *way) probe(ctx context.Context) (answer, error) {
	conn, err := w.dial(ctx, alpnHTTP2, alpnHTTP1)
	if err != nil {
		return silence, fmt.Errorf("ask the program for its HTTP: %w", err)
	}
	defer conn.Close()
	a := silence
	if c, ok := conn.(*tls.Conn); ok {
		a = map[string]answer{alpnHTTP1: inHTTP1, alpnHTTP2: inHTTP2}[c.ConnectionState().NegotiatedProtocol]
	}
	if a == silence {
		a = begin(conn)
	}
	if w.entry.version(w.at).news(a) && a == inHTTP1 {
		w.log.Info("the program gets requests in HTTP/2 as HTTP/1.1", "local", w.at.String())
	}
	return a, nil
}

// begin begins HTTP/2 with a program, and says what the program makes of it.
func begin(conn net.Conn) answer {
	conn.SetDeadline(time.Now().Add(patience))
	settings := [9]byte{3: byte(framing.FrameSettings)}
	if _, err := conn.Write(append([]byte(framing.ClientPreface), settings[:]...)); err != nil {
		return silence
	}
	var head [9]byte
	if _, err := io.ReadFull(conn, head[:]); errors.Is(err, os.ErrDeadlineExceeded) {
		return silence
	} else if err != nil {
		return inHTTP1 // the program closed the connection, with few words or without
	}
	kind, stream := framing.FrameType(head[3]), binary.BigEndian.Uint32(head[5:])
	if kind == framing.FrameSettings && head[4] == 0 && stream == 0 {
		return inHTTP2
	}
	return inHTTP1
}
