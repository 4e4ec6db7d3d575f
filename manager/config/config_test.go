package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

func TestLoad(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config.yaml")
	const text = `
agent:
  image: mirror.example/traffic-agent:1
  imagePullSecrets: [mirror]
  resources: {limits: {memory: 64Mi}}
  maxIdleTime: 72h
intercept:
  environment: {excluded: [DATABASE_PASSWORD, API_KEY]}
`
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	want := Default()
	want.Agent.Image = "mirror.example/traffic-agent:1"
	want.Agent.ImagePullSecrets = []string{"mirror"}
	want.Agent.Resources, want.Agent.InitResources = corev1.ResourceRequirements{}, corev1.ResourceRequirements{} // what is left out is not asked for
	want.Agent.Resources.Limits = corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("64Mi")}
	want.Agent.MaxIdleTime.Duration = 72 * time.Hour
	want.Intercept.Environment.Excluded = []string{"DATABASE_PASSWORD", "API_KEY"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got, err := Load(""); err != nil || !cmp.Equal(got, Default()) {
		t.Errorf("without a file: %+v, %v", got, err)
	}
	if _, err := Load(path + ".gone"); err == nil || !strings.HasPrefix(err.Error(), "read configuration: ") {
		t.Errorf("a file that is not there: %v", err)
	}
}

func TestParseRefuses(t *testing.T) {
	for text, want := range map[string]string{
		"agent: {imagePullPolice: Never}":                      `unknown field "imagePullPolice"`,
		"agent: {image: \"\"}":                                 "agent.image is empty",
		"agent: {imagePullPolicy: Sometimes}":                  `agent.imagePullPolicy is "Sometimes": use one of`,
		"agent: {logLevel: loud}":                              `agent.logLevel is "loud"`,
		"agent: {appProtocolStrategy: guess}":                  `agent.appProtocolStrategy is "guess"`,
		"agent: {maxIdleTime: soon}":                           "soon",
		"agent: {maxIdleTime: -1s}":                            "agent.maxIdleTime is -1s: use 0s",
		"agentInjector: {injectPolicy: Always}":                `agentInjector.injectPolicy is "Always"`,
		"serviceMesh: {type: kuma}":                            `serviceMesh.type is "kuma"`,
		"intercept: {environment: {excluded: [\"A=B\"]}}":      `"A=B" is no name of a variable`,
		"client: {routing: {alsoProxySubnets: [10.1.2.3]}}":    `client.routing.alsoProxySubnets: "10.1.2.3" is no subnet: write it as`,
		"client: {routing: {neverProxySubnets: [10.1.2.3/8]}}": `client.routing.neverProxySubnets: "10.1.2.3/8" is no subnet: write 10.0.0.0/8`,
		"client: {routing: {allowConflictingSubnets: [\"\"]}}": `client.routing.allowConflictingSubnets`,
		"client: {routing: {virtualSubnet: 10.1.0.0}}":         `client.routing.virtualSubnet`,
		"client: {dns: {mappings: [{name: db}]}}":              `client.dns.mappings: "db" for ""`,
		"client: {dns: {suffixes: [a]}}":                       `unknown field "suffixes"`,
		"intercept: {environment: {excluded: DATABASE_URL}}":   "excluded",
		"intercept: {unmatchedAfter: -1s}":                     "intercept.unmatchedAfter is -1s: use 0s",
		"agentInjector: {schedulingGrace: -1s}":                "agentInjector.schedulingGrace is -1s: use 0s",
	} {
		if _, err := Parse([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want an error with %s", text, err, want)
		}
	}
}
