//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/traffic"
	"github.com/kubectl-intercept/kubectl-intercept/manager/version"
	"github.com/kubectl-intercept/kubectl-intercept/test/e2e/lab"
)

// TestMetrics: while callers come to a laptop and a program on it reaches the cluster, Prometheus
// reads the traffic-manager, each query of the dashboard has an answer, and `top` says who moves
// how much to those who may know.
func TestMetrics(t *testing.T) {
	l := lab.New(t, clusters)
	l.Apply("quote.yaml")
	quote := l.Serving("quote", "http")
	alice, bob := l.Laptop("alice"), l.Laptop("bob")
	alice.Intercept("add", "quote", "--port", alice.Serve("alice").To(""))
	l.Answers(quote, "alice")
	proxy := proxyOf(alice)
	stream := l.Stream(quote)
	defer stream.Stop()
	reach := func(p *lab.Laptop, proxy string) {
		if code, _, err := visit(browser(p, proxy), "http://quote."+l.Namespace); err != nil || code != http.StatusOK {
			t.Errorf("through the proxy: %d, %v", code, err)
		}
	}
	reach(alice, proxy)
	reach(bob, proxyOf(bob))

	t.Run("dashboard", func(t *testing.T) {
		p := newPrometheus(l)
		for _, q := range dashboard(t) {
			l.Until(q.panel+" has a series", func() error {
				answer, err := p.query(q.expr)
				if err == nil && len(answer) == 0 {
					err = fmt.Errorf("none")
				}
				if err != nil {
					return fmt.Errorf("%s: %w", q.expr, err)
				}
				return nil
			})
		}
		for expr, least := range map[string]float64{
			`sum(traffic_manager_sessions)`: 2,
			`sum(traffic_manager_carriers{transport="service-proxy",direction="inbound"})`: 2,
			`sum(traffic_manager_lines{state="idle"})`:                                     1,
			`sum(traffic_manager_intercepts{mode="global",state="active"})`:                1,
			`sum(traffic_manager_agents{kind="ephemeral",state="active"})`:                 1,
			`sum(traffic_manager_injections_total{way="ephemeral",outcome="injected"})`:    1,
			`sum(traffic_manager_flow_bytes_total{direction="inbound",to="laptop"})`:       100,
			`sum(traffic_manager_flow_bytes_total{direction="outbound",to="laptop"})`:      100,
			`sum(traffic_manager_flows_total{direction="outbound"})`:                       2,
			`sum(rate(traffic_manager_flow_bytes_total{direction="inbound"}[10s]))`:        100,
			`sum(controller_runtime_webhook_requests_total{webhook="/inject",code="200"})`: 1,
			`sum(controller_runtime_reconcile_total{controller="intercept"})`:              1,
			`count(traffic_manager_build_info{version="` + version.Version + `"})`:         1,
		} {
			l.Until(fmt.Sprintf("%s is at least %g", expr, least), func() error {
				switch answer, err := p.query(expr); {
				case err != nil:
					return err
				case len(answer) != 1 || answer[0] < least:
					return fmt.Errorf("it is %v", answer)
				}
				return nil
			})
		}
		for line := range strings.Lines(p.text()) {
			for _, name := range []string{"alice", "bob", l.Namespace, l.Pod().Name} {
				if strings.HasPrefix(line, "traffic_manager_") && strings.Contains(line, name) {
					t.Errorf("a metric names %s: %s", name, line)
				}
			}
		}
	})

	t.Run("top", func(t *testing.T) {
		l.Until("alice sees what she moves", func() error { // between two pieces the rate is nothing
			r := top(t, alice)
			if r == nil {
				return fmt.Errorf("no answer")
			}
			in, out := entry(r, "alice", l.Namespace+"/quote"), entry(r, "alice", "")
			if in == nil || in.DownRate == 0 || in.UpRate == 0 || in.Direction != "inbound" || in.Transport != "service-proxy" || in.Host == "" ||
				out == nil || out.Down == 0 || out.Up == 0 || out.Direction != "outbound" {
				return fmt.Errorf("%+v", r)
			}
			if r.Everybody || entry(r, "bob", "") != nil || len(r.Missing) > 0 {
				t.Errorf("alice sees others: %+v", r)
			}
			return nil
		})
		if r := top(t, bob); r == nil || r.Everybody || entry(r, "bob", "") == nil || entry(r, "alice", "") != nil {
			t.Errorf("bob sees %+v", r)
		}
		carol := l.Laptop("carol")
		role := &rbacv1.RoleBinding{ObjectMeta: metav1.ObjectMeta{Namespace: lab.ManagerNamespace, Name: "carol-sees-all"},
			RoleRef:  rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "cluster-admin"},
			Subjects: []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: "carol"}}}
		l.Must(l.Client.Create(l.Context(), role))
		l.Cleanup(func() {
			if err := l.Client.Delete(context.Background(), role); err != nil {
				l.Error(err)
			}
		})
		r := top(t, carol) // whoever may list sessions sees everybody's
		if r == nil || !r.Everybody || entry(r, "alice", l.Namespace+"/quote") == nil || entry(r, "bob", "") == nil {
			t.Errorf("carol sees %+v", r)
		}
		if s := carol.Kubectl("get", "sessions", "-n", lab.ManagerNamespace, "-o", "wide"); !strings.Contains(s, "SINCE") || !strings.Contains(s, "traffic-manager-") {
			t.Errorf("sessions are\n%s", s)
		}
		// Alice's connections are all at one replica, whichever is asked.
		scale := func(n string) {
			carol.Kubectl("scale", "deployment/traffic-manager", "-n", lab.ManagerNamespace, "--replicas="+n)
			carol.Kubectl("rollout", "status", "deployment/traffic-manager", "-n", lab.ManagerNamespace, "--timeout=60s")
		}
		scale("2")
		defer scale("1")
		reports := make([]*traffic.Report, 8)
		var asked sync.WaitGroup
		for i := range reports {
			asked.Go(func() { reports[i] = top(t, carol) })
		}
		asked.Wait()
		for _, r := range reports {
			if r == nil || len(r.Missing) > 0 || entry(r, "alice", l.Namespace+"/quote") == nil {
				t.Errorf("with two replicas carol sees %+v", r)
			}
		}
		t.Logf("%s", carol.Try("kubectl-intercept", "top", "--sort-by", "rate").Out)
	})

	alice.Intercept("leave", "quote")
	l.Until("Events say who began and ended what", func() error {
		said := alice.Kubectl("describe", "deployment/quote")
		for _, want := range []string{"alice began intercept quote (port http): ", "intercept quote (port http) of alice has ended: it was deleted"} {
			if !strings.Contains(said, want) {
				return fmt.Errorf("no %q in\n%s", want, said)
			}
		}
		return nil
	})
}

