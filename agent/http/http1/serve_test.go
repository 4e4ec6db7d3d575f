package http1

import (
	"strings"
	"testing"

	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel"
)

// plays are connections, step by step: see play.act.
var plays = []struct{ name, steps string }{
	{"keep-alive", `
		caller says GET / HTTP/1.1|Host: a||
		app hears GET / HTTP/1.1|Host: a||
		app says HTTP/1.1 200 OK|Content-Length: 2||ok
		caller hears HTTP/1.1 200 OK|Content-Length: 2||ok
		caller says POST /x HTTP/1.1|Host: a|Content-Length: 5||hello
		app hears POST /x HTTP/1.1|Host: a|Content-Length: 5||hello
		app says HTTP/1.1 204 No Content||
		caller hears HTTP/1.1 204 No Content||
		caller ends
		app end
		app ends
		caller end`},
	{"each request goes where it is to go", `
		caller says GET /l HTTP/1.1|Host: a||
		laptop hears GET /l HTTP/1.1|Host: a||
		laptop says HTTP/1.1 200 OK|Content-Length: 2||ok
		caller hears HTTP/1.1 200 OK|Content-Length: 2|x-intercept: blue||ok
		caller says GET / HTTP/1.1|Host: a||
		app hears GET / HTTP/1.1|Host: a||
		app says HTTP/1.1 200 OK|Content-Length: 2||ok
		caller hears HTTP/1.1 200 OK|Content-Length: 2||ok
		caller says GET /l HTTP/1.1|Host: a||
		laptop hears GET /l HTTP/1.1|Host: a||
		laptop says HTTP/1.1 200 OK|Content-Length: 2||ok
		caller hears HTTP/1.1 200 OK|Content-Length: 2|x-intercept: blue||ok
		caller ends
		laptop end
		app end
		laptop closes
		app closes
		caller end`},
	{"a head is passed as it is", `
		caller says gEt~ /%zz?x HTTP/1.1|hOst:a|X-Fold: a|	 b|X-Empty:|x-y:	1 ||
		app hears gEt~ /%zz?x HTTP/1.1|hOst:a|X-Fold: a|	 b|X-Empty:|x-y:	1 ||
		app says HTTP/1.1 299|content-length:	0 |X-Fold: a|  b||
		caller hears HTTP/1.1 299|content-length:	0 |X-Fold: a|  b||`},
	{"pipelining is passed on", `
		caller says GET /1 HTTP/1.1||POST /2 HTTP/1.1|Content-Length: 3||abcGET /3 HTTP/1.1||
		app hears GET /1 HTTP/1.1||POST /2 HTTP/1.1|Content-Length: 3||abcGET /3 HTTP/1.1||
		app says HTTP/1.1 200 OK|Content-Length: 1||1HTTP/1.1 200 OK|Content-Length: 1||2
		caller hears HTTP/1.1 200 OK|Content-Length: 1||1HTTP/1.1 200 OK|Content-Length: 1||2
		app says HTTP/1.1 200 OK|Content-Length: 1||3
		caller hears HTTP/1.1 200 OK|Content-Length: 1||3`},
	{"responses come in the order of the requests", `
		caller says GET /l HTTP/1.1||GET / HTTP/1.1||GET /over HTTP/1.1||GET /l HTTP/1.1||
		app hears GET / HTTP/1.1||
		app says HTTP/1.1 200 OK|Content-Length: 1||1
		laptop hears GET /l HTTP/1.1||
		laptop says HTTP/1.1 200 OK|Content-Length: 1||0
		caller hears HTTP/1.1 200 OK|Content-Length: 1|x-intercept: blue||0
		caller hears HTTP/1.1 200 OK|Content-Length: 1||1
		caller hears HTTP/1.1 503 Service Unavailable|Content-Type: text/plain; charset=utf-8|Content-Length: 5|x-intercept: blue||over!
		laptop hears GET /l HTTP/1.1||
		laptop says HTTP/1.1 200 OK|Content-Length: 1||2
		caller hears HTTP/1.1 200 OK|Content-Length: 1|x-intercept: blue||2`},
	{"chunks, extensions and trailers", `
		caller says POST / HTTP/1.1|Transfer-Encoding: chunked||005;a=b|hello|A;q="x;y"|0123456789|
		app hears POST / HTTP/1.1|Transfer-Encoding: chunked||005;a=b|hello|A;q="x;y"|0123456789|
		caller says 00|X-Sum: 1|y:||GET /l HTTP/1.1||
		app hears 00|X-Sum: 1|y:||
		laptop hears GET /l HTTP/1.1||
		laptop says HTTP/1.1 200 OK|Content-Length: 0||
		app says HTTP/1.1 200 OK|Transfer-Encoding: chunked||1|a|0|T: 1||
		caller hears HTTP/1.1 200 OK|Transfer-Encoding: chunked||1|a|0|T: 1||
		caller hears HTTP/1.1 200 OK|Content-Length: 0|x-intercept: blue||`},
	{"a response before the end of the request", `
		caller says POST / HTTP/1.1|Content-Length: 10||01234
		app hears POST / HTTP/1.1|Content-Length: 10||01234
		app says HTTP/1.1 200 OK|Content-Length: 2||ok
		caller hears HTTP/1.1 200 OK|Content-Length: 2||ok
		caller says 56789GET /l HTTP/1.1||
		app hears 56789
		laptop hears GET /l HTTP/1.1||`},
	{"a response before the end of the request, and the connection ends", `
		caller says POST / HTTP/1.1|Content-Length: 10||01234
		app hears POST / HTTP/1.1|Content-Length: 10||01234
		app says HTTP/1.1 413 No|Connection: close|Content-Length: 2||no
		app closes
		caller hears HTTP/1.1 413 No|Connection: close|Content-Length: 2||no
		caller end`},
	{"Expect: 100-continue", `
		caller says PUT /l HTTP/1.1|Expect: 100-continue|Content-Length: 2||
		laptop hears PUT /l HTTP/1.1|Expect: 100-continue|Content-Length: 2||
		laptop says HTTP/1.1 100 Continue||
		caller hears HTTP/1.1 100 Continue||
		caller says hi
		laptop hears hi
		laptop says HTTP/1.1 103 Early Hints|Link: x||HTTP/1.1 201 Created|Content-Length: 0||
		caller hears HTTP/1.1 103 Early Hints|Link: x||HTTP/1.1 201 Created|Content-Length: 0|x-intercept: blue||`},
	{"responses without a body", `
		caller says HEAD / HTTP/1.1||GET / HTTP/1.1||GET / HTTP/1.1||GET /l HTTP/1.1||
		app hears HEAD / HTTP/1.1||GET / HTTP/1.1||GET / HTTP/1.1||
		app says HTTP/1.1 200 OK|Content-Length: 5||HTTP/1.1 304 Not Modified|Content-Length: 7||HTTP/1.1 204 None||
		caller hears HTTP/1.1 200 OK|Content-Length: 5||HTTP/1.1 304 Not Modified|Content-Length: 7||HTTP/1.1 204 None||
		laptop hears GET /l HTTP/1.1||
		laptop says HTTP/1.1 204 None||
		caller hears HTTP/1.1 204 None|x-intercept: blue||`},
	{"a response that ends with the connection", `
		caller says GET /l HTTP/1.1||
		laptop hears GET /l HTTP/1.1||
		laptop says HTTP/1.1 200 OK||some
		caller hears HTTP/1.1 200 OK|x-intercept: blue||some
		laptop says HTTP/1.1 200 OK||more
		caller hears HTTP/1.1 200 OK||more
		laptop ends
		caller end`},
	{"HTTP/1.0", `
		caller says GET / HTTP/1.0|Connection: Keep-Alive||
		app hears GET / HTTP/1.0|Connection: Keep-Alive||
		app says HTTP/1.0 200 OK|Connection: keep-alive|Content-Length: 2||ok
		caller hears HTTP/1.0 200 OK|Connection: keep-alive|Content-Length: 2||ok
		caller says GET /l HTTP/1.0||
		laptop hears GET /l HTTP/1.0||
		laptop says HTTP/1.1 200 OK|Content-Length: 2||ok
		caller hears HTTP/1.1 200 OK|Content-Length: 2|x-intercept: blue||ok
		laptop ends
		caller end`},
	{"a request that is the last", `
		caller says GET /l HTTP/1.1|connection: x, Close||GET /l HTTP/1.1||
		laptop hears GET /l HTTP/1.1|connection: x, Close||
		laptop says HTTP/1.1 200 OK|Content-Length: 2||ok
		caller hears HTTP/1.1 200 OK|Content-Length: 2|x-intercept: blue||ok
		laptop ends
		caller end`},
	{"a response that is the last", `
		caller says GET / HTTP/1.1||GET /l HTTP/1.1||
		app hears GET / HTTP/1.1||
		app says HTTP/1.1 200 OK|Connection: close|Content-Length: 2||ok
		caller hears HTTP/1.1 200 OK|Connection: close|Content-Length: 2||ok
		app ends
		caller end`},
	{"WebSocket", `
		caller says GET /l HTTP/1.1|Connection: Upgrade|Upgrade: websocket||
		laptop hears GET /l HTTP/1.1|Connection: Upgrade|Upgrade: websocket||
		laptop says HTTP/1.1 101 Switching Protocols|Upgrade: websocket||frame
		caller hears HTTP/1.1 101 Switching Protocols|Upgrade: websocket|x-intercept: blue||frame
		caller says GET / HTTP/1.1||
		laptop hears GET / HTTP/1.1||
		caller ends
		laptop end
		laptop says last
		caller hears last
		laptop ends
		caller end`},
	{"bytes right behind an upgrade", `
		caller says GET /l HTTP/1.1|Upgrade: x||GET / HTTP/1.1||
		laptop hears GET /l HTTP/1.1|Upgrade: x||
		laptop says HTTP/1.1 101 Switching Protocols||
		laptop hears GET / HTTP/1.1||
		laptop ends
		caller hears HTTP/1.1 101 Switching Protocols|x-intercept: blue||
		caller end
		caller says more
		laptop hears more`},
	{"a 101 that nobody asked for", `
		caller says GET /l HTTP/1.1||
		laptop hears GET /l HTTP/1.1||
		laptop says HTTP/1.1 101 Switching Protocols||frame
		caller hears HTTP/1.1 101 Switching Protocols||frame
		caller says GET / HTTP/1.1||
		laptop ends
		caller end
		caller ends
		laptop end`},
	{"a laptop that says more than its early answer", `
		caller says POST /l HTTP/1.1|Content-Length: 4||ab
		laptop hears POST /l HTTP/1.1|Content-Length: 4||ab
		laptop says HTTP/1.1 200 OK|Content-Length: 0||x
		caller hears HTTP/1.1 200 OK|Content-Length: 0|x-intercept: blue||x
		caller says cdGET / HTTP/1.1||
		laptop hears cd
		laptop ends
		caller end
		caller ends
		laptop end`},
	{"an upgrade that is refused", `
		caller says GET /l HTTP/1.1|Connection: Upgrade|Upgrade: h2c||GET / HTTP/1.1||
		laptop hears GET /l HTTP/1.1|Connection: Upgrade|Upgrade: h2c||
		laptop says HTTP/1.1 200 OK|Content-Length: 0||
		caller hears HTTP/1.1 200 OK|Content-Length: 0|x-intercept: blue||
		app hears GET / HTTP/1.1||`},
	{"CONNECT", `
		caller says CONNECT a:1 HTTP/1.1||GET /l HTTP/1.1||
		app hears CONNECT a:1 HTTP/1.1||
		app says HTTP/1.1 403 No|Content-Length: 0||
		caller hears HTTP/1.1 403 No|Content-Length: 0||
		laptop hears GET /l HTTP/1.1||
		laptop says HTTP/1.1 200 OK|Content-Length: 0||
		caller hears HTTP/1.1 200 OK|Content-Length: 0|x-intercept: blue||
		caller says CONNECT a:1 HTTP/1.1||GET /l HTTP/1.1||
		app hears CONNECT a:1 HTTP/1.1||
		app says HTTP/1.1 200 OK|Content-Length: 5||
		app hears GET /l HTTP/1.1||
		caller hears HTTP/1.1 200 OK|Content-Length: 5||
		app resets
		caller reset`},
	{"the caller ends its direction after the last request", `
		caller says GET /l HTTP/1.1||
		caller ends
		laptop hears GET /l HTTP/1.1||
		laptop end
		laptop says HTTP/1.1 200 OK|Content-Length: 2||ok
		caller hears HTTP/1.1 200 OK|Content-Length: 2|x-intercept: blue||ok
		caller end`},
	{"the caller ends within a body", `
		caller says POST / HTTP/1.1|Content-Length: 9||abc
		app hears POST / HTTP/1.1|Content-Length: 9||abc
		caller ends
		app end
		app says HTTP/1.1 400 Bad|Connection: close||
		app ends
		caller hears HTTP/1.1 400 Bad|Connection: close||
		caller end`},
	{"the caller ends within a head", `
		caller says GET / HT
		caller ends
		app hears GET / HT
		app end
		app says HTTP/1.1 400 Bad||
		app closes
		caller hears HTTP/1.1 400 Bad||
		caller end`},
	{"the caller resets", `
		caller says GET / HTTP/1.1||GET /l HTTP/1.1||
		app hears GET / HTTP/1.1||
		laptop hears GET /l HTTP/1.1||
		caller resets
		app reset
		laptop reset`},
	{"a target resets within a response", `
		caller says GET /l HTTP/1.1||
		laptop hears GET /l HTTP/1.1||
		laptop says HTTP/1.1 200 OK|Content-Length: 2||o
		caller hears HTTP/1.1 200 OK|Content-Length: 2|x-intercept: blue||o
		laptop resets
		caller reset`},
	{"a target ends within a response", `
		caller says GET / HTTP/1.1||
		app hears GET / HTTP/1.1||
		app says HTTP/1.1 200 OK|Content-Length: 2||o
		app ends
		caller hears HTTP/1.1 200 OK|Content-Length: 2||o
		caller end`},
	{"a target ends without a response", `
		caller says GET / HTTP/1.1||
		app hears GET / HTTP/1.1||
		app ends
		caller end`},
	{"the application ends an idle connection", `
		caller says GET / HTTP/1.1||
		app hears GET / HTTP/1.1||
		app says HTTP/1.1 200 OK|Content-Length: 2||ok
		caller hears HTTP/1.1 200 OK|Content-Length: 2||ok
		app closes
		caller end`},
	{"a laptop's program ends an idle connection", `
		caller says GET /l HTTP/1.1||
		laptop hears GET /l HTTP/1.1||
		laptop says HTTP/1.1 200 OK|Content-Length: 0||
		caller hears HTTP/1.1 200 OK|Content-Length: 0|x-intercept: blue||
		laptop ends
		laptop end
		caller says POST /l HTTP/1.1|Content-Length: 1||x
		laptop again
		laptop hears POST /l HTTP/1.1|Content-Length: 1||x
		laptop says HTTP/1.1 200 OK|Content-Length: 0||
		caller hears HTTP/1.1 200 OK|Content-Length: 0|x-intercept: blue||`},
	{"the application speaks unasked", `
		caller says GET / HTTP/1.1||
		app hears GET / HTTP/1.1||
		app says HTTP/1.1 200 OK|Content-Length: 2||ok
		caller hears HTTP/1.1 200 OK|Content-Length: 2||ok
		app says HTTP/1.1 408 Request Timeout||
		app closes
		caller hears HTTP/1.1 408 Request Timeout||
		caller end`},
	{"a target that cannot be reached", `
		caller says POST /away HTTP/1.1|Content-Length: 6||abc
		app hears POST /away HTTP/1.1|Content-Length: 6||abc
		caller says def
		app hears def
		app says HTTP/1.1 200 OK|Content-Length: 2||ok
		caller hears HTTP/1.1 200 OK|Content-Length: 2||ok`},
	{"the agent answers", `
		caller says HEAD /over HTTP/1.1||POST /over HTTP/1.1|Content-Length: 3||abc
		caller hears HTTP/1.1 503 Service Unavailable|Content-Type: text/plain; charset=utf-8|Content-Length: 5|x-intercept: blue||
		caller hears HTTP/1.1 503 Service Unavailable|Content-Type: text/plain; charset=utf-8|Content-Length: 5|x-intercept: blue||over!
		caller says GET / HTTP/1.1||
		app hears GET / HTTP/1.1||
		app says HTTP/1.1 200 OK|Content-Length: 2||ok
		caller hears HTTP/1.1 200 OK|Content-Length: 2||ok
		caller says POST /over HTTP/1.1|Transfer-Encoding: chunked||3|abc|
		caller hears HTTP/1.1 503 Service Unavailable|Content-Type: text/plain; charset=utf-8|Content-Length: 5|x-intercept: blue|Connection: close||over!
		caller end`},
	{"a response that is not told apart", `
		caller says GET /l HTTP/1.1||
		laptop hears GET /l HTTP/1.1||
		laptop says HTTP/1.1 200 OK|Content-Length: 2|Content-Length: 3||okay
		caller hears HTTP/1.1 200 OK|Content-Length: 2|Content-Length: 3||okay
		caller says GET / HTTP/1.1||
		laptop says more
		caller hears more
		laptop ends
		caller end`},
	{"a response of the application that is not told apart", `
		caller says GET / HTTP/1.1||
		app hears GET / HTTP/1.1||
		app says SSH-2.0-x|
		caller hears SSH-2.0-x|
		caller says GET /l HTTP/1.1||
		app hears GET /l HTTP/1.1||`},
	{"chunks of a response that are not told apart", `
		caller says GET / HTTP/1.1||
		app hears GET / HTTP/1.1||
		app says HTTP/1.1 200 OK|Transfer-Encoding: chunked||2|ok|x|0||
		caller hears HTTP/1.1 200 OK|Transfer-Encoding: chunked||2|ok|x|0||
		caller says GET /l HTTP/1.1||
		app hears GET /l HTTP/1.1||
		app closes
		caller end`},
	{"chunks of a request that are not told apart", `
		caller says POST /l HTTP/1.1|Transfer-Encoding: chunked||2|ok|0x0|GET / HTTP/1.1||
		laptop hears POST /l HTTP/1.1|Transfer-Encoding: chunked||2|ok|0x0|GET / HTTP/1.1||
		laptop says HTTP/1.1 400 Bad|Content-Length: 0||and more
		caller hears HTTP/1.1 400 Bad|Content-Length: 0|x-intercept: blue||and more`},
	{"what is not told apart comes in order", `
		caller says GET /l HTTP/1.1||GET / HTTP/1.1||GET /l HTTP/2.0||
		app hears GET / HTTP/1.1||GET /l HTTP/2.0||
		app says HTTP/1.1 200 OK|Content-Length: 2||okno
		laptop hears GET /l HTTP/1.1||
		laptop says HTTP/1.1 200 OK|Content-Length: 2||ok
		caller hears HTTP/1.1 200 OK|Content-Length: 2|x-intercept: blue||ok
		caller hears HTTP/1.1 200 OK|Content-Length: 2||okno
		caller says more
		app hears more
		caller ends
		app end
		app says more
		caller hears more
		app ends
		caller end`},
}

func TestPlays(t *testing.T) {
	for _, tt := range plays {
		t.Run(tt.name, func(t *testing.T) { playAll(t, newPlay(t), tt.steps) })
		t.Run(tt.name+", past the kernel", func(t *testing.T) {
			p := newPlay(t)
			p.wrap = func(s tunnel.Stream) tunnel.Stream { return struct{ tunnel.Stream }{s} }
			p.app.wrap, p.laptop.wrap = p.wrap, p.wrap
			playAll(t, p, tt.steps)
		})
	}
}

func playAll(t *testing.T, p *play, steps string) {
	p.start("")
	var last string
	for line := range strings.Lines(steps) {
		if line = strings.TrimLeft(strings.TrimRight(line, "\n"), "\t"); line != "" {
			p.act(line)
			last = line
		}
	}
	if last != "caller end" {
		p.stop()
	}
	for _, c := range p.conns {
		c.Close()
	}
	if err := p.over(); err != nil && last == "caller end" {
		t.Error(err)
	}
}
