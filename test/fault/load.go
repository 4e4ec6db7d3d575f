//go:build linux

package fault

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/kubectl-intercept/kubectl-intercept/test/e2e/lab"
)

// How much load there is. It is to leave a machine of two processors time for the rest.
const (
	requestEvery  = 25 * time.Millisecond // of each stream
	requestLimit  = 30 * time.Second      // a request that waits longer has failed
	mostRequests  = 400                   // of one stream, that wait at the same time
	datagramEvery = 50 * time.Millisecond
	idHeader      = "X-Request-Id"
	userHeader    = "X-User"
)

var errTooMany = fmt.Errorf("%d requests wait already", mostRequests)

// load is all that goes on while faults are injected.
type load struct {
	rec    *recorder
	laptop string // the name that the laptop answers with
	caller *lab.Space
	away   *lab.Space             // the laptop
	pod    atomic.Pointer[string] // the address of the pod whose ports are taken
	plain  string                 // the address of the Service that nobody takes

	ids atomic.Uint64
	ran sync.WaitGroup
}

// start begins, until ctx ends. The load is over when wait returns.
func (g *load) start(ctx context.Context) (wait func()) {
	for _, s := range []stream{whole, mine, others, outbound} {
		g.ran.Go(func() { g.requests(ctx, s) })
	}
	g.ran.Go(func() { g.bulk(ctx, flows[0], g.caller, func() string { return g.at(bulkPort) }) })
	g.ran.Go(func() { g.bulk(ctx, flows[1], g.away, func() string { return net.JoinHostPort(g.plain, bulkPort) }) })
	g.ran.Go(func() { g.datagrams(ctx) })
	return g.ran.Wait
}

// Ports of the application.
const (
	wholePort = "8080"
	minePort  = "8081"
	bulkPort  = "7000"
	udpPort   = "5353"
)

func (g *load) at(port string) string { return net.JoinHostPort(*g.pod.Load(), port) }

// requests begins a request at each tick, whether or not those before have ended.
func (g *load) requests(ctx context.Context, s stream) {
	from := g.caller
	if s == outbound {
		from = g.away
	}
	c := &http.Client{Timeout: requestLimit, Transport: &http.Transport{DialContext: from.Dial, DisableKeepAlives: true}}
	room := make(chan struct{}, mostRequests)
	ticker := time.NewTicker(requestEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		select {
		case room <- struct{}{}:
		default: // a caller who comes now waits for nothing, and loses
			in := g.rec.begin()
			now := time.Now()
			g.rec.note(in, "", result{stream: s, began: now, ended: now, err: errTooMany})
			continue
		}
		g.ran.Go(func() {
			defer func() { <-room }()
			id := fmt.Sprint(g.ids.Add(1))
			in := g.rec.begin()
			res := result{stream: s, began: time.Now()}
			res.who, res.err = g.ask(ctx, c, s, id)
			res.ended = time.Now()
			if ctx.Err() == nil {
				g.rec.note(in, id, res)
			}
		})
	}
}

func (g *load) ask(ctx context.Context, c *http.Client, s stream, id string) (who string, err error) {
	addr := g.at(minePort)
	switch s {
	case whole:
		addr = g.at(wholePort)
	case outbound:
		addr = net.JoinHostPort(g.plain, "80")
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+"/", nil)
	if err != nil {
		return "", err
	}
	req.Header.Set(idHeader, id)
	if s == mine {
		req.Header.Set(userHeader, g.laptop)
	}
	resp, err := c.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return "", err
	}
	who, _, ok := strings.Cut(strings.TrimPrefix(string(body), "answered by "), " (")
	if !ok {
		return "", fmt.Errorf("%s: %q", resp.Status, body)
	}
	return who, nil
}

// answer is the program on the laptop.
func (g *load) answer(w http.ResponseWriter, r *http.Request) {
	g.rec.reach(r.Header.Get(idHeader))
	lab.Answer(w, g.laptop)
}

// datagrams sends one at each tick, from a new port every second.
func (g *load) datagrams(ctx context.Context) {
	const each = int(time.Second / datagramEvery)
	for ctx.Err() == nil {
		c, err := g.caller.Dial(ctx, "udp", g.at(udpPort))
		if err != nil {
			continue
		}
		g.ran.Go(func() { g.echoes(c) })
		for range each {
			n := g.ids.Add(1)
			g.rec.with(func(in *round) { in.asked++ })
			_, _ = c.Write([]byte(datagram(n))) // a port that is closed for a moment is no error of ours
			select {
			case <-ctx.Done():
			case <-time.After(datagramEvery):
			}
		}
		context.AfterFunc(ctx, func() { c.Close() })
		time.AfterFunc(2*time.Second, func() { c.Close() }) // late answers
	}
}

// datagram is the text of the datagram with that number.
func datagram(n uint64) string { return fmt.Sprintf("datagram %d, again %d", n, n) }

// echoes compares what comes back until the socket is closed.
func (g *load) echoes(c net.Conn) {
	buf := make([]byte, 2048)
	for {
		n, err := c.Read(buf)
		if err != nil {
			if strings.Contains(err.Error(), "refused") { // the kernel tells of a port that is closed for a moment
				continue
			}
			return
		}
		_, text, _ := strings.Cut(string(buf[:n]), ": ")
		var number uint64
		_, err = fmt.Sscanf(text, "datagram %d,", &number)
		g.rec.with(func(in *round) {
			in.echoed++
			if err != nil || text != datagram(number) {
				in.damaged += int64(n)
			}
		})
	}
}