// top is what a user is told; nil if that fails.
func top(t *testing.T, p *lab.Laptop) *traffic.Report {
	t.Helper()
	var r traffic.Report
	if o := p.Try("kubectl-intercept", "top", "-o", "json"); o.Failed || json.Unmarshal([]byte(o.Out), &r) != nil {
		t.Errorf("top: %s%s", o.Out, o.Err)
		return nil
	}
	return &r
}

// entry is the first of a user for an intercept; nil if there is none.
func entry(r *traffic.Report, user, intercept string) *traffic.Entry {
	for i := range r.Entries {
		if e := &r.Entries[i]; e.User == user && e.Intercept == intercept {
			return e
		}
	}
	return nil
}

type panelQuery struct{ panel, expr string }

// dashboard are the queries of the chart's dashboard, as Grafana sends them.
func dashboard(t *testing.T) (all []panelQuery) {
	t.Helper()
	text, err := os.ReadFile("../../chart/files/dashboard.json")
	if err != nil {
		t.Fatal(err)
	}
	var d struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal(text, &d); err != nil || len(d.Panels) < 10 {
		t.Fatal(len(d.Panels), err)
	}
	values := strings.NewReplacer("$__rate_interval", "10s", "$namespace", lab.ManagerNamespace)
	for _, p := range d.Panels {
		for _, q := range p.Targets {
			all = append(all, panelQuery{p.Title, values.Replace(q.Expr)})
		}
	}
	return all
}

