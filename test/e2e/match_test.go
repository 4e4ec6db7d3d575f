//go:build e2e

package e2e

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/test/e2e/lab"
	"github.com/kubectl-intercept/kubectl-intercept/test/license/signing"
)

// manifest is an Intercept of port http of quote. Spec is the rest of its spec in YAML.
func manifest(l *lab.Lab, user, session, spec string) string {
	return fmt.Sprintf(`
apiVersion: kubectl-intercept.dev/v1alpha1
kind: Intercept
metadata: {namespace: %s, name: quote-%s}
spec:
  user: %s
  session: %s
  workload: {apiVersion: apps/v1, kind: Deployment, name: quote}
  ports: [{port: http, localPort: 8080}]
  %s
`, l.Namespace, user, user, session, strings.ReplaceAll(spec, "\n", "\n  "))
}

// apply has kubectl apply an Intercept of the laptop's user.
func apply(l *lab.Lab, p *lab.Laptop, session, spec string, args ...string) lab.Output {
	l.Helper()
	file := filepath.Join(l.TempDir(), "intercept.yaml")
	l.Must(os.WriteFile(file, []byte(manifest(l, p.User, session, spec)), 0o644))
	return p.Try("kubectl", append([]string{"apply", "-f", file}, args...)...)
}

// rejects wants kubectl apply to be refused with a text. The API server may still be taking
// in what was changed a moment ago.
func rejects(l *lab.Lab, p *lab.Laptop, spec, text string) {
	l.Helper()
	l.Until(fmt.Sprintf("%s is refused with %q", spec, text), func() error {
		if o := apply(l, p, "none", spec, "--dry-run=server"); !o.Failed || !strings.Contains(o.Err, text) {
			return fmt.Errorf("%s%s", o.Out, o.Err)
		}
		return nil
	})
}

// admits wants kubectl apply to be let in.
func admits(l *lab.Lab, p *lab.Laptop, spec string) {
	l.Helper()
	l.Until(spec+" is let in", func() error {
		if o := apply(l, p, "none", spec, "--dry-run=server"); o.Failed {
			return errors.New(o.Err)
		}
		return nil
	})
}

// TestMatchIsChecked: the API server refuses a match that can never be followed, and says
// where it is wrong. kubectl explain says what can be written.
func TestMatchIsChecked(t *testing.T) {
	l := lab.New(t, clusters)
	alice := l.Laptop("alice")
	for _, tt := range []struct{ spec, text string }{
		{"mode: Personal", "mode Personal needs spec.match"},
		{"match: {}", "spec.match needs mode Personal"},
		{"mode: Global\nmatch: {method: GET}", "spec.match needs mode Personal"},
		{"mode: Mirrored", "Unsupported value"},
		{`mode: Personal` + "\n" + `match: {headers: [{name: a, regexp: b}, {name: c, regexp: "d(e"}]}`, "spec.match.headers[1].regexp"},
		{`mode: Personal` + "\n" + `match: {headers: [{name: c, regexp: "d(e"}]}`, "missing closing )"},
		{`mode: Personal` + "\n" + `match: {baggage: [{name: c, regexp: "(?=d)"}]}`, "spec.match.baggage[0].regexp"},
		{`mode: Personal` + "\n" + `match: {paths: [{prefix: /a}, {regexp: "*"}]}`, "spec.match.paths[1].regexp"},
		{`mode: Personal` + "\n" + `match: {paths: [{prefix: /a, exact: /b}]}`, "spec.match.paths[0]"},
		{`mode: Personal` + "\n" + `match: {paths: [{}]}`, "exactly one of the fields in [exact prefix regexp] must be set"},
		{`mode: Personal` + "\n" + `match: {paths: [{exact: a}]}`, "spec.match.paths[0].exact"},
		{`mode: Personal` + "\n" + `match: {headers: [{name: "a b", regexp: b}]}`, "a name is not one that a header can have"},
		{`mode: Personal` + "\n" + `match: {cookies: [{name: "a=b", regexp: b}]}`, "a name is not one that a cookie can have"},
		{`mode: Personal` + "\n" + `match: {tracestate: [{name: A, regexp: b}]}`, "a name is not a key that tracestate can have"},
		{`mode: Personal` + "\n" + `match: {headers: [{name: a, regexp: ""}]}`, "spec.match.headers[0].regexp"},
		{`mode: Personal` + "\n" + `match: {method: "GE T"}`, "spec.match.method"},
		{`mode: Personal` + "\n" + `match: {header: []}`, "unknown field"},
	} {
		rejects(l, alice, tt.spec, tt.text)
	}
	admits(l, alice, "mode: Personal\nmatch: {}")
	admits(l, alice, `mode: Personal
match:
  headers: [{name: x-a, regexp: louise}, {name: X-A, regexp: "(?i)an+a|.*"}]
  baggage: [{name: user.id, regexp: '\d+'}]
  tracestate: [{name: dev@team, regexp: x}]
  cookies: [{name: __Host-id, regexp: x}]
  queryParams: [{name: "a b", regexp: x}]
  paths: [{exact: /shop.Cart/Add}, {prefix: /}, {regexp: ".*"}]
  method: POST`)

	out := alice.Kubectl("explain", "intercept.spec.match")
	for _, text := range []string{"RE2", "as if it began with ^ and ended with $", "Names have no case", "OpenTelemetry", "browsers", "For gRPC"} {
		if !strings.Contains(strings.Join(strings.Fields(out), " "), text) {
			t.Errorf("kubectl explain does not say %q", text)
		}
	}
}

