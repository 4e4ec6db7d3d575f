//go:build e2e

package e2e

import (
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/kubectl-intercept/kubectl-intercept/test/e2e/lab"
)

// peers are pods with names of their own, a Service that nobody is behind, and
// one of this namespace alone.
const peers = `
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: peer}
spec:
  replicas: 2
  serviceName: peers
  podManagementPolicy: Parallel
  selector: {matchLabels: {app: peer}}
  template:
    metadata: {labels: {app: peer}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
      - name: quote
        image: kubectl-intercept.dev/test/quote:dev
        args: [-listen=:8080, -name=a peer]
        ports: [{name: http, containerPort: 8080}]
        readinessProbe: {httpGet: {path: /, port: http}, periodSeconds: 1, timeoutSeconds: 5, failureThreshold: 30}
---
apiVersion: v1
kind: Service
metadata: {name: peers}
spec: {clusterIP: None, selector: {app: peer}, ports: [{name: http, port: 8080}]}
---
apiVersion: v1
kind: Service
metadata: {name: nobody}
spec: {selector: {app: nobody}, ports: [{name: http, port: 80}]}
`

// TestConnect: a connected laptop is inside the cluster, as a pod of the
// namespace; everything else is as before, and afterwards so is this.
func TestConnect(t *testing.T) {
	l := lab.New(t, clusters)
	l.Apply("quote.yaml")
	l.ApplyText(peers)
	other := l.Another()
	other.Apply("quote.yaml", "-listen=:8080", "-listen=:8080, -name=the other")
	other.ApplyText("{apiVersion: v1, kind: Service, metadata: {name: single}, spec: {selector: {app: quote}, ports: [{port: 80, targetPort: 8080}]}}")
	service := l.Serving("quote", "http")
	alice := l.Laptop("alice")
	l.Allow("alice", "edit", other.Namespace)
	own := newResolver(t, alice, "127.0.0.53")
	before := network(alice)
	alice.Intercept("connect")

	ns := l.Namespace
	var pod, peer string
	for _, p := range l.Pods() {
		switch {
		case p.Name == "peer-0":
			peer = p.Status.PodIP
		case p.Labels["app"] == "quote":
			pod = p.Status.PodIP
		}
	}
	curl := func(target, who string) {
		t.Helper()
		if o := alice.Sh("curl -sS --max-time 20 http://" + target); !strings.HasPrefix(o.Out, "answered by "+who+" (") {
			t.Errorf("%s: %s%s", target, o.Out, o.Err)
		}
	}
	for _, name := range []string{"quote", "quote." + ns, "quote." + ns + ".svc", "quote." + ns + ".svc.cluster.local", "quote." + ns + ".svc.cluster.local.", service, pod + ":8080"} {
		curl(name, lab.Application)
	}
	for _, name := range []string{"peer-0.peers:8080", "peer-1.peers." + ns + ":8080", "peer-0.peers." + ns + ".svc.cluster.local:8080", "peers:8080", peer + ":8080"} {
		curl(name, "a peer")
	}
	curl("quote."+other.Namespace, "the other")

	t.Run("records", func(t *testing.T) {
		host, _, _ := net.SplitHostPort(service)
		full := "." + ns + ".svc.cluster.local."
		for query, want := range map[string][]string{
			"quote" + full:                {host},
			"AAAA quote" + full:           {},
			"SRV _http._tcp.peers" + full: {"8080 peer-0.peers" + full, "8080 peer-1.peers" + full},
			"-x " + host:                  {"quote" + full},
			"+search quote":               {host},
			"+tcp kubernetes.default.svc.cluster.local": {"10.96.0.1"},
			"TXT dns-version.cluster.local":             {"1.1.0"},
			"www.example.test":                          {elsewhere},
		} {
			got := alice.Shell("dig +short " + query)
			for _, w := range want {
				if !strings.Contains(got, w) {
					t.Errorf("dig %s says %q, want %s", query, got, w)
				}
			}
			if len(want) == 0 && got != "" {
				t.Errorf("dig %s says %q, want nothing", query, got)
			}
		}
		for query, want := range map[string]string{"nothing" + full: "NXDOMAIN", "AAAA quote" + full: "NOERROR", "nothing.invalid": "NXDOMAIN"} {
			if got := alice.Shell("dig " + query); !strings.Contains(got, "status: "+want) {
				t.Errorf("dig %s says\n%s\nwant %s", query, got, want)
			}
		}
		if got := alice.Shell("getent hosts quote"); !strings.HasPrefix(got, host+" ") {
			t.Errorf("getent says %q", got)
		}
		// Neither hears what is the other's.
		if names := own.heard("cluster.local"); len(names) > 0 {
			t.Errorf("the laptop's resolver was asked for %q", names)
		}
		if len(own.heard("www.example.test.")) == 0 {
			t.Error("the laptop's resolver was not asked for its name")
		}
	})

	t.Run("refused", func(t *testing.T) {
		host, _, _ := net.SplitHostPort(service)
		for _, target := range []string{pod + ":9", host + ":9", "nobody", "kube-dns.kube-system:9153"} {
			if o := alice.Sh("curl -sS --max-time 20 http://" + target); !refused(o) {
				t.Errorf("%s: exit code %d, %s", target, o.Code, o.Err)
			}
		}
		const missing = `that needs "create pods/portforward" in namespace "kube-system"`
		if s := alice.Intercept("status").Out; !strings.Contains(s, "Denied:\n") || !strings.Contains(s, missing) || !strings.Contains(s, "Network: interface intercept0, names of namespace "+ns) {
			t.Errorf("status says\n%s", s)
		}
	})

	t.Run("intercepted", func(t *testing.T) {
		const single = "curl -sS --max-time 20 http://single"
		if o := alice.Sh(single); o.Code != 6 {
			t.Errorf("a name of another namespace: %s%s", o.Out, o.Err)
		}
		program := alice.Serve("alice")
		alice.Intercept("add", "quote", "--port", program.To("http"), "-n", other.Namespace)
		l.Until("names of a namespace with an intercept", func() error {
			if o := alice.Quiet(single); !strings.HasPrefix(o.Out, "answered by alice (") {
				return fmt.Errorf("%s%s", o.Out, o.Err)
			}
			return nil
		})
		curl("quote", lab.Application) // the connected namespace comes first
		alice.Intercept("leave", "quote", "-n", other.Namespace)
		l.Until("names of a namespace without an intercept", func() error {
			if o := alice.Quiet(single); o.Code != 6 {
				return fmt.Errorf("%s%s", o.Out, o.Err)
			}
			return nil
		})
	})

	t.Run("another namespace", func(t *testing.T) {
		alice.Intercept("connect", "-n", other.Namespace)
		curl("quote", "the other")
		curl("single", "the other")
		curl("quote."+ns, lab.Application)
		if o := alice.Sh("curl -sS --max-time 20 http://peers:8080"); o.Code != 6 {
			t.Errorf("a name of the former namespace: %s%s", o.Out, o.Err)
		}
		alice.Intercept("disconnect")
		if after := network(alice); after != before {
			t.Errorf("before:\n%s\nafter:\n%s", before, after)
		}
	})

	t.Run("a command", func(t *testing.T) {
		o := alice.Sh("kubectl-intercept connect -n " + ns + " -- sh -c 'curl -sS http://quote; exit 3'")
		if o.Code != 3 || !strings.HasPrefix(o.Out, "answered by "+lab.Application) {
			t.Errorf("exit code %d, %s%s", o.Code, o.Out, o.Err)
		}
		if after := network(alice); after != before {
			t.Errorf("before:\n%s\nafter:\n%s", before, after)
		}
		if o := alice.Sh("kubectl-intercept connect -n " + ns + " -- true"); o.Code != 0 {
			t.Errorf("exit code %d, %s", o.Code, o.Err)
		}
	})
}
