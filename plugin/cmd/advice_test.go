package cmd

import (
	"bytes"
	"regexp"
	"strings"
	"testing"

	"k8s.io/cli-runtime/pkg/genericiooptions"
)

// advised is a cluster in which ports and Services are hard to name.
const advised = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: hello, namespace: default}
spec:
  selector: {matchLabels: {app: hello}}
  template:
    metadata: {labels: {app: hello}}
    spec: {containers: [{name: app, image: hello}]}
---
apiVersion: v1
kind: Service
metadata: {name: hello, namespace: default}
spec: {selector: {app: hello}, ports: [{port: 80, targetPort: 8080}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: odd, namespace: default}
spec:
  selector: {matchLabels: {app: odd}}
  template:
    metadata: {labels: {app: odd}}
    spec: {containers: [{name: app, image: odd, ports: [{name: web, containerPort: 6060}]}]}
---
apiVersion: v1
kind: Service
metadata: {name: odd, namespace: default}
spec:
  selector: {app: odd}
  ports:
  - {name: "8080", port: 80, targetPort: 9090}
  - {name: http, port: 8080, targetPort: 7070}
  - {name: web, port: 81, targetPort: 5050}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: two, namespace: default}
spec:
  selector: {matchLabels: {app: two}}
  template:
    metadata: {labels: {app: two}}
    spec:
      containers:
      - {name: app, image: two, ports: [{name: http, containerPort: 8080}]}
      - {name: other, image: two, ports: [{name: debug, containerPort: 5005}, {name: debug-too, containerPort: 5006}]}