// sessionOf makes a session of a user, who then has no intercept.
func sessionOf(l *lab.Lab, p *lab.Laptop) string {
	l.Helper()
	p.Intercept("add", "quote", "--port", p.Serve(p.User).To(""))
	session := p.Status().Session.Session
	p.Intercept("leave", "quote")
	return session
}

// decided waits until the traffic-manager has accepted an intercept, or has refused it
// with a text.
func decided(l *lab.Lab, p *lab.Laptop, refusal string) *v1alpha1.Intercept {
	l.Helper()
	var i *v1alpha1.Intercept
	l.Until("the intercept of "+p.User+" is decided on", func() (err error) {
		if i, err = l.Get("quote-" + p.User); err != nil {
			return err
		}
		c := meta.FindStatusCondition(i.Status.Conditions, v1alpha1.ConditionResolved)
		if c == nil || c.ObservedGeneration != i.Generation || (c.Reason == v1alpha1.ReasonPortTaken) != (refusal != "") || !strings.Contains(c.Message, refusal) {
			return fmt.Errorf("%+v", c)
		}
		return nil
	})
	return i
}

// overlaps waits until the owner of an intercept is told of requests that another one may
// take.
func overlaps(l *lab.Lab, p *lab.Laptop, text string) {
	l.Helper()
	l.Until(p.User+" is told of the overlap", func() error {
		i, err := l.Get("quote-" + p.User)
		if err != nil {
			return err
		}
		if c := meta.FindStatusCondition(i.Status.Conditions, v1alpha1.ConditionOverlap); c == nil || !strings.Contains(c.Message, text) {
			return fmt.Errorf("%+v", c)
		}
		return nil
	})
	l.Until("an Event tells "+p.User, func() error {
		out, err := kubectl(l, "get", "events", "-n", l.Namespace, "--field-selector", "reason=InterceptsOverlap")
		if err == nil && !strings.Contains(out, "intercept quote-"+p.User+" of "+p.User) {
			err = fmt.Errorf("%s", out)
		}
		return err
	})
}

