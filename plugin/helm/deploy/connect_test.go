package deploy

import (
	"testing"

	"k8s.io/client-go/kubernetes/fake"

	"github.com/kubectl-intercept/kubectl-intercept/plugin/helm/helmtest"
)

// The user that installs may connect, unless the values let somebody.
func TestLetConnect(t *testing.T) {
	with := func(rbac map[string]any) map[string]any { return map[string]any{"clientRbac": rbac} }
	subjects := []any{map[string]any{"kind": "Group", "name": "developers"}}
	for name, tt := range map[string]struct {
		user    string
		values  map[string]any
		subject map[string]any // that is new
		others  string
	}{
		"a user": {user: "alice", subject: map[string]any{"kind": "User", "name": "alice"},
			others: "User \"alice\" may connect. The value clientRbac.subjects names who else may, for example:\n" +
				`  kubectl intercept upgrade --namespace team-a --set-json 'clientRbac.subjects=[{"kind":"User","name":"alice"},{"kind":"Group","name":"developers"}]'` + "\n"},
		"a ServiceAccount": {user: "system:serviceaccount:build:ci", subject: map[string]any{"kind": "ServiceAccount", "name": "ci", "namespace": "build"},
			others: "User \"system:serviceaccount:build:ci\" may connect. The value clientRbac.subjects names who else may, for example:\n" +
				`  kubectl intercept upgrade --namespace team-a --set-json 'clientRbac.subjects=[{"kind":"ServiceAccount","name":"ci","namespace":"build"},{"kind":"Group","name":"developers"}]'` + "\n"},
		"named already":     {user: "alice", values: with(map[string]any{"subjects": subjects})},
		"everybody":         {user: "alice", values: with(map[string]any{"allowEverybody": true})},
		"a Role of its own": {user: "alice", values: with(map[string]any{"create": false})},
	} {
		t.Run(name, func(t *testing.T) {
			o, _ := fixture(t, "v1.36.0", &releases{})
			helmtest.As(tt.user, o.Kube.(*fake.Clientset))
			o.Apply.Values = tt.values
			values, err := o.Apply.Effective(nil)
			if err != nil {
				t.Fatal(err)
			}
			others, err := o.letConnect(t.Context(), values)
			if err != nil || others != tt.others {
				t.Errorf("%v, says %q, want %q", err, others, tt.others)
			}
			if values, err = o.Apply.Effective(nil); err != nil {
				t.Fatal(err)
			}
			list := values["clientRbac"].(map[string]any)["subjects"].([]any)
			if tt.subject == nil {
				if _, given := tt.values["clientRbac"].(map[string]any)["subjects"]; !given && len(list) > 0 {
					t.Errorf("subjects are %v", list)
				}
				return
			}
			if len(list) != 1 {
				t.Fatalf("subjects are %v", list)
			}
			for key, want := range tt.subject {
				if got := list[0].(map[string]any)[key]; got != want {
					t.Errorf("%s is %v, want %v", key, got, want)
				}
			}
		})
	}
}
