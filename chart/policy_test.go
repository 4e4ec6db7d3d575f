package chart_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/cel-go/cel"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apiserver/pkg/cel/environment"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/manager/match"
)

// policy evaluates a ValidatingAdmissionPolicy as the API server does.
type policy struct {
	t    *testing.T
	env  *cel.Env
	spec *admissionv1.ValidatingAdmissionPolicySpec
}

// policyOf is the policy with a name of a chart with values.
func policyOf(t *testing.T, name string, set ...string) *policy {
	t.Helper()
	manifest, err := render(t, "intercept-system", set...)
	if err != nil {
		t.Fatal(err)
	}
	known, err := environment.MustBaseEnvSet(environment.DefaultCompatibilityVersion()).Extend(environment.VersionedOptions{
		IntroducedVersion: environment.DefaultCompatibilityVersion(),
		EnvOptions: []cel.EnvOption{cel.Variable("object", cel.DynType), cel.Variable("oldObject", cel.DynType),
			cel.Variable("request", cel.DynType), cel.Variable("variables", cel.DynType)}})
	if err != nil {
		t.Fatal(err)
	}
	return &policy{t, known.NewExpressionsEnv(), &find[admissionv1.ValidatingAdmissionPolicy](t, manifest, "ValidatingAdmissionPolicy", name).Spec}
}

// value evaluates an expression.
func (p *policy) value(expression string, with map[string]any) any {
	p.t.Helper()
	ast, issues := p.env.Compile(expression)
	if issues.Err() != nil {
		p.t.Fatalf("%s: %v", expression, issues.Err())
	}
	program, err := p.env.Program(ast)
	if err != nil {
		p.t.Fatal(err)
	}
	out, _, err := program.Eval(with)
	if err != nil {
		p.t.Fatalf("%s: %v", expression, err)
	}
	return out.Value()
}

// refusal is what the user reads who makes an Intercept with this spec; empty if that is
// admitted.
func (p *policy) refusal(spec v1alpha1.InterceptSpec) string {
	p.t.Helper()
	return p.answer(map[string]any{"operation": "CREATE", "namespace": "shop"}, map[string]any{"metadata": map[string]any{}, "spec": spec}, nil)
}

// answer is the message by which the policy refuses a request; empty if it admits it.
func (p *policy) answer(request map[string]any, object, before any) string {
	p.t.Helper()
	variables := map[string]any{}
	with := map[string]any{"object": p.plain(object), "oldObject": p.plain(before), "variables": variables, "request": request}
	for _, v := range p.spec.Variables {
		variables[v.Name] = p.value(v.Expression, with)
	}
	for _, v := range p.spec.Validations {
		switch {
		case p.value(v.Expression, with) == true:
		case v.MessageExpression == "":
			return v.Message
		default:
			return fmt.Sprint(p.value(v.MessageExpression, with))
		}
	}
	return ""
}

// plain is an object as JSON has it.
func (p *policy) plain(object any) any {
	p.t.Helper()
	text, err := json.Marshal(object)
	if err != nil {
		p.t.Fatal(err)
	}
	var out any
	if err := json.Unmarshal(text, &out); err != nil {
		p.t.Fatal(err)
	}
	return out
}

func by(part match.Part, name, expression string) v1alpha1.InterceptSpec {
	return v1alpha1.InterceptSpec{User: "alice", Mode: v1alpha1.ModePersonal,
		Match: v1alpha1.MatchOf(match.Conditions{{Part: part, Name: name, Op: match.Regexp, Value: expression}})}
}

