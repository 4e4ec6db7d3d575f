package http2

import (
	"bytes"
	"context"
	"fmt"
	"io"
	nethttp "net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	framing "golang.org/x/net/http2"

	"github.com/kubectl-intercept/kubectl-intercept/agent/http"
)

func request(t testing.TB, c *nethttp.Client, method string, body io.Reader, fields ...string) (*nethttp.Response, string) {
	t.Helper()
	r, err := nethttp.NewRequestWithContext(t.Context(), method, "http://service/path?a=b", body)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(fields); i += 2 {
		r.Header.Add(fields[i], fields[i+1])
	}
	resp, err := c.Do(r)
	if err != nil {
		t.Error(err)
		return nil, ""
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Error(err)
	}
	return resp, string(b)
}

// remarked is a target whose Mark changes.
type remarked struct {
	*farEnd
	now atomic.Pointer[http.Field]
}

func (r *remarked) Mark() http.Field { return *r.now.Load() }

// An answer has the Mark that its target has when the answer comes, also on a connection
// that was opened before.
func TestMarkChanges(t *testing.T) {
	target := &remarked{farEnd: &farEnd{address: serve(t, named("a")), gone: make(chan struct{})}}
	l := newLab(t, target.farEnd)
	l.set("a", http.Decision{To: target})
	c := l.client()
	for _, mark := range []http.Field{{}, {Name: "X-Intercept", Value: "blue"}, {Name: "X-Intercept", Value: "green"}, {}} {
		target.now.Store(&mark)
		if resp, _ := request(t, c, "GET", nil, "To", "a"); resp == nil || resp.Header.Get("X-Intercept") != mark.Value {
			t.Errorf("want %q, got %v", mark.Value, resp)
		}
	}
	if n := target.opened.Load(); n != 1 {
		t.Errorf("%d connections", n)
	}
}

// One connection carries requests to the application and to two laptops: each answer is
// of the server that the request was for.
func TestNoneAstray(t *testing.T) {
	app := &farEnd{address: serve(t, named("app"))}
	l := newLab(t, app)
	laptops := map[string]*farEnd{}
	for _, name := range []string{"a", "b"} {
		laptops[name] = &farEnd{address: serve(t, named(name)), gone: make(chan struct{}), mark: http.Field{Name: "X-Intercept", Value: name}}
		l.set(name, http.Decision{To: laptops[name]})
	}
	c := l.client()
	var wg sync.WaitGroup
	for worker := range 100 {
		wg.Go(func() {
			for k := range 10 {
				to := []string{"app", "a", "b"}[(worker+k)%3]
				id, mark := fmt.Sprintf("%d-%d", worker, k), ""
				if to != "app" {
					mark = to
				}
				body := strings.Repeat(id, 1+k*100)
				resp, got := request(t, c, "POST", strings.NewReader(body), "To", to, "Id", id)
				if resp == nil {
					return
				}
				if h := resp.Header; h.Get("Server-Name") != to || h.Get("Got-Id") != id || got != body || h.Get("X-Intercept") != mark {
					t.Errorf("%s to %s: %v", id, to, h)
				}
			}
		})
	}
	wg.Wait()
	if n := app.arrived.Load() + laptops["a"].arrived.Load() + laptops["b"].arrived.Load(); n != 1000 {
		t.Errorf("%d requests were counted", n)
	}
	for _, e := range []*farEnd{app, laptops["a"], laptops["b"]} {
		if e.opened.Load() != 1 {
			t.Errorf("%d connections", e.opened.Load())
		}
	}
}