// prometheus is a Prometheus that reads the replicas of a traffic-manager each second.
type prometheus struct {
	*lab.Lab
	at      string
	metrics string // of one replica
}

// newPrometheus starts one of Debian's on this machine, until the test ends. It reads the
// replicas through this process, which is in a node's network.
func newPrometheus(l *lab.Lab) *prometheus {
	l.Helper()
	node := l.Nodes[0].HTTP()
	var targets strings.Builder
	p := &prometheus{Lab: l}
	for _, pod := range managers(l) {
		from := "http://" + net.JoinHostPort(pod.Status.PodIP, "8080") + "/metrics"
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
			resp, err := node.Get(from)
			if err != nil {
				http.Error(w, err.Error(), http.StatusBadGateway)
				return
			}
			defer resp.Body.Close()
			w.Header().Set("Content-Type", resp.Header.Get("Content-Type"))
			w.WriteHeader(resp.StatusCode)
			io.Copy(w, resp.Body)
		}))
		l.Cleanup(s.Close)
		p.metrics = s.URL
		fmt.Fprintf(&targets, "      - targets: [%q]\n        labels: {namespace: %s, pod: %s}\n", s.Listener.Addr(), lab.ManagerNamespace, pod.Name)
	}
	dir := l.TempDir()
	config := filepath.Join(dir, "prometheus.yaml")
	l.Must(os.WriteFile(config, []byte("global: {scrape_interval: 1s, scrape_timeout: 1s}\nscrape_configs:\n  - job_name: traffic-manager\n    static_configs:\n"+targets.String()), 0o600))
	free, err := net.Listen("tcp", "127.0.0.1:0")
	l.Must(err)
	p.at = free.Addr().String()
	free.Close()
	cmd := exec.CommandContext(l.Context(), clusters.Bin("prometheus/usr/bin/prometheus"), "--config.file="+config, "--storage.tsdb.path="+filepath.Join(dir, "data"),
		"--web.listen-address="+p.at, "--log.level=warn")
	var said strings.Builder
	cmd.Stdout, cmd.Stderr = &said, &said
	l.Must(cmd.Start())
	l.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
		if l.Failed() {
			l.Logf("prometheus: %s", said.String())
		}
	})
	l.Until("Prometheus reads every replica", func() error {
		up, err := p.query("min(up)")
		if err == nil && (len(up) != 1 || up[0] != 1) {
			err = fmt.Errorf("up is %v", up)
		}
		return err
	})
	return p
}

// query returns the values of an instant query.
func (p *prometheus) query(expr string) (values []float64, err error) {
	resp, err := http.Get("http://" + p.at + "/api/v1/query?query=" + url.QueryEscape(expr))
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	var answer struct {
		Status, Error string
		Data          struct{ Result []struct{ Value [2]any } }
	}
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
		return nil, err
	}
	if answer.Status != "success" {
		return nil, fmt.Errorf("%s", answer.Error)
	}
	for _, r := range answer.Data.Result {
		var v float64
		if _, err := fmt.Sscan(fmt.Sprint(r.Value[1]), &v); err != nil {
			return nil, err
		}
		values = append(values, v)
	}
	return values, nil
}

// text are the metrics of one replica.
func (p *prometheus) text() string {
	p.Helper()
	resp, err := http.Get(p.metrics)
	p.Must(err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	p.Must(err)
	return string(text)
}
