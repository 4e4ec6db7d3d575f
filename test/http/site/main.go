// Site is an HTTP server in Go with the paths that the other applications of test/http
// have. It speaks HTTP/1 and HTTP/2 with prior knowledge, and keeps what it has received,
// byte for byte, for a test to ask for:
//
//	site -listen :8080 -tap :8079
package main

import (
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"time"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "site:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	flags := flag.NewFlagSet("site", flag.ContinueOnError)
	listen := flags.String("listen", ":8080", "address to serve at")
	tap := flags.String("tap", "", "address that tells what was received")
	if err := flags.Parse(args); err != nil {
		return err
	}
	site, err := net.Listen("tcp", *listen)
	if err != nil {
		return err
	}
	tapped := NewTap(site)
	failed := make(chan error)
	go func() { failed <- serve(tapped, Site()) }()
	if *tap != "" {
		told, err := net.Listen("tcp", *tap)
		if err != nil {
			return err
		}
		go func() { failed <- serve(told, tapped) }()
	}
	return <-failed
}

func serve(l net.Listener, handler http.Handler) error {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	server := &http.Server{Handler: handler, Protocols: protocols, ReadHeaderTimeout: time.Minute}
	if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
