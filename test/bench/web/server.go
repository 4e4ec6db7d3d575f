package web

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
)

// maxAnswer is the largest answer that a server gives.
const maxAnswer = 1 << 20

// Serve answers requests on l until ctx ends: HTTP/1, HTTP/2 with prior knowledge, and
// gRPC. All bytes of an answer's body are the first one of name.
func Serve(ctx context.Context, l net.Listener, name string) error {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	s := &http.Server{Protocols: protocols, Handler: newHandler(name)}
	stop := context.AfterFunc(ctx, func() { s.Close() })
	defer stop()
	if err := s.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

type handler struct{ fill []byte }

func newHandler(name string) *handler {
	return &handler{bytes.Repeat([]byte{fill(name)}, maxAnswer)}
}

// ServeHTTP answers a GET of /N with N bytes, and a POST with a few. To a request of gRPC
// it answers with a message of the same size.
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	received, err := io.Copy(io.Discard, r.Body)
	if err != nil {
		return // the client is gone
	}
	if r.Header.Get("Content-Type") == "application/grpc" {
		w.Header().Set("Content-Type", "application/grpc")
		_, _ = w.Write(message(int(received)-grpcPrefix, h.fill[0])) // fails if the client is gone
		w.Header().Set(http.TrailerPrefix+"Grpc-Status", "0")
		return
	}
	size := shortAnswer
	if r.Method == http.MethodGet {
		size, err = strconv.Atoi(strings.TrimPrefix(r.URL.Path, "/"))
		if err != nil || size < 0 || size > maxAnswer {
			http.NotFound(w, r)
			return
		}
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Content-Length", strconv.Itoa(size))
	_, _ = w.Write(h.fill[:size]) // fails if the client is gone
}

// message is a message of gRPC, not compressed.
func message(size int, fill byte) []byte {
	size = max(size, 0)
	b := binary.BigEndian.AppendUint32([]byte{0}, uint32(size))
	return append(b, bytes.Repeat([]byte{fill}, size)...)
}
