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
// connection ends with the program, and there may be another one afterwards.
type version struct {
	mu    sync.Mutex
	known answer
	flows int // open ones, because of HTTP/2
}

// answer is what a program says when it is asked for its HTTP.
type answer int

const (
	silence answer = iota
	inHTTP1
	inHTTP2
)

// ask says whether the program speaks HTTP/1.1, and asks the program if that is not known.
// If not HTTP/1.1, the caller calls leave when its flow has ended. A program that is silent
// counts as one of HTTP/2, and is asked again the next time.
func (v *version) ask(ctx context.Context, program func(context.Context) (answer, error)) (http1 bool, err error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.known == silence {
		if v.known, err = program(ctx); err != nil {
			return false, err
		}
	}
	if v.known == inHTTP1 {
		return true, nil
	}
	v.flows++
	return false, nil
}

// leave is the end of a flow.
func (v *version) leave() {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.flows--; v.flows == 0 {
		v.known = silence
	}
}

// forget has the program asked again.
func (v *version) forget() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.known = silence
}

// patience is how long a program has to answer the probe. The agent waits for two seconds.
const patience = time.Second

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
	if a == inHTTP1 {
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
