package preview

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/pflag"

	"github.com/kubectl-intercept/kubectl-intercept/manager/gateway"
)

var update = flag.Bool("update", false, "rewrite the goldens")

func known() []Candidate {
	return []Candidate{
		{gateway.Ingress{Host: "ingress-nginx-controller.ingress-nginx", Port: 443, TLS: true, L5Host: "shop.example.com"}, "ingress-nginx", "ingress-nginx-controller", "ingress shop/web"},
		{gateway.Ingress{Host: "edge.edge", Port: 8000, L5Host: "blog.example.com"}, "edge", "edge", "ingress blog/web"},
	}
}

// keyboard types a line for each Read, and the screen shows it, as on a terminal.
type keyboard struct {
	lines  []string
	screen io.Writer
}

func (k *keyboard) Read(p []byte) (int, error) {
	if len(k.lines) == 0 || k.lines[0] == "" {
		return 0, io.EOF
	}
	line := k.lines[0]
	k.lines = k.lines[1:]
	io.WriteString(k.screen, line)
	return copy(p, line), nil
}

// TestQuestions has for each script what is typed, and in testdata what the terminal shows
// and what comes of it.
func TestQuestions(t *testing.T) {
	for name, c := range map[string]struct {
		typed      string
		answers    map[string]string
		candidates []Candidate
	}{
		"defaults":         {"\n\n\n\n", nil, known()},
		"nothing-detected": {"\nfront.edge\n\n\n\nshop.example.com\n", nil, nil},
		"another-ingress":  {"edge.edge.svc.cluster.local\n\n\n\n", nil, known()},
		"another-port":     {"\n80\n\n\n", nil, known()},
		"wrong-answers":    {"http://edge\nedge.edge\n70000\n80\nmaybe\nno\nshop example\nshop.example.com:8080\n", nil, known()},
		"some-by-flag":     {"\n\n", map[string]string{FlagHost: "edge.edge", FlagTLS: "true"}, known()},
		"end-of-input":     {"\n", nil, known()},
	} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			e, err := Choose(c.answers, c.candidates, &Terminal{In: &keyboard{lines: strings.SplitAfter(c.typed, "\n"), screen: &out}, Out: &out})
			fmt.Fprintf(&out, "---\n%+v\nerror: %v\n", e, err)
			file := filepath.Join("testdata", name+".golden")
			if *update {
				if err := os.WriteFile(file, out.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if out.String() != string(want) {
				t.Errorf("%s\nwant\n%s", out.String(), want)
			}
		})
	}
}

// Without a terminal the defaults count, or flags are named.
func TestWithoutTerminal(t *testing.T) {
	for name, c := range map[string]struct {
		answers    map[string]string
		candidates []Candidate
		want       gateway.Ingress
		err        string
	}{
		"detected": {nil, known(), known()[0].Ingress, ""},
		"all by flag": {map[string]string{FlagHost: "front", FlagPort: "8080", FlagTLS: "false", FlagL5Host: "a.b"}, nil,
			gateway.Ingress{Host: "front", Port: 8080, L5Host: "a.b"}, ""},
		"usual port": {map[string]string{FlagHost: "front.edge", FlagL5Host: "a.b"}, nil,
			gateway.Ingress{Host: "front.edge", Port: 443, TLS: true, L5Host: "a.b"}, ""},
		"nothing": {nil, nil, gateway.Ingress{}, "say it with --preview-host and --preview-l5host"},
		"a part":  {map[string]string{FlagHost: "front.edge"}, nil, gateway.Ingress{}, "say it with --preview-l5host"},
		"wrong":   {map[string]string{FlagL5Host: "a b"}, known(), gateway.Ingress{}, `--preview-l5host: "a b" is not a host name`},
	} {
		e, err := Choose(c.answers, c.candidates, nil)
		if c.err != "" {
			if err == nil || !strings.Contains(err.Error(), c.err) {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		if err != nil || e != c.want {
			t.Errorf("%s: %+v, %v", name, e, err)
		}
	}
	if _, err := Choose(nil, nil, &Terminal{In: strings.NewReader(""), Out: &bytes.Buffer{}}); !errors.Is(err, errNoAnswer) {
		t.Error(err)
	}
}

func TestFlags(t *testing.T) {
	fs := pflag.NewFlagSet("", pflag.ContinueOnError)
	AddFlags(fs)
	if err := fs.Parse([]string{"--preview-port", "80", "--preview-tls=false"}); err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(Given(fs)); got != "map[preview-port:80 preview-tls:false]" {
		t.Error(got)
	}
}
