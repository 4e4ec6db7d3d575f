//go:build e2e

package e2e

import (
	"cmp"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/kubectl-intercept/kubectl-intercept/krew/standin"
	"github.com/kubectl-intercept/kubectl-intercept/manager/version"
	"github.com/kubectl-intercept/kubectl-intercept/test/e2e/lab"
)

// newer is the version that TestKrew upgrades to.
const newer = "99.0.0"

// TestKrew plays a release from its archives to a developer who upgrades: krew accepts the
// manifest and installs the archive of every platform; kubectl finds the plugin through krew's
// link, and the plugin its own intercept-netd; a session goes on while krew replaces the
// plugin, and the next command takes over what it has. In the end the cluster is upgraded
// with the images and the chart of the release.
func TestKrew(t *testing.T) {
	l := lab.New(t, clusters)
	first, second := pack(l, version.Version, l.Bin("")), pack(l, newer, linked(l))
	accepted(l, first)

	l.Apply("quote.yaml")
	quote := l.Serving("quote", "http")
	alice := l.Laptop("alice")
	k := newKrew(l, alice)
	k.offer(first)
	k.krew("install", "intercept")
	at := func(version string) string { return filepath.Join(k.root, "store", "intercept", "v"+version) }
	link, err := os.Readlink(filepath.Join(k.root, "bin", "kubectl-intercept"))
	l.Must(err)
	if want := filepath.Join(at(version.Version), "kubectl-intercept"); link != want {
		t.Errorf("krew links to %s, want %s", link, want)
	}
	k.says("kubectl intercept version", "Client Version: "+version.Version, "Manager Version: "+version.Version)
	k.says("kubectl intercept netd status", "connect starts "+filepath.Join(at(version.Version), "intercept-netd")+" with sudo")
	k.says("kubectl intercept connect -n " + l.Namespace)
	k.says("kubectl intercept add quote -n " + l.Namespace + " --port " + alice.Serve("alice").To(""))
	l.Eventually(quote, "alice")
	before := alice.Sessions()

	k.offer(second)
	k.krew("upgrade", "intercept")
	if _, err := os.Stat(at(version.Version)); !os.IsNotExist(err) {
		t.Errorf("krew keeps the older version: %v", err)
	}
	l.Answers(quote, "alice")
	k.reaches("quote", "alice")
	if now := alice.Sessions(); !slices.Equal(before, now) || len(now) != 1 {
		t.Errorf("the upgrade of the plugin made sessions %v of %v", now, before)
	}
	k.says("kubectl intercept version", "Client Version: "+newer, "Manager Version: "+version.Version)
	k.says("kubectl intercept status -n "+l.Namespace, fmt.Sprintf("version %s; the next kubectl intercept add, run or connect replaces it with version %s", version.Version, newer))
	k.says("kubectl intercept netd status", "connect starts "+filepath.Join(at(newer), "intercept-netd")+" with sudo", "Running: version "+version.Version+", for you")

	o := k.says("kubectl intercept connect -n " + l.Namespace)
	if !strings.Contains(o.Err, "replacing session of version "+version.Version) {
		t.Errorf("connect says %q", o.Err)
	}
	l.Eventually(quote, "alice")
	k.reaches("quote", "alice")
	k.says("kubectl intercept status -n "+l.Namespace, ", version "+newer+"\n")

	k.says("kubectl intercept quit")
	l.Eventually(quote, lab.Application)
	restored(l)
	upgradeTo(l, second)
	k.says("kubectl intercept version", "Manager Version: "+newer)
}

