//go:build e2e

package e2e

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"k8s.io/client-go/tools/clientcmd"

	"github.com/kubectl-intercept/kubectl-intercept/test/e2e/lab"
)

// section is a part of README.md.
func section(t *testing.T, title string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(text), "\n## "+title+"\n")
	if !found {
		t.Fatalf("README.md has no section %q", title)
	}
	body, _, _ := strings.Cut(rest, "\n## ")
	return body
}

// step is a line that a README has people type, and what it says is printed. The user is
// that of the prompt, "alice$ "; empty if the prompt has none.
type step struct{ user, command, printed string }

// transcript are the steps of a section: lines with a prompt, and what follows them until
// the next sentence.
func transcript(t *testing.T, title string) []step {
	t.Helper()
	var steps []step
	prints := false // the last step may
	prompt := regexp.MustCompile(`^([a-z]*)\$ (.*\n)`)
	for line := range strings.Lines(section(t, title)) {
		line, indented := strings.CutPrefix(line, "    ")
		typed := prompt.FindStringSubmatch(line)
		switch {
		case indented && typed != nil:
			steps = append(steps, step{user: typed[1], command: uncomment(typed[2])})
			prints = true
		case indented && prints:
			steps[len(steps)-1].printed += line
		case strings.TrimSpace(line) != "":
			prints = false
		}
	}
	if len(steps) == 0 {
		t.Fatalf("the section %q of README.md has no lines to type", title)
	}
	return steps
}

// block are the commands of the first block of lines in a section that has a text.
func block(t *testing.T, title, text string) []string {
	t.Helper()
	for part := range strings.SplitSeq(section(t, title), "\n\n") {
		if !strings.HasPrefix(strings.TrimLeft(part, "\n"), "    ") || !strings.Contains(part, text) {
			continue
		}
		var commands []string
		for line := range strings.Lines(strings.Trim(part, "\n")) {
			commands = append(commands, uncomment(line))
		}
		return commands
	}
	t.Fatalf("the section %q of README.md has no block with %q", title, text)
	return nil
}

func uncomment(line string) string {
	command, _, _ := strings.Cut(line, " #")
	return strings.TrimSpace(command)
}

// here is a user whose context names the test's namespace, as README's do.
func here(l *lab.Lab, user string) *lab.Laptop {
	l.Helper()
	p := l.Laptop(user)
	config, err := clientcmd.LoadFromFile(p.Kubeconfig)
	l.Must(err)
	config.Contexts[config.CurrentContext].Namespace = l.Namespace
	p.Kubeconfig = filepath.Join(p.Home, "config")
	l.Must(clientcmd.WriteToFile(*config, p.Kubeconfig))
	return p
}

// image is that of the README's application, and how it is started.
var image = regexp.MustCompile(`--image=\S*/agnhost:\S+ -- /agnhost netexec --http-port=8080`)

// follow types a step on a laptop, with an image that the cluster has, and compares what
// is printed.
func follow(l *lab.Lab, p *lab.Laptop, s step) {
	l.Helper()
	pod := regexp.MustCompile(`hello-[a-z0-9]+-[a-z0-9]{5}`)
	same := func(text string) string {
		text = strings.ReplaceAll(text, "hello."+l.Namespace+":", "hello.default:")
		return pod.ReplaceAllString(strings.TrimSpace(text), "POD")
	}
	line := image.ReplaceAllString(s.command, "--image=kubectl-intercept.dev/test/quote:dev")
	o := p.Sh(line)
	if o.Failed {
		l.Fatalf("%s fails: %s%s", line, o.Out, o.Err)
	}
	if s.printed != "" && same(o.Out) != same(s.printed) {
		l.Errorf("$ %s\nprints\n%swhere the README has\n%s", line, o.Out, s.printed)
	}
}

// files serves the files of a laptop's home at its port 8080.
func files(l *lab.Lab, p *lab.Laptop) {
	l.Helper()
	ln, err := p.Space.Listen("127.0.0.1:8080")
	l.Must(err)
	server := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.FileServer(http.Dir(p.Home))}
	go server.Serve(ln)
	l.Cleanup(func() { server.Close() })
}

// TestReadme types what the README has a newcomer type, and compares what is printed.
// Two things are others: the image, as the cluster reaches no registry, and the
// program on the laptop, as there may be no Python.
func TestReadme(t *testing.T) {
	l := lab.New(t, clusters)
	alice := here(l, "alice")
	replaced := 0
	for _, s := range transcript(t, "Try it") {
		line := s.command
		if strings.HasPrefix(line, "python3 -m http.server 8080") {
			files(l, alice)
			replaced++
			continue
		}
		if image.MatchString(line) {
			replaced++
		}
		follow(l, alice, s)
	}
	if replaced != 2 {
		t.Errorf("%d things were replaced, want 2", replaced)
	}
}

// TestReadmeTeam types what the README has two developers type in their terminals.
func TestReadmeTeam(t *testing.T) {
	l := lab.New(t, clusters)
	laptops := map[string]*lab.Laptop{"alice": here(l, "alice"), "bob": here(l, "bob")}
	for _, s := range transcript(t, "Try it")[:3] { // they make the application
		follow(l, laptops["alice"], s)
	}
	for user, p := range laptops {
		l.Must(os.WriteFile(filepath.Join(p.Home, "hostname"), []byte(user+"'s laptop\n"), 0o600))
		files(l, p)
	}
	for _, s := range transcript(t, "A team on one Service") {
		p := laptops[s.user]
		if p == nil {
			t.Fatalf("nobody is called %q", s.user)
		}
		follow(l, p, s)
	}
}

