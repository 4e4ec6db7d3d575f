//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/kubectl-intercept/kubectl-intercept/test/e2e/lab"
	"github.com/kubectl-intercept/kubectl-intercept/test/license/signing"
)

// secretArrives is how long the kubelet may take to bring a changed Secret
// into a pod, with the manager's look. Most clusters need a minute for it.
const secretArrives = 150 * time.Second

// TestLicense puts licenses of all kinds into a cluster with three replicas
// and sees what users, check, the metric and Events say.
func TestLicense(t *testing.T) {
	t.Parallel() // a cluster of its own
	p := newPrivate(t, "e2e-license")
	p.intercept("install", "--set", "replicas=3", "--set", "clientRbac.allowEverybody=true", "--wait")
	id := strings.TrimSpace(p.intercept("license", "id"))
	if uid := p.kubectl("get", "namespace", "kube-system", "-o", "jsonpath={.metadata.uid}"); id != uid {
		t.Fatalf("license id prints %q, the namespace has %q", id, uid)
	}
	acme, rsa := newSigner(t, signing.Ed25519), newSigner(t, signing.RSA)
	now := time.Now()
	month := signing.License{Cluster: id, Subject: "acme", Expires: now.AddDate(0, 1, 0), IssuedAt: now}

	// shows waits until the traffic-manager says so of its license.
	shows := func(limit time.Duration, state, message string) {
		p.Helper()
		p.until(limit, "license "+state, func() error {
			out, errs, failed := p.run("alice", "kubectl-intercept", "license", "show", "-o", "json")
			if failed {
				return fmt.Errorf("license show: %s", errs)
			}
			var r struct{ State, Message, Subject string }
			if err := json.Unmarshal([]byte(out), &r); err != nil {
				return err
			}
			if r.State != state || !strings.Contains(r.Message, message) {
				return fmt.Errorf("%s", out)
			}
			return nil
		})
	}
	check := func(status, text string) {
		p.Helper()
		if err := p.check("admin").wants("the license is valid", status, text); err != nil {
			t.Error(err)
		}
	}

	shows(repaired, "absent", "")
	check("ok", "none is needed")
	// Somebody who may not get the namespace is told by the traffic-manager.
	if out, errs, _ := p.run("alice", "kubectl-intercept", "license", "id"); strings.TrimSpace(out) != id {
		t.Errorf("alice's license id prints %q %q", out, errs)
	}

	p.intercept(acme.upgrade(t, month, "--set", "license.required=true")...)
	shows(repaired, "valid", "")
	check("ok", "(acme)")
	if out, _, _ := p.run("alice", "kubectl-intercept", "status"); !strings.Contains(out, "License: valid until "+month.Expires.UTC().Format("2006-01-02")) {
		t.Errorf("status prints %s", out)
	}
	p.metric(3, `traffic_manager_license_state{state="valid"} 1`, fmt.Sprintf("traffic_manager_license_expiry_timestamp_seconds %v", float64(month.Expires.Unix())))
	out := p.intercept("license", "show")
	t.Logf("license show\n%s", out)
	p.leaderDies()
	shows(repaired, "valid", "")

	p.intercept("upgrade", "--set", "replicas=1", "--wait") // what follows is the same for any number

	// The Secret changes; no pod is replaced.
	p.kubectl("rollout", "status", "deployment/traffic-manager", "-n", lab.ManagerNamespace, "--timeout=60s")
	before := p.pods()
	soon := month
	soon.Expires = now.Add(3*24*time.Hour + time.Hour)
	p.secret(acme.sign(t, soon))
	p.until(secretArrives, "check warns", func() error {
		return p.check("admin").wants("the license is valid", "warning", "another 3 days")
	})
	p.event("LicenseExpiresSoon", "in 3 days")
	if after := p.pods(); after != before {
		t.Errorf("pods were %s, are %s", before, after)
	}

	over := month
	over.Expires = now.Add(-time.Hour)
	p.secret(acme.sign(t, over))
	p.restart()
	shows(secretArrives, "expired", "the license expired on")
	check("failed", "expired on")
	p.event("LicenseExpired", "the license of acme expired on")
	p.metric(1, `traffic_manager_license_state{state="expired"} 1`)

	elsewhere := month
	elsewhere.Cluster = "somewhere-else"
	for _, test := range []struct {
		args           []string
		state, message string
	}{
		{acme.upgrade(t, elsewhere), "other cluster", "for cluster somewhere-else, this is " + id},
		{rsa.upgrade(t, month), "valid", ""},
		{[]string{"upgrade", "--set-file", "license.publicKey=" + acme.file + ".pub", "--wait"}, "invalid", "the signature is not one that license.publicKey, for EdDSA"},
		{[]string{"upgrade", "--set", "license.key=hello", "--wait"}, "invalid", "it is not a signed JWT"},
		{[]string{"upgrade", "--set", "license.key=", "--wait"}, "absent", ""},
	} {
		p.intercept(test.args...)
		p.restart()
		shows(secretArrives, test.state, test.message)
		status := "failed"
		if test.state == "valid" {
			status = "ok"
		}
		check(status, "")
	}
	p.intercept("upgrade", "--set", "license.required=false", "--wait")
	p.until(repaired, "check is content", func() error { return p.check("admin").wants("the license is valid", "ok", "none is needed") })
}

