// Package web is an HTTP server and the client that loads it, between which the benchmark
// measures requests.
//
// The client is our own, and not wrk or h2load. One client speaks HTTP/1.1, HTTP/2 and gRPC,
// so the same percentiles are computed for all of them; h2load prints none, and wrk knows
// neither HTTP/2 nor a new connection for each request. It checks the status, the length and
// the sender of every answer, so a path cannot win with errors or with answers of the wrong
// server. It writes requests that were encoded once, and reads answers without decoding
// their fields, so it takes little of the CPU time that the path is measured by.
package web

import (
	"errors"
	"strconv"
	"time"
)

// Protocols of a Load.
const (
	HTTP1 = "h1"
	HTTP2 = "h2"
	GRPC  = "grpc"
)

// Load is what a client asks for, over and over.
type Load struct {
	Protocol    string
	Connections int  // at a time
	Streams     int  // requests at a time on each connection; HTTP/1 has one
	Fresh       bool // HTTP/1: a new connection for each request
	Post        bool // the size is that of the request's body, and the answer is short
	Size        int  // of the answer's body
	Field       string
	Value       string // of the field with which an intercept matches
	Server      string // the name of the server that is to answer
}

const (
	// shortAnswer is the size of the answer to a POST.
	shortAnswer = 2
	// grpcPrefix is the size of what precedes a message of gRPC.
	grpcPrefix = 5
	// grpcPath is the method that gRPC calls.
	grpcPath = "/bench.Bench/Unary"
	// bufferSize is how many bytes a client reads at a time.
	bufferSize = 256 << 10
	// grace is how much longer than its duration a run may take.
	grace = 10 * time.Second
)

func (l *Load) path() string {
	if l.Protocol == GRPC {
		return grpcPath
	}
	return "/" + strconv.Itoa(l.Size)
}

func (l *Load) method() string {
	if l.Post || l.Protocol == GRPC {
		return "POST"
	}
	return "GET"
}

// body is what a request carries.
func (l *Load) body() []byte {
	switch {
	case l.Protocol == GRPC:
		return message(l.Size, 'c')
	case l.Post:
		return make([]byte, l.Size)
	}
	return nil
}

// want is the size of the answer's body.
func (l *Load) want() int {
	switch {
	case l.Protocol == GRPC:
		return grpcPrefix + l.Size
	case l.Post:
		return shortAnswer
	}
	return l.Size
}

// check says whether the end of an answer's body is that of the right server.
func (l *Load) check(length int, last byte) error {
	if length != l.want() {
		return errors.New("an answer has " + strconv.Itoa(length) + " bytes, not " + strconv.Itoa(l.want()))
	}
	if last != fill(l.Server) {
		return errors.New("the wrong server has answered")
	}
	return nil
}

// fill is the byte that a server's answers consist of.
func fill(server string) byte { return server[0] }