---
apiVersion: v1
kind: Service
metadata: {name: stable, namespace: default}
spec: {selector: {app: two}, ports: [{name: http, port: 80, targetPort: 8080}]}
---
apiVersion: v1
kind: Service
metadata: {name: canary, namespace: default}
spec: {selector: {app: two}, ports: [{name: http, port: 80, targetPort: 8081}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: twins, namespace: default}
spec:
  selector: {matchLabels: {app: twins}}
  template:
    metadata: {labels: {app: twins}}
    spec:
      containers:
      - {name: one, image: twins, ports: [{name: http, containerPort: 8080}]}
      - {name: two, image: twins, ports: [{name: http, containerPort: 8081}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: names, namespace: default}
spec:
  selector: {matchLabels: {app: names}}
  template:
    metadata: {labels: {app: names}}
    spec: {containers: [{name: app, image: names}]}
---
apiVersion: v1
kind: Service
metadata: {name: names, namespace: default}
spec:
  selector: {app: names}
  ports: [{name: tcp, port: 53, targetPort: 5353}, {name: udp, port: 53, targetPort: 5354, protocol: UDP}]
`

// choice is one of those that an error offers: "http (80, service/a)".
var choice = regexp.MustCompile(`(\S+) \(([^)]*)\)`)

// TestAdvice types what errors about ports, Services and names advise. All of it has
// to work, and different choices have to lead to different ports.
func TestAdvice(t *testing.T) {
	for _, tt := range []struct {
		args string
		// advice has to be in the error.
		advice string
		// choices are how many ports the error offers.
		choices int
	}{
		{"hello --port 9000 --service nothere", "for example --service hello", 0},
		{"hello --port 9000:grpc --service nothere", "choose one of: hello", 0},
		{"hello --port 9000:grpc", "for example --port 9000:80", 1},
		{"hello --port 9000:5353/udp --port 9001:grpc", "for example --port 9001:80", 1},
		{"odd --port 9000", "for example --port 9000:80", 3},
		{"odd --port 9000:x", "for example --port 9000:80", 4},
		{"odd --port 9000:http/udp", "for example --port 9000:http", 1},
		{"odd --port 9000:http --port 9001", "for example --port 9001:80", 2},
		{"two --port 9000", "for example --port 9000:http --service canary", 2},
		{"two --port 9000:http", "for example --port 9000:http --service canary", 2},
		{"two --port 9000:x --service stable", "for example --port 9000:http", 3},
		{"twins --port 9000:http", "for example --port 9000:8080", 2},
		{"twins --port 9000", "for example --port 9000:8080", 2},
		{"twins --port 9000/udp", "for example --port 9000:8080", 2},
		{"names --port 9000:53", "say 53/tcp or 53/udp", 2},
		{"names --port 9000:53/tcp --port 9001:53", "for example --port 9001:udp", 1},
		{"names --port 9000", "for example --port 9000:tcp", 2},
		{"sts/store --port 9000:http/UDP", "for example --port 9000:http", 1},
		{"sts/store --port 9000:dns/tcp", "for example --port 9000:dns", 1},
		{"deploy/helo --port 9000:80", "did you mean deployment/hello?", 0},
		{"stor --port 9000:http", "did you mean statefulset/store?", 0},
		{"svc/stabel --port 9000:http", "did you mean service/stable?", 0},
		{"pod/tool --port 9000", "name the port its application listens on with --port LOCAL:PORT", 0},
		{"pod/tool --port 9000 --service quote", "no other Service does", 0},
	} {
		t.Run(tt.args, func(t *testing.T) {
			w := adviser(t)
			said := w.refused(t, "add "+tt.args)
			if !strings.Contains(said, tt.advice) {
				t.Fatalf("the error is %q, want %q in it", said, tt.advice)
			}
			if _, flags, ok := strings.Cut(said, "for example "); ok {
				w.works(t, "add "+instead(tt.args, flags))
			}
			_, offered, _ := strings.Cut(said, "choose one of: ")
			found := choice.FindAllStringSubmatch(offered, -1)
			if len(found) != tt.choices {
				t.Errorf("%q offers %d ports, want %d", said, len(found), tt.choices)
			}
			for _, m := range found {
				flags := "--port " + local(said) + ":" + m[1]
				if _, service, ok := strings.Cut(m[2], "service/"); ok && strings.Contains(said, "--service") {
					flags += " --service " + service
				}
				w.works(t, "add "+instead(tt.args, flags))
			}
			if _, words, ok := strings.Cut(said, "say "); ok {
				one, rest, _ := strings.Cut(words, " or ")
				other, _, _ := strings.Cut(rest, ";")
				if !strings.Contains(tt.args, one) { // else it is taken already
					w.works(t, "add "+instead(tt.args, "--port "+local(said)+":"+one))
				}
				w.works(t, "add "+instead(tt.args, "--port "+local(said)+":"+other))
			}
			if _, name, ok := strings.Cut(said, "did you mean "); ok {
				_, flags, _ := strings.Cut(tt.args, " ")
				w.works(t, "add "+strings.TrimSuffix(strings.TrimSpace(name), "?")+" "+flags)
			}
			if strings.Contains(said, "LOCAL:PORT") {
				w.works(t, "add "+instead(tt.args, "--port 9000:8080"))
			}
		})
	}
}

// TestPortSpellings are ways to name a port that people bring along.
func TestPortSpellings(t *testing.T) {
	w := adviser(t)
	for _, args := range []string{
		"sts/store --port 9000:53/UDP", "sts/store --port 9000:dns/UDP", "sts/store --port 9000:53/udp", "sts/store --port 9000/UDP",
		"sts/store --port 9000:http/TCP", "hello --port 9000:5353/UDP", "names --port 9000:53/tcp --port 9000:53/UDP",
	} {
		w.works(t, "add "+args)
	}
}

// TestNameAdvice does the same for names and local ports that are taken.
func TestNameAdvice(t *testing.T) {
	w := adviser(t)
	w.works(t, "add quote --port 9000 --wait=false -n default")
	for _, args := range []string{
		"add hello --port 9000:80",
		"add hello --port 9001:80 --name quote",
	} {
		said := w.refused(t, args)
		_, command, ok := strings.Cut(said, "or run kubectl intercept ")
		if !ok || !strings.HasPrefix(command, "leave quote -n default") {
			t.Errorf("%s: %s", args, said)
		}
		w.works(t, strings.TrimSpace(command)+" --dry-run=client")
	}
}

// adviser is a user whose context names no namespace of the cluster.
func adviser(t *testing.T) *advisee {
	t.Helper()
	w, config := start(t)
	if err := w.apply([]byte(advised)); err != nil {
		t.Fatal(err)
	}
	w.edit(func(s *fakeAPI) { s.manager.plan = []string{"resolve", "attach", "activate"} })
	return &advisee{w, config}
}

type advisee struct {
	*world
	config string
}

func (w *advisee) run(t *testing.T, line string) (int, string) {
	t.Helper()
	var out, errs bytes.Buffer
	args := append(strings.Fields(line), "--kubeconfig", w.config)
	code := execute(t.Context(), genericiooptions.IOStreams{Out: &out, ErrOut: &errs}, args, fakeSessions{w.world})
	return code, errs.String()
}

// refused is the error of a command that has to fail.
func (w *advisee) refused(t *testing.T, line string) string {
	t.Helper()
	code, errs := w.run(t, line)
	_, said, ok := strings.Cut(errs, "error: ")
	if code == 0 || !ok {
		t.Fatalf("kubectl intercept %s ends with %d: %s", line, code, errs)
	}
	return strings.TrimSpace(said)
}

// works runs what was advised.
func (w *advisee) works(t *testing.T, line string) {
	t.Helper()
	if !strings.Contains(line, "--wait") && !strings.Contains(line, "--dry-run") {
		line += " --dry-run=client"
	}
	if code, errs := w.run(t, line); code != 0 {
		t.Errorf("kubectl intercept %s was advised and ends with %d: %s", line, code, errs)
	}
}

var example = regexp.MustCompile(`--port (\d+)`)

// local is the local port that an error speaks of, the first unless it says.
func local(said string) string {
	if m := example.FindStringSubmatch(said); m != nil {
		return m[1]
	}
	return "9000"
}

// instead are the arguments with other flags in the place of those that they replace.
func instead(args, flags string) string {
	var kept []string
	words := strings.Fields(args)
	for n := 0; n < len(words); n++ {
		switch {
		case words[n] == "--service" && strings.Contains(flags, "--service"),
			words[n] == "--port" && strings.Contains(flags, "--port "+strings.FieldsFunc(words[n+1], func(r rune) bool { return r == ':' || r == '/' })[0]):
			n++
		default:
			kept = append(kept, words[n])
		}
	}
	return strings.Join(kept, " ") + " " + flags
}