// linked links the product's programs anew as those of a newer release. What they consist of
// is compiled already.
func linked(l *lab.Lab) string {
	l.Helper()
	folder := l.TempDir()
	const module = "github.com/kubectl-intercept/kubectl-intercept"
	for name, pkg := range map[string]string{"kubectl-intercept": "plugin", "intercept-netd": "netd", "traffic-manager": "manager", "traffic-agent": "agent"} {
		set := fmt.Sprintf("-s -w -X main.version=%s -X %s/manager/version.Version=%s", newer, module, newer)
		cmd := exec.CommandContext(l.Context(), "go", "build", "-C", "../..", "-trimpath", "-tags=grpcnotrace", "-ldflags="+set, "-o", filepath.Join(folder, name), "./"+pkg)
		cmd.Env = append(cmd.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			l.Fatalf("build %s: %v\n%s", name, err, out)
		}
	}
	return folder
}

// release is what make release would have made.
type release struct{ version, folder string }

// pack packs the programs of a folder as a release, with stand-ins for other platforms: krew
// unpacks and links those as well, and nobody runs them here.
func pack(l *lab.Lab, version, programs string) *release {
	l.Helper()
	programs, err := filepath.Abs(programs)
	l.Must(err)
	binaries, names := l.TempDir(), []string{"kubectl-intercept", "intercept-netd", "traffic-manager", "traffic-agent"}
	for _, system := range []string{"darwin", "linux", "windows"} {
		exe := ""
		if system == "windows" {
			exe = ".exe"
		}
		for _, arch := range []string{"amd64", "arm64"} {
			folder := filepath.Join(binaries, system+"_"+arch)
			l.Must(os.Mkdir(folder, 0o755))
			for _, name := range names { // more than are wanted there
				if system == runtime.GOOS && arch == runtime.GOARCH {
					l.Must(os.Symlink(filepath.Join(programs, name), filepath.Join(folder, name)))
				} else {
					l.Must(os.WriteFile(filepath.Join(folder, name+exe), standin.Program(system, arch), 0o600))
				}
			}
		}
	}
	r := &release{version, l.TempDir()}
	out, err := exec.CommandContext(l.Context(), "go", "run", "../../krew/release", "-version", "v"+version, "-source", "../..", "-binaries", binaries, "-o", r.folder).CombinedOutput()
	if err != nil {
		l.Fatalf("pack release %s: %v\n%s", version, err, out)
	}
	l.Logf("release %s:\n%s", version, out)
	return r
}

// served is the manifest with the address of a server on this machine, where the archives are.
func (r *release) served(l *lab.Lab) []byte {
	l.Helper()
	text, err := os.ReadFile(filepath.Join(r.folder, "intercept.yaml"))
	l.Must(err)
	server := httptest.NewServer(http.FileServer(http.Dir(r.folder)))
	l.Cleanup(server.Close)
	released := "https://github.com/kubectl-intercept/kubectl-intercept/releases/download/v" + r.version
	if n := strings.Count(string(text), "uri: "+released+"/"); n != 6 {
		l.Fatalf("the manifest names %d archives:\n%s", n, text)
	}
	return []byte(strings.ReplaceAll(string(text), released, server.URL))
}

// accepted has krew's own check read the manifest, download and install the archives of all
// platforms, and look for the license; and that of CycloneDX the bill of materials.
func accepted(l *lab.Lab, r *release) {
	l.Helper()
	manifest := filepath.Join(l.TempDir(), "intercept.yaml")
	l.Must(os.WriteFile(manifest, r.served(l), 0o600))
	cmd := exec.CommandContext(l.Context(), l.Bin("krew/validate-krew-manifest"), "-manifest", manifest)
	cmd.Env = append(cmd.Environ(), "PATH="+l.Bin("krew")+":"+l.Bin("")+":"+os.Getenv("PATH"))
	if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "all 6 spec.platforms installed fine") {
		l.Fatalf("krew's check of the manifest: %v\n%s", err, out)
	}
	schemas, err := exec.CommandContext(l.Context(), "go", "list", "-C", "../krew", "-m", "-f", "{{.Dir}}/schema", "github.com/CycloneDX/cyclonedx-go").Output()
	l.Must(err)
	out, err := exec.CommandContext(l.Context(), l.Bin("krew/validate-sbom"), filepath.Join(r.folder, "sbom.cdx.json"), strings.TrimSpace(string(schemas))).CombinedOutput()
	if err != nil {
		l.Fatalf("the bill of materials: %v\n%s", err, out)
	}
	l.Logf("the bill of materials has %s", out)
}

