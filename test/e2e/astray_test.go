//go:build e2e

package e2e

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/kubectl-intercept/kubectl-intercept/test/e2e/lab"
)

// kept is a connection over which a caller sends requests.
type kept struct {
	conn   net.Conn
	reader *bufio.Reader
	host   string
}

func keep(l *lab.Lab, s *lab.Space, addr string) (*kept, error) {
	conn, err := s.Dial(l.Context(), "tcp", addr)
	if err != nil {
		return nil, err
	}
	return &kept{conn, bufio.NewReader(conn), addr}, nil
}

// answer is what a caller gets. Mark is the header that names the intercept.
type answer struct {
	code       int
	mark, body string
}

// from is the name in an answer.
func (a answer) from() string {
	name, _, _ := strings.Cut(strings.TrimPrefix(a.body, "answered by "), " (")
	return name
}

// readAnswer reads an answer to its end.
func readAnswer(resp *http.Response) (answer, error) {
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return answer{resp.StatusCode, resp.Header.Get("X-Intercept"), string(body)}, err
}

// told asks with the mark of a person.
func (c *kept) told(p person) (answer, error) {
	req, err := http.NewRequest(http.MethodGet, "http://"+c.host+"/", nil)
	if err != nil {
		return answer{}, err
	}
	p.mark(req.Header)
	if err := c.conn.SetDeadline(time.Now().Add(lab.Patience)); err != nil {
		return answer{}, err
	}
	if err := req.Write(c.conn); err != nil {
		return answer{}, err
	}
	resp, err := http.ReadResponse(c.reader, req)
	if err != nil {
		return answer{}, err
	}
	return readAnswer(resp)
}

// as asks with the mark of a person, and returns the name in the answer.
func (c *kept) as(p person) (string, error) {
	a, err := c.told(p)
	return a.from(), err
}

// inTurn sends requests of all people in turn, and returns an error if one is not answered
// by the person whose mark it has.
func inTurn(where string, as func(person) (string, error), rounds int, all []person) error {
	for n := range rounds * len(all) {
		p := all[n%len(all)]
		if got, err := as(p); err != nil || got != p.name {
			return fmt.Errorf("%s, request %d: %q answers what is for %q (%v)", where, n, got, p.name, err)
		}
	}
	return nil
}

// over1 sends the requests over one HTTP/1.1 connection.
func over1(l *lab.Lab, from *lab.Space, addr string, rounds int, all []person) error {
	c, err := keep(l, from, addr)
	if err != nil {
		return err
	}
	defer c.conn.Close()
	return inTurn(addr, c.as, rounds, all)
}

// over2 sends the requests over one HTTP/2 connection, by several streams at once.
func over2(l *lab.Lab, from *lab.Space, addr string, streams, rounds int, all []person) error {
	transport := &http.Transport{Protocols: &http.Protocols{}, DialContext: from.Dial}
	transport.Protocols.SetUnencryptedHTTP2(true)
	c, err := transport.NewClientConn(l.Context(), "http", addr)
	if err != nil {
		return err
	}
	defer c.Close()
	as := func(p person) (string, error) {
		ctx, cancel := context.WithTimeout(l.Context(), lab.Patience)
		defer cancel()
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+"/", nil)
		if err != nil {
			return "", err
		}
		p.mark(req.Header)
		resp, err := c.RoundTrip(req)
		if err != nil {
			return "", err
		}
		a, err := readAnswer(resp)
		return a.from(), err
	}
	works := make([]func() error, streams)
	for n := range works {
		works[n] = func() error { return inTurn(addr+" by HTTP/2", as, rounds, all) }
	}
	return atOnce(works...)
}

// atOnce calls functions at once, and returns their errors.
func atOnce(works ...func() error) error {
	errs := make([]error, len(works))
	var wg sync.WaitGroup
	for n, work := range works {
		wg.Go(func() { errs[n] = work() })
	}
	wg.Wait()
	return errors.Join(errs...)
}

// noneAstray sends requests of all people in turn over each of many connections at once,
// and wants those answered by the person whose mark they have.
func noneAstray(l *lab.Lab, addrs []string, all ...person) {
	l.Helper()
	const rounds = 25
	var works []func() error
	for _, addr := range addrs {
		for _, node := range l.Nodes {
			works = append(works, func() error { return over1(l, node, addr, rounds, all) })
		}
	}
	l.Must(atOnce(works...))
}

// crowd is noneAstray with at least this many requests of each person, half of them by
// HTTP/1.1, and half of them at the same time by HTTP/2.
func crowd(l *lab.Lab, requests int, from []*lab.Space, addrs []string, all ...person) {
	l.Helper()
	const streams = 4
	lines := len(from) * len(addrs)
	rounds := (requests + 2*lines - 1) / (2 * lines)
	var works []func() error
	for _, addr := range addrs {
		for _, s := range from {
			works = append(works,
				func() error { return over1(l, s, addr, rounds, all) },
				func() error { return over2(l, s, addr, streams, (rounds+streams-1)/streams, all) })
		}
	}
	began := time.Now()
	l.Must(atOnce(works...))
	l.Logf("%d requests of each of %d people over %d connections: %s", 2*rounds*lines, len(all), 2*lines, time.Since(began).Round(time.Millisecond))
}
