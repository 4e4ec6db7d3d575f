package environment

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// variables makes an environment of names and values in turn.
func variables(pairs ...string) (e Environment) {
	for pair := range slices.Chunk(pairs, 2) {
		e = append(e, Variable{Name: pair[0], Value: pair[1]})
	}
	return e
}

func TestOf(t *testing.T) {
	container := variables(
		"PATH", "/usr/bin", "HOME", "/root", "HOSTNAME", "quote-1", "LC_ALL", "C.UTF-8", "LANG", "C",
		"DATABASE_URL", "postgres://db", "http_proxy", "a", "HTTP_PROXY", "b", "Path", "/opt", "windir", "/opt",
		"INTERCEPT_NAME", "the pod's", "TELEPRESENCE_CONTAINER", "the pod's",
	)
	added := Added{ID: "1-2", Name: "quote", Root: "/tmp/quote", Container: "app", Mounts: []string{"/etc/a", "/b"}}
	common := variables(
		"INTERCEPT_ID", "1-2", "INTERCEPT_NAME", "quote", "INTERCEPT_ROOT", "/tmp/quote", "INTERCEPT_CONTAINER", "app",
		"TELEPRESENCE_INTERCEPT_ID", "1-2", "TELEPRESENCE_ROOT", "/tmp/quote", "TELEPRESENCE_MOUNTS", "/etc/a:/b", "TELEPRESENCE_CONTAINER", "app",
	)
	for system, first := range map[string]Environment{
		"linux":   variables("DATABASE_URL", "postgres://db", "http_proxy", "a", "HTTP_PROXY", "b", "Path", "/opt", "windir", "/opt"),
		"windows": variables("DATABASE_URL", "postgres://db", "HTTP_PROXY", "b"),
	} {
		if got, want := of(container, added, system), append(slices.Clone(first), common...); !cmp.Equal(want, got) {
			t.Errorf("%s (-want +got):\n%s", system, cmp.Diff(want, got))
		}
	}
	kept := variables("INTERCEPT_NAME", "the pod's", "TELEPRESENCE_CONTAINER", "the pod's")
	if got := of(container[10:], Added{}, "linux"); !cmp.Equal(kept, got) {
		t.Errorf("without an intercept: %s", cmp.Diff(kept, got))
	}
	if v, _ := Of(nil, Added{Handler: "quote-handler"}).Lookup("TELEPRESENCE_HANDLER_CONTAINER_NAME"); v != "quote-handler" {
		t.Errorf("the handler is %q", v)
	}
}

func TestCommand(t *testing.T) {
	e := variables("A", "pod", "B", "", "b", "x=y")
	for system, c := range map[string]struct{ laptop, want []string }{
		"linux": {
			laptop: []string{"PATH=/bin", "A=laptop", "a=laptop", "odd", "A=twice"},
			want:   []string{"PATH=/bin", "a=laptop", "odd", "A=pod", "B=", "b=x=y"},
		},
		"windows": {
			laptop: []string{"=C:=C:\\Users", "Path=C:\\Windows", "a=laptop", "B=laptop"},
			want:   []string{"=C:=C:\\Users", "Path=C:\\Windows", "A=pod", "b=x=y"},
		},
	} {
		if got := command(c.laptop, e, system); !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, want %q", system, got, c.want)
		}
	}
	if got := Command([]string{"Z=z"}, e[:1]); !slices.Equal(got, []string{"Z=z", "A=pod"}) {
		t.Errorf("%q", got)
	}
}

func TestLocalNamesWhatTheHelpPromises(t *testing.T) {
	here := strings.Join(Local(), " ")
	for _, name := range []string{"HOME", "PATH", "HOSTNAME", "USER", "SHELL", "TERM", "TMPDIR", "PWD", "LANG", "LC_*"} {
		if !strings.Contains(" "+here+" ", " "+name+" ") {
			t.Errorf("%s is not among %s", name, here)
		}
	}
	windows := namesOf("windows")
	for _, name := range []string{"Path", "SystemRoot", "USERPROFILE", "Processor_Level", "ProgramFiles(x86)"} {
		if !windows.has(name) {
			t.Errorf("%s would not stay", name)
		}
		if name != "Path" && namesOf("linux").has(strings.ToUpper(name)) {
			t.Errorf("%s is none of Linux'", name)
		}
	}
}
