// Quote is the application of demo and tests: an HTTP server that says who it
// is, at /hostname where, and at /caller from which address it is called. With -color it has a color, at /color. With -tls it does so by HTTPS, with -echo it also
// echoes TCP, with -udp datagrams, and adds to "caller" from where that came. At /claim it gives jobs of a queue, which
// it counts at /claims, and with -work it is a consumer of one. It speaks HTTP/1 and, with prior knowledge, HTTP/2.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "quote:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("quote", flag.ContinueOnError)
	listen := flags.String("listen", ":8080", "addresses for HTTP, separated by commas")
	name := flags.String("name", "the cluster", "who answers")
	color := flags.String("color", "", "what is answered at /color")
	echo := flags.String("echo", "", "address for a TCP echo")
	secure := flags.String("tls", "", "address for HTTPS, with a certificate of nobody's")
	udp := flags.String("udp", "", "address for a UDP echo that puts the name in front")
	consumed := flags.String("work", "", "URL of a queue whose jobs are claimed")
	if err := flags.Parse(args); err != nil {
		return err
	}
	failed := make(chan error)
	host, _ := os.Hostname()
	handler := http.NewServeMux()
	handler.HandleFunc("/hostname", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, host) })
	handler.HandleFunc("/caller", func(w http.ResponseWriter, r *http.Request) { fmt.Fprintln(w, "called from "+address(r.RemoteAddr)) })
	if *color != "" {
		handler.HandleFunc("/color", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, *color) })
	}
	jobs := &queue{claims: map[string]int{}}
	handler.HandleFunc("/claim", jobs.claim)
	handler.HandleFunc("/claims", jobs.list)
	if *consumed != "" {
		go work(ctx, *consumed, *name)
	}
	handler.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, "answered by %s (%s)\n", *name, host)
	})
	both := &http.Protocols{}
	both.SetHTTP1(true)
	both.SetUnencryptedHTTP2(true)
	server := &http.Server{Handler: handler, Protocols: both}
	for addr := range strings.SplitSeq(*listen, ",") {
		l, err := net.Listen("tcp", addr)
		if err != nil {
			return err
		}
		go func() { failed <- server.Serve(l) }()
	}
	if *secure != "" {
		l, err := listenTLS(*secure)
		if err != nil {
			return err
		}
		go func() { failed <- http.Serve(l, handler) }()
	}
	if *echo != "" {
		l, err := net.Listen("tcp", *echo)
		if err != nil {
			return err
		}
		go func() { failed <- serveEcho(l) }()
	}
	if *udp != "" {
		c, err := net.ListenPacket("udp", *udp)
		if err != nil {
			return err
		}
		go func() { failed <- serveUDP(c, *name) }()
	}
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
		return nil
	}
}

// address is the address of an "address:port".
func address(at string) string {
	host, _, _ := net.SplitHostPort(at)
	return host
}

func serveEcho(l net.Listener) error {
	for {
		c, err := l.Accept()
		if err != nil {
			return err
		}
		go func() {
			defer c.Close()
			io.Copy(c, c)
		}()
	}
}

func serveUDP(c net.PacketConn, name string) error {
	buf := make([]byte, 65536)
	for {
		n, from, err := c.ReadFrom(buf)
		if err != nil {
			return err
		}
		answer := append([]byte(name+": "), buf[:n]...)
		if string(buf[:n]) == "caller" {
			answer = append(answer, (" " + address(from.String()))...)
		}
		if _, err := c.WriteTo(answer, from); err != nil {
			return err
		}
	}
}