// TestRivals: two users match on requests of one port. What one would take from the other
// is refused, and what is another's stays.
func TestRivals(t *testing.T) {
	l := lab.New(t, clusters)
	l.Apply("quote.yaml")
	alice, bob := l.Laptop("alice"), l.Laptop("bob")
	hers, his := sessionOf(l, alice), sessionOf(l, bob)
	match := func(condition string) string { return "mode: Personal\nmatch: {" + condition + "}" }
	applied := func(p *lab.Laptop, session, condition string) {
		l.Helper()
		if o := apply(l, p, session, match(condition)); o.Failed {
			l.Fatalf("%s is refused", condition)
		}
	}
	applied(alice, hers, "headers: [{name: x-user, regexp: louise}]")
	older := decided(l, alice, "").CreationTimestamp
	l.Until("the next second: that is how exactly the API server notes ages", func() error {
		if now := time.Now(); now.Unix() <= older.Unix() {
			return fmt.Errorf("it is %v", now)
		}
		return nil
	})
	const taken = `requests to port http of deployment/quote that match header("x-user") ~= regexp("louise") are intercepted by alice since `
	for condition, refusal := range map[string]string{
		"headers: [{name: X-User, regexp: ^louise$}]":                        taken,
		"headers: [{name: x-user, regexp: louise}], paths: [{prefix: /api}]": taken,
		"headers: [{name: x-user, regexp: lou.*}]":                           taken,
		"headers: [{name: x-user, regexp: anna}]":                            "",
		"":                                     "",
		"baggage: [{name: user, regexp: bob}]": "",
	} {
		applied(bob, his, condition)
		decided(l, bob, refusal)
		decided(l, alice, "")
	}
	applied(bob, his, "baggage: [{name: user, regexp: bob}]")
	overlaps(l, alice, `requests that also match baggage("user") ~= regexp("bob") (intercept quote-bob of bob) come here, since this intercept is older`)
	overlaps(l, bob, `requests that also match header("x-user") ~= regexp("louise") (intercept quote-alice of alice) go there, since that intercept is older`)

	// A global one is beside personal ones, and there is only one.
	if o := apply(l, bob, his, "mode: Global\nmatch: null"); o.Failed {
		t.Fatal("a global intercept is refused")
	}
	decided(l, bob, "")
	decided(l, alice, "")
	if o := apply(l, alice, hers, "mode: Global\nmatch: null"); o.Failed {
		t.Fatal("a global intercept is refused")
	}
	decided(l, alice, "port http of deployment/quote is intercepted by bob since ")
}

// matchOnNames has users with a dot and with a backslash in their names match on these
// names, and on no others.
func matchOnNames(l *lab.Lab, with func(string) string) {
	l.Helper()
	admin := administrator(l)
	for _, tt := range []struct {
		user, admitted string
		rejected       []string
	}{
		{"ada.l", `ada\.l`, []string{"ada.l", "adaxl", `ada\\.l`}},
		{`CORP\eve`, `CORP\\eve`, []string{"CORPeve", "CORP.eve", "eve"}},
	} {
		try := func(value string) lab.Output {
			file := filepath.Join(l.TempDir(), "intercept.yaml")
			l.Must(os.WriteFile(file, []byte(strings.Replace(manifest(l, tt.user, "none", with(value)), "quote-"+tt.user, "quote-by-name", 1)), 0o644))
			return admin.Try("kubectl", "apply", "-f", file, "--dry-run=server", "--as", tt.user, "--as-group", "system:masters")
		}
		if o := try(tt.admitted); o.Failed {
			l.Errorf("%s may not match on %s: %s", tt.user, tt.admitted, o.Err)
		}
		for _, value := range tt.rejected {
			if o := try(value); !o.Failed || !strings.Contains(o.Err, `write \. for a dot and \\ for a backslash`) {
				l.Errorf("%s may match on %s: %s", tt.user, value, o.Err)
			}
		}
	}
}