// TestReadmeMirror types the commands that mirror. What callers send then is copied.
func TestReadmeMirror(t *testing.T) {
	l := lab.New(t, clusters)
	l.Apply("quote.yaml")
	l.Apply("quote.yaml", "name: quote", "name: db", "app: quote", "app: db", "port: 80,", "port: 5432,")
	quote, db := l.Serving("quote", "http"), l.Serving("db", "http")
	alice := here(l, "alice")
	program, store := overhearAt(l, alice, 8080), overhearAt(l, alice, 5432)
	commands := block(t, "A team on one Service", "--mode mirror")
	if len(commands) != 3 {
		t.Fatalf("%q", commands)
	}
	copied := func(addr, user string, to *overheard) {
		t.Helper()
		l.Until("a copy of a request of "+user, func() error {
			l.Must(over1(l, l.Nodes[1], addr, 1, []person{nobody, {lab.Application, "", header("X-User", user)}}))
			if to.count(user) == 0 {
				return errors.New("none has come")
			}
			return nil
		})
	}
	alice.Shell(commands[0])
	copied(quote, "alice", program)
	if n := program.count("alice2"); n != 0 { // nobody's
		t.Errorf("%d copies of requests that do not match", n)
	}
	alice.Shell(commands[1])
	copied(quote, "alice2", program)
	alice.Shell(commands[2])
	copied(db, "bob", store)
}

// TestReadmePreview types the commands that make previews, beside an ingress that leads to
// the README's application. Visitors come to the laptop, and others to the application.
func TestReadmePreview(t *testing.T) {
	l := lab.New(t, clusters)
	upgrade(l, "--set", "preview.enabled=true,preview.domain="+previewDomain+",preview.ingress.className=none")
	alice := here(l, "alice")
	for _, s := range transcript(t, "Try it")[:3] { // they make the application
		follow(l, alice, s)
	}
	hello := l.Service("hello", "80")
	app := http.NewServeMux()
	inside := serveFront(l, app)
	dial := func(addr string) *http.Transport { return transportTo(inside, addr) }
	app.Handle("/", to(dial(hello)))
	endTLS(l, inside, dial)
	l.Must(os.WriteFile(filepath.Join(alice.Home, "hostname"), []byte("alice's laptop\n"), 0o600))
	files(l, alice)
	shows := func(c *http.Client, at *url.URL) {
		t.Helper()
		l.Until(at.String()+" shows the laptop's page", func() error {
			if _, body, err := ask(c, at, "/hostname", nil); err != nil || body != "alice's laptop\n" {
				return fmt.Errorf("%q, %v", body, err)
			}
			return nil
		})
	}

	const team = "A team on one Service"
	commands := block(t, team, "kubectl intercept preview hello")
	if len(commands) != 2 {
		t.Fatalf("%q", commands)
	}
	follow(l, alice, transcript(t, team)[0]) // the intercept
	at, _ := showsPreview(l, func(ctx context.Context) *exec.Cmd { return alice.ShCommand(ctx, "exec "+commands[0]) })
	shows(&http.Client{Transport: &http.Transport{DialContext: alice.Dial, DisableKeepAlives: true}}, at)

	alice.Shell(commands[1])
	at = &url.URL{Scheme: "https", Host: previewHost(l, "hello")}
	transport := transportTo(l.Nodes[0], l.Service("ingress", "https"))
	transport.TLSClientConfig, transport.DisableKeepAlives = &tls.Config{ServerName: at.Host, InsecureSkipVerify: true}, true
	shows(&http.Client{Transport: transport}, at)
	if _, body, err := ask(&http.Client{Transport: transportTo(l.Nodes[0], hello)}, &url.URL{Scheme: "http", Host: hello}, "/hostname", nil); err != nil || body == "alice's laptop\n" {
		t.Errorf("others see %q, %v", body, err)
	}
}

// TestReadmeEveryDay types the commands of every day, and those that give a machine
// the cluster's network.
func TestReadmeEveryDay(t *testing.T) {
	l := lab.New(t, clusters)
	l.Apply("quote.yaml")
	quote := l.Serving("quote", "http")
	alice := here(l, "alice")
	alice.ServeAt("alice", 8080)
	var add string
	for _, line := range block(t, "Every day", "kubectl intercept list") {
		alice.Shell(line)
		if strings.HasPrefix(line, "kubectl intercept add ") {
			add = line
			l.Answers(quote, "alice")
		}
	}
	l.Answers(quote, lab.Application)
	alice.Shell(add)
	l.Answers(quote, "alice")
	for _, line := range block(t, "Every day", "kubectl get intercepts") {
		alice.Shell(line)
	}
	l.Answers(quote, lab.Application)

	said := ""
	for _, line := range block(t, "Programs that reach the cluster", "kubectl intercept connect -n shop") {
		if line = strings.ReplaceAll(line, "shop", l.Namespace); strings.HasPrefix(line, "curl ") {
			l.Until("the name is known", func() error {
				o := alice.Quiet(line)
				if said = o.Out; o.Failed {
					return errors.New(o.Err)
				}
				return nil
			})
			continue
		}
		alice.Shell(line)
	}
	if !strings.HasPrefix(said, "answered by "+lab.Application) {
		t.Errorf("curl says %q", said)
	}
}