// TestGlobalByAnotherName: a condition that every request meets, or every request of a kind
// of caller, makes an intercept no personal one.
func TestGlobalByAnotherName(t *testing.T) {
	p := policyOf(t, "traffic-manager-intercept-system-global", "policy.forbidGlobalIntercepts.enabled=true")
	global, every := v1alpha1.InterceptSpec{Mode: v1alpha1.ModeGlobal}, v1alpha1.InterceptSpec{Mode: v1alpha1.ModePersonal, Match: &v1alpha1.Match{}}
	method, root := every, every
	method.Match, root.Match = &v1alpha1.Match{Method: "POST"}, &v1alpha1.Match{Paths: []v1alpha1.MatchPath{{Prefix: "/"}}}
	for _, spec := range []v1alpha1.InterceptSpec{global, every, method, root,
		by(match.Header, "te", "trailers"), by(match.Header, "TE", ".*"), by(match.Header, "Host", "quote"), by(match.Header, "host", `[^z].*`),
		by(match.Header, "content-type", "application/grpc"), by(match.Header, "accept", `\*/\*`), by(match.Header, "Sec-Fetch-Site", "same-origin"),
		by(match.Header, "grpc-accept-encoding", "gzip"), by(match.Header, "x-forwarded-proto", "https?"),
		by(match.Header, "user-agent", ".*"), by(match.Header, "user-agent", "Mozilla/.*"), by(match.Header, "authorization", "Bearer .+"),
		by(match.Header, "traceparent", "00-.*"), by(match.Header, "x-user", ".*"), by(match.Header, "x-user", `[a-z]+`), by(match.Header, "x-user", `\Q`),
		by(match.Baggage, "user", ".+"), by(match.Tracestate, "user", `\w+`), by(match.Cookie, "session", "(?s).*"), by(match.Query, "id", `[0-9.]+`),
		by(match.Path, "", "/.*"), by(match.Path, "", ".*"), by(match.Path, "", "/[a-z]+"), by(match.Path, "", "(?i)/[^a].*"),
	} {
		if got := p.refusal(spec); !strings.HasPrefix(got, `intercepts that take all traffic are forbidden in namespace "shop" (policy.forbidGlobalIntercepts of`) {
			t.Errorf("%v is admitted: %s", spec.Match.Conditions(), got)
		}
	}
	if got := p.refusal(v1alpha1.InterceptSpec{Mode: v1alpha1.ModeIngest, StandIn: &v1alpha1.StandIn{}}); got != "" {
		t.Errorf("an intercept that takes nothing is refused: %s", got)
	}
	exact, prefix, both := every, every, by(match.Header, "host", "quote")
	exact.Match, prefix.Match = &v1alpha1.Match{Paths: []v1alpha1.MatchPath{{Exact: "/"}}}, &v1alpha1.Match{Paths: []v1alpha1.MatchPath{{Prefix: "/api"}}}
	both.Match.Cookies = []v1alpha1.MatchValue{{Name: "id", Regexp: "7"}}
	for _, spec := range []v1alpha1.InterceptSpec{exact, prefix, both,
		by(match.Header, "x-user", "louise"), by(match.Header, "x-user", "louise|anna"), by(match.Header, "X-Intercept-Id", "7f3a:quote"),
		by(match.Header, "user-agent", `curl/.*louise.*`), by(match.Header, "authorization", "Bearer eyJ.*"), by(match.Header, "x-second", "1"),
		by(match.Baggage, "user", "lou.*"), by(match.Tracestate, "user", "louise"), by(match.Cookie, "id", "7f3a"), by(match.Query, "id", "7"),
		by(match.Path, "", "/api/.*"), by(match.Path, "", `/.*\.html`),
	} {
		if got := p.refusal(spec); got != "" {
			t.Errorf("%v is refused: %s", spec.Match.Conditions(), got)
		}
	}
}

// TestRequiredMatch: the value that is required has to tell callers apart, by the pattern or
// without one.
func TestRequiredMatch(t *testing.T) {
	const name = "traffic-manager-intercept-system-match"
	for _, tt := range []struct {
		set, hint         string
		admitted, refused []v1alpha1.InterceptSpec
	}{
		{"policy.requireMatch.header=X-User", `must match on the header "X-User", with a value that tells your requests from those of others: use --match X-User=VALUE (policy.requireMatch of`,
			[]v1alpha1.InterceptSpec{by(match.Header, "x-user", "alice"), by(match.Header, "x-user", "lou.*")},
			[]v1alpha1.InterceptSpec{by(match.Header, "x-user", ".*"), by(match.Header, "x-user", "[^b].*"), by(match.Header, "x-team", "a"), by(match.Baggage, "x-user", "alice"), {Mode: v1alpha1.ModeMirror}}},
		{"policy.requireMatch.baggage=user", `must match on the baggage member "user", with a value that tells your requests from those of others: use --match baggage:user=VALUE (policy.requireMatch of`,
			[]v1alpha1.InterceptSpec{by(match.Baggage, "user", "alice")},
			[]v1alpha1.InterceptSpec{by(match.Baggage, "user", `\S+`), by(match.Baggage, "User", "alice"), {Mode: v1alpha1.ModeGlobal}}},
		{`policy.requireMatch.header=x-user,policy.requireMatch.pattern=\{user\}(-.*)?`, `with a plain text that the expression "alice(-.*)?" matches: use --match x-user=VALUE (policy.requireMatch of`,
			[]v1alpha1.InterceptSpec{by(match.Header, "X-User", "alice"), by(match.Header, "x-user", `alice-1\.2`)},
			[]v1alpha1.InterceptSpec{by(match.Header, "x-user", "alice|bob"), by(match.Header, "x-user", "alice-.*"), by(match.Header, "x-user", "bob"), by(match.Header, "x-user", "(?i)alice")}},
	} {
		p := policyOf(t, name, append([]string{"policy.requireMatch.enabled=true"}, strings.SplitN(tt.set, ",", 2)...)...)
		for _, spec := range tt.admitted {
			if got := p.refusal(spec); got != "" {
				t.Errorf("%s: %v is refused: %s", tt.set, spec.Match.Conditions(), got)
			}
		}
		for _, spec := range tt.refused {
			if spec.User = "alice"; !strings.Contains(p.refusal(spec), tt.hint) {
				t.Errorf("%s: %v: %q", tt.set, spec.Match.Conditions(), p.refusal(spec))
			}
		}
	}
}
