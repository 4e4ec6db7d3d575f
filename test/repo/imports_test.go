package repo

import (
	"slices"
	"strings"
	"testing"
)

// allowed says which other packages of the module a folder may import.
// Everything may import within its own folder.
var allowed = map[string][]string{
	"plugin":  {"manager/api", "manager/gateway", "manager/match", "manager/rpc", "manager/tunnel", "manager/version", "netd/stack", "netd/handover", "netd/tun", "netd/route", "chart"},
	"manager": {},
	"agent":   {"manager/rpc", "manager/match", "manager/socket", "manager/tunnel", "manager/version"},
	"netd":    {},
	"chart":   {"manager/version"},
	"krew":    {"manager/version"},
	// netd/stack is measured alone, by test/bench/stack.
	"test": {"manager/api", "manager/rpc", "manager/tunnel", "manager/version", "netd/stack", "netd/stack/tuntest", "plugin/cmd", "plugin/environment", "plugin/kube", "krew/image", "krew/standin"},
}

func TestImportsPointAtContracts(t *testing.T) {
	for _, p := range mustPackages(t) {
		folder, _, _ := strings.Cut(p.name(), "/")
		contracts, known := allowed[folder]
		if !known {
			t.Errorf("%s: the top level has no folder %q", p.name(), folder)
			continue
		}
		for _, imp := range p.Imports {
			rel, ours := strings.CutPrefix(imp, module+"/")
			if !ours || within(rel, folder) {
				continue
			}
			if !slices.ContainsFunc(contracts, func(c string) bool { return within(rel, c) }) {
				t.Errorf("%s imports %s; %s may import %v", p.name(), rel, folder, contracts)
			}
		}
	}
}

// The Helm SDK doubles the size of what links it: one package holds it.
func TestOneImporterOfHelm(t *testing.T) {
	for _, p := range mustPackages(t) {
		if within(p.name(), "plugin/helm") {
			continue
		}
		for _, imp := range p.Imports {
			if strings.HasPrefix(imp, "helm.sh/helm") {
				t.Errorf("%s imports %s; only plugin/helm may", p.name(), imp)
			}
		}
	}
}

// A verb of the command line imports no other verb. What several verbs need is a package
// beside plugin/cmd.
func TestVerbsImportNoVerbs(t *testing.T) {
	verb := func(path string) string {
		rest, below := strings.CutPrefix(path, "plugin/cmd/")
		if !below {
			return ""
		}
		name, _, _ := strings.Cut(rest, "/")
		return name
	}
	verbs := map[string]bool{}
	for _, p := range mustPackages(t) {
		own := verb(p.name())
		if own == "" {
			continue
		}
		verbs[own] = true
		for _, imp := range p.Imports {
			if other := verb(strings.TrimPrefix(imp, module+"/")); other != "" && other != own {
				t.Errorf("%s imports the verb %s", p.name(), other)
			}
		}
	}
	if len(verbs) < 10 {
		t.Errorf("only %d verbs were found", len(verbs))
	}
}

// Commands speak to the session process by its socket, and link none of its parts.
func TestImportersOfTheSessionProcess(t *testing.T) {
	for part, importer := range map[string]string{"plugin/session/daemon": "plugin/cmd", "plugin/session/access": "plugin/session/daemon"} {
		found := false
		for _, p := range mustPackages(t) {
			if !slices.Contains(p.Imports, module+"/"+part) {
				continue
			}
			found = true
			if p.name() != importer {
				t.Errorf("%s imports %s; only %s may", p.name(), part, importer)
			}
		}
		if !found {
			t.Errorf("nothing imports %s", part)
		}
	}
}

// linked is what a binary must never contain, and why.
var linked = map[string]map[string]string{
	"./agent": {
		"k8s.io/client-go":             "the agent must stay small and has no business with the API server",
		"k8s.io/apimachinery":          "the agent must stay small",
		"sigs.k8s.io":                  "the agent must stay small",
		"helm.sh":                      "the agent installs nothing",
		"github.com/spf13/cobra":       "the agent has no command line",
		module + "/manager/api":        "the agent does not know Kubernetes types",
		module + "/manager/relay":      "the agent is no relay",
		module + "/manager/tunnel/mux": "carriers end at the relay",
		module + "/plugin":             "nothing imports plugin",
	},
	"./manager": {
		"helm.sh":            "the manager installs nothing",
		"k8s.io/kubectl":     "the manager is no command line",
		"k8s.io/cli-runtime": "the manager is no command line",
		module + "/plugin":   "nothing imports plugin",
		module + "/agent":    "nothing imports agent",
	},
}

func TestBinariesLinkNoMoreThanTheyNeed(t *testing.T) {
	for binary, banned := range linked {
		deps, err := list("-deps", binary)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range deps {
			for bad, why := range banned {
				if within(d.ImportPath, bad) {
					t.Errorf("%s links %s: %s", binary, d.ImportPath, why)
				}
			}
		}
	}
}

// layers are the packages of the flow protocol, and which of them each may
// import.
var layers = map[string][]string{
	"":            {"buffer", "frame", "record"},
	"/buffer":     {},
	"/datagram":   {""},
	"/dialed":     {"", "datagram", "frame"},
	"/frame":      {},
	"/direct":     {},
	"/handshake":  {"frame", "record"},
	"/line":       {"", "frame", "handshake", "record"},
	"/mux":        {"", "buffer", "frame"},
	"/patience":   {},
	"/record":     {"buffer"},
	"/tunneltest": {"frame"},
	"/warm":       {""},
}

func TestTunnelHasLayers(t *testing.T) {
	const tunnel = "manager/tunnel"
	for _, p := range mustPackages(t) {
		name, ok := strings.CutPrefix(p.name(), tunnel)
		if !ok || name != "" && name[0] != '/' {
			continue
		}
		below, known := layers[name]
		if !known {
			t.Errorf("%s has no layer", p.name())
		}
		for _, imp := range p.Imports {
			if rel, ok := strings.CutPrefix(imp, module+"/"+tunnel); ok && !slices.Contains(below, strings.TrimPrefix(rel, "/")) {
				t.Errorf("%s imports %s", p.name(), imp)
			}
		}
	}
}

// within says that path is dir or below it.
func within(path, dir string) bool { return path == dir || strings.HasPrefix(path, dir+"/") }
