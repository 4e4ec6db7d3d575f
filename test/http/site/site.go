package main

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"
)

const line = "0123456789abcde\n"

// Site has the paths that the applications of test/http have in common.
func Site() http.Handler {
	small := []byte(strings.Repeat(line, 64))
	large := bytes.Repeat(small, 1024)
	mux := http.NewServeMux()
	page := func(content []byte, tag string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/plain")
			w.Header().Set("ETag", tag)
			http.ServeContent(w, r, "", time.Unix(0, 0), bytes.NewReader(content))
		}
	}
	mux.HandleFunc("/{$}", page(small, `"small"`))
	mux.HandleFunc("/small", page(small, `"small"`))
	mux.HandleFunc("/empty", page(nil, `"empty"`))
	mux.HandleFunc("/large", page(large, `"large"`))
	mux.HandleFunc("/echo", echo)
	mux.HandleFunc("/chunked", func(w http.ResponseWriter, _ *http.Request) {
		flushed(w, "one\n", "two, which is longer\n", string(small))
	})
	mux.HandleFunc("/events", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for n := range 5 {
			flushed(w, fmt.Sprintf("id: %d\ndata: event\n\n", n))
		}
	})
	mux.HandleFunc("/redirect", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "/small", http.StatusFound)
	})
	mux.HandleFunc("/nothing", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	mux.HandleFunc("/trailers", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Trailer", "X-Sum")
		flushed(w, "the body\n")
		w.Header().Set("X-Sum", "done")
	})
	mux.HandleFunc("/early", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusRequestEntityTooLarge) })
	mux.HandleFunc("/hints", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Link", "</small>; rel=preload")
		w.WriteHeader(http.StatusEarlyHints)
		fmt.Fprint(w, "hinted\n")
	})
	mux.HandleFunc("/close", raw("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\nuntil the end\n", false))
	mux.HandleFunc("/upgrade", raw("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n", true))
	return mux
}

// flushed writes texts, each at once.
func flushed(w http.ResponseWriter, texts ...string) {
	for _, text := range texts {
		_, _ = io.WriteString(w, text) // the caller sees that the answer is cut
		w.(http.Flusher).Flush()
	}
}

// echo answers with what the application got: request line, header, body and trailer.
func echo(w http.ResponseWriter, r *http.Request) {
	var b bytes.Buffer
	body, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	fmt.Fprintf(&b, "%s %s %s\nHost: %s\n", r.Method, r.RequestURI, r.Proto, r.Host)
	fields(&b, r.Header)
	fmt.Fprintf(&b, "length %d, %q\n\n%s\n", r.ContentLength, r.TransferEncoding, body)
	fields(&b, r.Trailer)
	w.Header().Set("Content-Type", "text/plain")
	_, _ = w.Write(b.Bytes()) // the caller sees that the answer is cut
}

func fields(b *bytes.Buffer, h http.Header) {
	for _, name := range slices.Sorted(maps.Keys(h)) {
		fmt.Fprintf(b, "%s: %q\n", name, h[name])
	}
}

// raw answers with text on the bare connection. Then it closes it, or echoes.
func raw(text string, echo bool) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		c, buffered, err := http.NewResponseController(w).Hijack()
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		defer c.Close()
		_, _ = buffered.WriteString(text) // the caller sees that the answer is cut
		_ = buffered.Flush()
		if echo {
			_, _ = io.Copy(c, buffered.Reader)
		}
	}
}