// Serve closes the connections to the targets when the caller leaves, and resets all when
// its context ends.
func TestEnd(t *testing.T) {
	far, accept := scripted(t)
	l := newLab(t, far)
	c := l.caller()
	c.get(1, false)
	target := accept()
	target.expect(posted(1))
	c.conn.CloseWrite()
	target.expect("end")
	if err := <-l.done; err != nil {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	l.ctx = ctx
	c = l.caller()
	c.get(1, false)
	target = accept()
	target.expect(posted(1))
	cancel()
	c.expect("end")
	target.expect("end")
	<-l.done
}

// A copy of a request goes to another target, whose answer nobody sees, and which may be
// slow, away, or gone.
func TestCopies(t *testing.T) {
	var seen sync.WaitGroup
	got := map[string]string{}
	var mu sync.Mutex
	l := newLab(t, &farEnd{address: serve(t, named("app"))})
	stuck, _ := scripted(t, framing.Setting{ID: framing.SettingInitialWindowSize, Val: 0})
	away := &farEnd{address: "127.0.0.1:1", gone: make(chan struct{}), instead: http.Decision{To: l.app}}
	mirror := &farEnd{gone: make(chan struct{}), address: serve(t, nethttp.HandlerFunc(func(w nethttp.ResponseWriter, r *nethttp.Request) {
		b, _ := io.ReadAll(r.Body)
		mu.Lock()
		got[r.Header.Get("Id")] = string(b)
		mu.Unlock()
		w.Write(make([]byte, 1<<20))
		seen.Done()
	}))}
	l.set("copied", http.Decision{To: l.app, Copies: []http.Copier{mirror, stuck, away}})
	c := l.client()
	for k := range 20 {
		seen.Add(1)
		id, body := fmt.Sprint(k), strings.Repeat("0123456789", k*1000)
		resp, answer := request(t, c, "POST", strings.NewReader(body), "To", "copied", "Id", id)
		if resp == nil || answer != body || resp.Header.Get("Server-Name") != "app" {
			t.Fatalf("%v", resp)
		}
		seen.Wait()
		mu.Lock()
		if got[id] != body {
			t.Errorf("%d: the copy had %d bytes of %d", k, len(got[id]), len(body))
		}
		mu.Unlock()
	}
	l.set("copied", http.Decision{To: l.app, Copies: []http.Copier{stuck}})
	body := strings.Repeat("0123456789", 1<<20)
	for range 3 {
		if _, answer := request(t, c, "POST", strings.NewReader(body), "To", "copied"); answer != body {
			t.Errorf("%d bytes came back", len(answer))
		}
	}
	if stuck.missed.Load() == 0 {
		t.Error("no copy was dropped")
	}
	close(mirror.gone)
	request(t, c, "POST", strings.NewReader("x"), "To", "app")
	stuck.full.Store(true) // what it has not taken does not outlive the caller
	c.CloseIdleConnections()
	<-l.done
	for name, m := range map[string]*farEnd{"mirror": mirror, "stuck": stuck, "away": away} {
		if n := m.waiting.Load(); n != 0 {
			t.Errorf("%s: %d bytes still wait when the caller has gone", name, n)
		}
	}
}

// A mirror for which too much waits gets no copy, and keeps no connection of a caller.
func TestFullMirror(t *testing.T) {
	l := newLab(t, &farEnd{address: serve(t, named("app"))})
	full := &farEnd{address: "127.0.0.1:1"}
	full.full.Store(true)
	l.set("copied", http.Decision{To: l.app, Copies: []http.Copier{full}})
	c := l.client()
	if _, answer := request(t, c, "POST", strings.NewReader("x"), "To", "copied"); answer != "x" {
		t.Errorf("answered is %q", answer)
	}
	c.CloseIdleConnections()
	<-l.done
	if full.arrived.Load() != 1 || full.missed.Load() != 1 || full.opened.Load() != 0 {
		t.Errorf("%d copies, %d dropped, %d connections", full.arrived.Load(), full.missed.Load(), full.opened.Load())
	}
}

// Large bodies pass both ways at once, and are what was sent.
func TestLargeBodies(t *testing.T) {
	l := newLab(t, &farEnd{address: serve(t, named("app"))})
	c := l.client()
	body := bytes.Repeat([]byte("0123456789abcdef"), 1<<20)
	_, got := request(t, c, "POST", bytes.NewReader(body))
	if got != string(body) {
		t.Errorf("%d bytes of %d came back", len(got), len(body))
	}
}

// A copy outlives the connection of a caller that leaves with its answer, which may come long
// before the laptop has even been reached.
func TestCopyOutlivesCaller(t *testing.T) {
	app, accept := scripted(t)
	mirror, acceptCopy := scripted(t)
	hold := make(chan struct{})
	mirror.beforeOpening = func() { <-hold }
	l := newLab(t, app)
	l.set("copied", http.Decision{To: app, Copies: []http.Copier{mirror}})
	c := l.caller()
	c.get(1, true, "to", "copied")
	c.get(3, false, "to", "copied") // half a request, which ends with its caller
	target := accept()
	target.expect(posted(1) + " to=copied END")
	target.expect(posted(3) + " to=copied")
	target.headers(1, true, ":status", "200")
	c.expect("HEADERS 1 :status=200 END")
	c.conn.CloseWrite()
	c.expect("end")
	close(hold)
	laptop := acceptCopy()
	laptop.expect(posted(1) + " to=copied END")
	laptop.expect(posted(3) + " to=copied")
	laptop.expect("RST 3 CANCEL")
	laptop.headers(1, true, ":status", "200")
	laptop.expect("end")
	<-l.done
	if n := mirror.waiting.Load(); n != 0 || mirror.missed.Load() != 0 {
		t.Errorf("%d bytes wait, %d copies were missed", n, mirror.missed.Load())
	}
}

// The header fields of copies that wait for a laptop have a bound together.
func TestFieldsOfCopiesAreBounded(t *testing.T) {
	l := newLab(t, &farEnd{address: serve(t, named("app"))})
	hold := make(chan struct{})
	mirror := &farEnd{address: "127.0.0.1:1", beforeOpening: func() { <-hold }}
	l.set("copied", http.Decision{To: l.app, Copies: []http.Copier{mirror}})
	c := l.client()
	for range 100 {
		request(t, c, "GET", nil, "To", "copied", "Large", strings.Repeat("x", 100_000))
		if n := mirror.waiting.Load(); n > maxCopied {
			t.Errorf("%d bytes wait", n)
			break
		}
	}
	if n := mirror.missed.Load(); n < 50 || n == 100 {
		t.Errorf("%d copies were dropped", n)
	}
	close(hold)
	c.CloseIdleConnections()
	<-l.done
	if mirror.waiting.Load() != 0 || mirror.missed.Load() != 100 {
		t.Errorf("%d bytes wait, %d copies were missed", mirror.waiting.Load(), mirror.missed.Load())
	}
}
