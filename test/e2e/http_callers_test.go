//go:build e2e

package e2e

import (
	"fmt"
	"strings"

	"github.com/kubectl-intercept/kubectl-intercept/test/e2e/lab"
)

// caller is a program that nobody here wrote and that calls an application. What it
// prints is the same each time.
type caller struct {
	name, app string
	port      int
	line      string // shell; $A is the address, $NODE runs Node
}

// callers are the programs of bin/tools and of grpc-go, and what they call.
func callers() []caller {
	// What curl says of the date of answers differs.
	const mask = ` | sed -E 's/^([Dd]ate): .*/\1/'`
	const every = `for p in small empty large chunked events redirect nothing trailers missing hints; do echo "== $p"; curl -sS -i %s http://$A/$p 2>&1; done` + mask
	const post = `head -c 300000 /dev/zero | tr '\0' b | curl -sS -i %s -H 'X-Case: one' -T - -X POST http://$A/echo` + mask
	// The frames that nghttp has received, without times, and those of DATA by stream only:
	// how a server cuts a body is its own affair.
	const frames = ` | sed -nE 's/^.*recv \(stream_id=([0-9]+)[^)]*\) /\1 /p; s/^.*recv (RST_STREAM|GOAWAY) frame.*/\1/p' | grep -v ' date:' | sort`
	all := []caller{
		{"curl-h1", "nginx", 8080, fmt.Sprintf(every, "--http1.1")},
		{"curl-h1", "go", 8080, fmt.Sprintf(every, "--http1.1")},
		{"curl-h1", "node", 8080, fmt.Sprintf(every, "--http1.1")},
		{"curl-http10", "apache", 8080, fmt.Sprintf(every, "--http1.0")},
		{"curl-post-h1", "go", 8080, fmt.Sprintf(post, "--http1.1")},
		{"curl-post-h1", "gunicorn", 8080, fmt.Sprintf(post, "--http1.1")},
		{"curl-upgrade-h2", "apache", 8080, fmt.Sprintf(every, "--http2")},
		{"wrk", "nginx", 8080, `wrk -t1 -c8 -d1s http://$A/small | sed -nE 's/^Requests\/sec: .*[1-9].*/answered/p; /Socket errors|Non-2xx/p'`},
		{"h2load-h1", "nginx", 8080, `h2load --h1 -n 2000 -c 8 http://$A/small` + counts},
		{"websockets", "websockets", 8080, `PYTHONHOME=bin/tools/usr python3.11 test/http/apps/ask.py ws://$A`},
		{"node", "node", 8080, `$NODE /apps/ask.js http://$A`},
		{"node", "go", 8080, `$NODE /apps/ask.js http://$A`},
		{"node", "gunicorn", 8080, `$NODE /apps/ask.js http://$A`},
	}
	for _, h2 := range []struct {
		app  string
		port int
	}{{"go", 8080}, {"nginx", 8081}, {"node", 8081}, {"apache", 8080}, {"haproxy", 8080}, {"nghttpd", 8080}} {
		for name, line := range map[string]string{
			"curl-h2":        fmt.Sprintf(every, "--http2-prior-knowledge"),
			"curl-post-h2":   fmt.Sprintf(post, "--http2-prior-knowledge"),
			"nghttp":         `nghttp -n -v http://$A/small http://$A/empty http://$A/missing http://$A/redirect` + frames,
			"nghttp-windows": `nghttp -w 10 -W 12 http://$A/large 2>&1 | cksum`,
			"nghttp-padding": `nghttp -n -v -b 64 http://$A/small` + frames,
			"nghttp-long":    `nghttp -n -v --continuation -H "x-long: $(head -c 6000 /dev/zero | tr '\0' v)" http://$A/small` + frames,
			"nghttp-trailer": `echo body | nghttp -n -v --trailer 'x-sum: done' -d - http://$A/echo` + frames,
			"nghttp-expect":  `echo body | nghttp -n -v --expect-continue -d - http://$A/echo` + frames,
			"node-h2":        `$NODE /apps/ask.js h2://$A`,
			"h2load":         `h2load -n 2000 -c 4 -m 50 http://$A/small` + counts,
			"h2load-large":   `h2load -n 20 -c 2 -m 5 http://$A/large` + counts,
		} {
			all = append(all, caller{name, h2.app, h2.port, line})
		}
	}
	for _, test := range []string{"empty_unary", "large_unary", "client_streaming", "server_streaming", "ping_pong", "empty_stream",
		"timeout_on_sleeping_server", "cancel_after_begin", "cancel_after_first_response", "status_code_and_message", "special_status_message",
		"custom_metadata", "unimplemented_method", "unimplemented_service"} {
		all = append(all, caller{"interop-" + test, "grpc", 8080, `bin/interop/client -server_host ${A%:*} -server_port ${A##*:} -test_case ` + test + ` 2>&1; echo $?`})
	}
	return all
}

// counts keeps of h2load what is the same each time.
const counts = ` | grep -E '^(requests|status codes)'`

// call runs a caller, and returns what it printed.
func (c caller) call(l *lab.Lab, variables ...string) string {
	o := l.ShOn(l.Nodes[0], c.line, variables...)
	return strings.TrimSpace(o.Out + o.Err)
}