// TestPolicies: the API server refuses intercepts that the chart's policies do not admit,
// and the refusal names the policy.
func TestPolicies(t *testing.T) {
	l := lab.New(t, clusters)
	alice := l.Laptop("alice")
	const louise, all = "mode: Personal\nmatch: {headers: [{name: x-user, regexp: louise}]}", "mode: Personal\nmatch: {}"
	upgrade(l, "--set", "policy.forbidGlobalIntercepts.enabled=true")
	const global = "(policy.forbidGlobalIntercepts of the traffic-manager in namespace"
	rejects(l, alice, "mode: Global", global)
	rejects(l, alice, all, global)
	admits(l, alice, louise)
	paths := func(path string) string { return "mode: Personal\nmatch: {paths: [{" + path + "}]}" }
	for _, spec := range []string{paths("prefix: /"), paths("regexp: '/.*'"), "mode: Personal\nmatch: {method: GET}", "mode: Personal\nmatch: {headers: [{name: te, regexp: trailers}]}",
		"mode: Personal\nmatch: {headers: [{name: x-user, regexp: '.*'}]}"} {
		rejects(l, alice, spec, global)
	}
	for _, spec := range []string{paths("prefix: /api"), paths("regexp: '/api/.*'"), "mode: Personal\nmatch: {headers: [{name: x-user, regexp: 'lou.*'}]}"} {
		admits(l, alice, spec)
	}

	file := filepath.Join(l.TempDir(), "question.yaml")
	asking := strings.Replace(manifest(l, alice.User, "none", louise), "metadata: {", "metadata: {annotations: {"+v1alpha1.ShowValuesKey+": q}, ", 1)
	l.Must(os.WriteFile(file, []byte(asking), 0o644))
	if o := alice.Try("kubectl", "apply", "-f", file, "--dry-run=server"); !o.Failed || !strings.Contains(o.Err, "values of other users' headers are not shown here (policy.forbidGlobalIntercepts of") {
		l.Errorf("the question for values is admitted")
	}

	const name, key = "policy.requireMatch.header", "policy.requireMatch.baggage"
	upgradeAgain(l, "--set", "policy.requireMatch.enabled=true", "--set", name+"=X-User", "--set", `policy.requireMatch.pattern=\{user\}(-.*)?`)
	const hint = `must match on the header "X-User", with a plain text that the expression "alice(-.*)?" matches: use --match X-User=VALUE (policy.requireMatch of the traffic-manager in namespace`
	rejects(l, alice, louise, hint)
	rejects(l, alice, "mode: Global", hint)
	rejects(l, alice, all, hint)
	with := func(value string) string {
		return "mode: Personal\nmatch: {headers: [{name: x-user, regexp: '" + value + "'}]}"
	}
	for _, value := range []string{"alice|bob", "alice-.*", "alicex", "(?i)alice", "alice.laptop", "alice-a.b", "alice?"} {
		rejects(l, alice, with(value), hint)
	}
	for _, value := range []string{"alice", "alice-laptop", `alice-1\.2`} {
		admits(l, alice, with(value))
	}
	matchOnNames(l, with)

	upgradeAgain(l, "--set", "policy.requireMatch.enabled=true", "--set", key+"=user")
	const inBaggage = "mode: Personal\nmatch: {baggage: [{name: user, regexp: '%s'}]}"
	rejects(l, alice, with("alice"), `must match on the baggage member "user", with a value that tells your requests from those of others: use --match baggage:user=VALUE (policy.requireMatch of`)
	rejects(l, alice, fmt.Sprintf(inBaggage, ".*"), "must match on the baggage member")
	admits(l, alice, fmt.Sprintf(inBaggage, "alice"))

	acme := newSigner(t, signing.Ed25519)
	upgradeAgain(l, "--set", "license.required=true", "--set-file", "license.publicKey="+acme.file+".pub")
	rejects(l, alice, louise, "personal intercepts need a license in this cluster, and there is none; an administrator installs one with")
	admits(l, alice, "mode: Global")
}