// signer is a key in a file, as test/license writes it.
type signer struct {
	*signing.Key
	file string
}

func newSigner(t *testing.T, algorithm string) signer {
	t.Helper()
	key, err := signing.NewKey(algorithm)
	if err != nil {
		t.Fatal(err)
	}
	public, err := key.Public()
	if err != nil {
		t.Fatal(err)
	}
	s := signer{key, filepath.Join(t.TempDir(), "key")}
	if err := os.WriteFile(s.file+".pub", public, 0o600); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s signer) sign(t *testing.T, l signing.License) string {
	t.Helper()
	token, err := s.Sign(l)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// upgrade is the command that installs a license.
func (s signer) upgrade(t *testing.T, l signing.License, more ...string) []string {
	t.Helper()
	if err := os.WriteFile(s.file+".jwt", []byte(s.sign(t, l)+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return append([]string{"upgrade", "--set-file", "license.key=" + s.file + ".jwt", "--set-file", "license.publicKey=" + s.file + ".pub", "--wait"}, more...)
}

// secret changes the license behind the chart's back.
func (p *private) secret(token string) {
	p.Helper()
	text, err := json.Marshal(map[string]any{"stringData": map[string]string{"license": token}})
	if err != nil {
		p.Fatal(err)
	}
	volume := p.kubectl("get", "deployment", "traffic-manager", "-n", lab.ManagerNamespace,
		"-o", "jsonpath={.spec.template.spec.volumes[?(@.name==\"license\")].secret.secretName}")
	p.kubectl("patch", "secret", strings.TrimSpace(volume), "-n", lab.ManagerNamespace, "--type=merge", "-p", string(text))
}

// restart replaces the pods: new ones have what is in the Secret now.
func (p *private) restart() {
	p.Helper()
	p.kubectl("rollout", "restart", "deployment/traffic-manager", "-n", lab.ManagerNamespace)
	p.kubectl("rollout", "status", "deployment/traffic-manager", "-n", lab.ManagerNamespace, "--timeout=60s")
}

// pods are the names of the traffic-manager's, without those that end.
func (p *private) pods() string {
	p.Helper()
	return p.kubectl("get", "pods", "-n", lab.ManagerNamespace, "-l", "app.kubernetes.io/name=traffic-manager", "--sort-by=.metadata.name",
		"-o", `go-template={{range .items}}{{if not .metadata.deletionTimestamp}}{{.metadata.name}} {{end}}{{end}}`)
}

// leaderDies deletes the pod that leads and waits for another.
func (p *private) leaderDies() {
	p.Helper()
	leader := func() string {
		holder := p.kubectl("get", "lease", "traffic-manager", "-n", lab.ManagerNamespace, "-o", "jsonpath={.spec.holderIdentity}")
		pod, _, _ := strings.Cut(holder, "_")
		return pod
	}
	was := leader()
	p.kubectl("delete", "pod", was, "-n", lab.ManagerNamespace, "--force", "--grace-period=0")
	p.until(repaired, "another replica leads", func() error {
		if is := leader(); is == "" || is == was {
			return fmt.Errorf("%q leads", is)
		}
		return nil
	})
	p.kubectl("rollout", "status", "deployment/traffic-manager", "-n", lab.ManagerNamespace, "--timeout=60s")
}

// metric waits until as many replicas have all of the lines.
func (p *private) metric(replicas int, lines ...string) {
	p.Helper()
	p.until(repaired, strings.Join(lines, ", "), func() error {
		found, last := 0, ""
		for name := range strings.FieldsSeq(p.pods()) {
			out, errs, failed := p.run("admin", "kubectl", "get", "--raw", "/api/v1/namespaces/"+lab.ManagerNamespace+"/pods/"+name+":8080/proxy/metrics")
			if failed {
				return fmt.Errorf("metrics of %s: %s", name, errs)
			}
			all := true
			for _, l := range lines {
				all = all && strings.Contains(out, "\n"+l+"\n")
			}
			if all {
				found++
				continue
			}
			for l := range strings.Lines(out) {
				if strings.Contains(l, "license") {
					last += l
				}
			}
		}
		if found < replicas {
			return fmt.Errorf("%d replicas have it, want %d: %s", found, replicas, last)
		}
		return nil
	})
}

// event waits for an Event about the license.
func (p *private) event(reason, text string) {
	p.Helper()
	p.until(repaired, "event "+reason, func() error {
		out := p.kubectl("get", "events", "-n", lab.ManagerNamespace, "--field-selector", "reason="+reason,
			"-o", "jsonpath={range .items[*]}{.type} {.involvedObject.kind}/{.involvedObject.name} {.message}{\"\\n\"}{end}")
		if !strings.Contains(out, "Warning ConfigMap/traffic-manager") || !strings.Contains(out, text) {
			return fmt.Errorf("events %q", out)
		}
		return nil
	})
}
