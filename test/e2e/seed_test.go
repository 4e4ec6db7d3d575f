//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/kubectl-intercept/kubectl-intercept/test/e2e/lab"
)

// colored runs the service with a color on a laptop, until the function that it returns is
// called.
func colored(p *lab.Laptop, l *lab.Lab, color string) (stop func()) {
	l.Helper()
	ctx, cancel := context.WithCancel(l.Context())
	cmd := p.Command(ctx, "quote", "-listen", "127.0.0.1:3000", "-color", color)
	l.Must(cmd.Start())
	stop = func() {
		cancel()
		_ = cmd.Wait() // it is killed
	}
	l.Cleanup(stop)
	hasColor(l, p, "localhost:3000/color", color)
	return stop
}

// hasColor waits until curl gets a color on a laptop.
func hasColor(l *lab.Lab, p *lab.Laptop, args, color string) {
	l.Helper()
	l.Until("curl "+args+" prints "+color, func() error {
		if o := p.Quiet("curl -sS --max-time 10 " + args); o.Out != color+"\n" {
			return fmt.Errorf("%s%s", o.Out, o.Err)
		}
		return nil
	})
}

// TestDataProcessingService follows a guide that many know from another tool, word by
// word: first one developer takes all requests, then a team shares the service by a header.
func TestDataProcessingService(t *testing.T) {
	l := lab.New(t, clusters)
	louise := l.Laptop("louise")
	l.Apply("color.yaml")
	service := "dataprocessingservice." + l.Namespace + ":3000/color"

	// Single developer.
	stop := colored(louise, l, "green")
	louise.Intercept("connect", "--preview-url=false")
	list := louise.Intercept("list").Out
	for _, name := range []string{"dataprocessingservice", "verylargedatastore", "verylargejavaservice"} {
		if !strings.Contains(list, "\ndeployment/"+name) || !strings.Contains(list, "ready to intercept") {
			t.Errorf("list says\n%s", list)
		}
	}
	hasColor(l, louise, service, "green")
	o := louise.Intercept("dataprocessingservice", "-p", "3000")
	for _, want := range []string{
		"Intercept name         : dataprocessingservice\n",
		"State                  : ACTIVE\n",
		"Workload kind          : Deployment\n",
		"Intercepting           : all TCP connections\n",
	} {
		if !strings.Contains(o.Out, want) {
			t.Errorf("add does not say %q:\n%s", want, o.Out)
		}
	}
	if list := louise.Intercept("list").Out; !strings.Contains(list, "\ndeployment/dataprocessingservice   intercepted\n") {
		t.Errorf("list says\n%s", list)
	}
	hasColor(l, louise, service, "green")
	stop()
	stop = colored(louise, l, "blue")
	hasColor(l, louise, service, "blue")

	// A team. The guide takes everything away first.
	louise.Intercept("leave", "dataprocessingservice")
	louise.Intercept("quit")
	l.Must(l.Plugin(t.Context(), "uninstall", "--everything"))
	l.Must(l.Install(t.Context()))
	louise.Intercept("connect")
	o = louise.Intercept("dataprocessingservice", "-p", "3000", "--http-match=blog-demo-id=louise")
	if want := "    Intercepting           : HTTP requests that match all of:\n      header(\"blog-demo-id\") ~= regexp(\"louise\")\n"; !strings.Contains(o.Out, want) {
		t.Errorf("add does not say %q:\n%s", want, o.Out)
	}
	hasColor(l, louise, service, "green")
	hasColor(l, louise, `-H "blog-demo-id: louise" `+service, "blue")
	hasColor(l, louise, `-H "blog-demo-id: thelma" `+service, "green")

	// What the guide promises: any other developer, with no interruption.
	thelma := l.Laptop("thelma")
	colored(thelma, l, "red")
	thelma.Intercept("dataprocessingservice", "-p", "3000", "--http-match=blog-demo-id=thelma")
	hasColor(l, louise, `-H "blog-demo-id: thelma" `+service, "red")
	hasColor(l, louise, `-H "blog-demo-id: louise" `+service, "blue")
	hasColor(l, louise, service, "green")
	stop()
	louise.Intercept("leave", "dataprocessingservice")
	hasColor(l, louise, `-H "blog-demo-id: louise" `+service, "green")
	hasColor(l, louise, `-H "blog-demo-id: thelma" `+service, "red")
}