// krew is krew on a laptop, with an index that has one plugin.
type krew struct {
	l      *lab.Lab
	laptop *lab.Laptop
	root   string
	path   string // PATH has kubectl and what krew installs, nothing of bin/
}

func newKrew(l *lab.Lab, p *lab.Laptop) *krew {
	l.Helper()
	k := &krew{l: l, laptop: p, root: filepath.Join(p.Home, ".krew")}
	tools := l.TempDir()
	l.Must(os.Symlink(l.Bin("cluster"), filepath.Join(tools, "kubectl")))
	k.path = strings.Join([]string{filepath.Join(k.root, "bin"), tools, "/usr/sbin", "/usr/bin", "/sbin", "/bin"}, ":")
	return k
}

// offer puts a release into the index.
func (k *krew) offer(r *release) {
	k.l.Helper()
	folder := filepath.Join(k.root, "index", "default", "plugins")
	k.l.Must(os.MkdirAll(folder, 0o755))
	k.l.Must(os.WriteFile(filepath.Join(folder, "intercept.yaml"), r.served(k.l), 0o644))
}

// krew runs krew where the archives are served, which the laptop does not reach.
func (k *krew) krew(verb string, args ...string) {
	k.l.Helper()
	cmd := exec.CommandContext(k.l.Context(), k.l.Bin("krew/kubectl-krew"), append([]string{verb, "--no-update-index"}, args...)...)
	cmd.Env = append(cmd.Environ(), "KREW_ROOT="+k.root, "KREW_NO_UPGRADE_CHECK=1", "HOME="+k.laptop.Home)
	out, err := cmd.CombinedOutput()
	if err != nil {
		k.l.Fatalf("krew %s: %v\n%s", verb, err, out)
	}
	k.l.Logf("krew %s:\n%s", verb, out)
}

// says runs a line on the laptop, whose output has to have every one of the texts.
func (k *krew) says(line string, texts ...string) lab.Output {
	k.l.Helper()
	o := k.laptop.Sh("export PATH=" + k.path + "; " + line)
	if o.Failed {
		k.l.Fatalf("%s failed", line)
	}
	for _, text := range texts {
		if !strings.Contains(o.Out, text) {
			k.l.Errorf("%s does not say %q", line, text)
		}
	}
	return o
}

// reaches has a program on the laptop call a Service by its name.
func (k *krew) reaches(service, name string) {
	k.l.Helper()
	k.l.Until("the laptop reaches the Service", func() error {
		o := k.laptop.Quiet("curl -sS --max-time 10 http://" + service)
		if o.Failed || !strings.HasPrefix(o.Out, "answered by "+name) {
			return fmt.Errorf("%s", cmp.Or(o.Err, o.Out))
		}
		return nil
	})
}

// upgradeTo upgrades the cluster with the plugin of a release, from its images.
func upgradeTo(l *lab.Lab, r *release) {
	l.Helper()
	for _, image := range []string{"traffic-manager", "traffic-agent"} {
		_, err := l.Tool(l.Context(), "load", "--name", l.Cluster.Name, filepath.Join(r.folder, image+".oci.tar"))
		l.Must(err)
	}
	folder := l.TempDir()
	l.Must(exec.CommandContext(l.Context(), "tar", "-xf", filepath.Join(r.folder, "kubectl-intercept_"+runtime.GOOS+"_"+runtime.GOARCH+".tar.gz"), "-C", folder).Run())
	_, err := l.Tool(l.Context(), "laptop", "--name", l.Cluster.Name, "admin", "--", filepath.Join(folder, "kubectl-intercept"), "upgrade", "--reset-values", "--wait", "--set", "clientRbac.allowEverybody=true")
	l.Must(err)
}
