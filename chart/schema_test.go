package chart_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestSchemaIsStrict(t *testing.T) {
	for _, tt := range []struct{ set, want string }{
		{"replica=2", "'replica'"},
		{"image.tags=x", "/image': additional properties 'tags'"},
		{"agent.image.pullPolicy=Sometimes", "/agent/image/pullPolicy"},
		{"agent.resource.limits.cpu=1", "/agent': additional properties 'resource'"},
		{"agent.resources.limits.cpu=many", "/agent/resources/limits/cpu"},
		{"agent.maxIdleTime=soon", "/agent/maxIdleTime"},
		{"agent.appProtocolStrategy=guess", "/agent/appProtocolStrategy"},
		{"agentInjector.schedulingGrace=soon", "/agentInjector/schedulingGrace"},
		{"agentInjector.injectPolicy=Always", "/agentInjector/injectPolicy"},
		{"agentInjector.timeoutSeconds=60", "/agentInjector/timeoutSeconds"},
		{"trafficManager.serviceMesh.type=kuma", "/trafficManager/serviceMesh/type"},
		{"trafficManager.serviceMesh.kind=istio", "/trafficManager/serviceMesh': additional properties 'kind'"},
		{"intercept.environment.excluded=API_KEY", "/intercept/environment/excluded"},
		{"intercept.expiredNotifications.deadline=10", "/intercept/expiredNotifications/deadline"},
		{"intercept.unmatchedAfter=soon", "/intercept/unmatchedAfter"},
		{"policy.forbidGlobalIntercepts.namespace={a}", "/policy/forbidGlobalIntercepts"},
		{"policy.requireMatch.headers=a", "/policy/requireMatch"},
		{"policy.requireMatch.header=a b", "/policy/requireMatch/header"},
		{"client.dns.suffixes={a}", "/client/dns"},
		{"client.routing.alsoProxySubnets={10.0.0.1}", "/client/routing/alsoProxySubnets/0"},
		{"client.routing.virtualSubnet=10.0.0.1", "/client/routing/virtualSubnet"},
		{"clientRbac.openNetwork=maybe", "/clientRbac/openNetwork"},
		{"clientRbac.subjects[0].kind=Robot", "/clientRbac/subjects/0"},
		{"namespaces={Not_A_Namespace}", "/namespaces/0"},
		{"replicas=0", "/replicas"},
		{"podDisruptionBudget.maxUnavailable=0", "/podDisruptionBudget/maxUnavailable"},
		{"license.secretName=a", "/license"},
		{"licenseKey.name=a", "/licenseKey"},
		{"securityContext.privileged=true", "/securityContext': additional properties 'privileged'"},
		{"affinity.podAffinity.preferredDuringSchedulingIgnoredDuringExecution[0].podTerm.topologyKey=a", "/affinity/podAffinity"},
		{"tolerations[0].keys=a", "/tolerations/0"},
		{"topologySpreadConstraints[0].topologyKey=a", "/topologySpreadConstraints/0"},
		{"networkPolicy.metricsFrom[0].namespaces={a}", "/networkPolicy/metricsFrom/0"},
		{"serviceMonitor.label.a=b", "/serviceMonitor"},
		{"preview.domain=*.example.com", "/preview/domain"},
		{"directAccess.type=nodeport", "/directAccess/type"},
		{"directAccess.host=a b", "/directAccess/host"},
		{"directAccess.port=0", "/directAccess/port"},
		{"directAccess.ingress.class=a", "/directAccess/ingress"},
		{"preview.services={ingress}", "/preview/services/0"},
		{"preview.hosts={a.*.example.com}", "/preview/hosts/0"},
		{"preview.hosts={shop.example.com:80}", "/preview/hosts/0"},
		{"preview.gateway.parentRefs[0].names=a", "/preview/gateway/parentRefs/0"},
	} {
		_, err := render(t, "intercept-system", tt.set)
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want an error that names %s", tt.set, err, tt.want)
		}
	}
}

// Values that contradict each other are refused with what to do.
func TestContradictions(t *testing.T) {
	for _, tt := range []struct{ set, want string }{
		{"clientRbac.namespaces={shop},clientRbac.allowEverybody=true", "name the people in clientRbac.subjects"},
		{"clientRbac.subjects[0].kind=Group,clientRbac.subjects[0].name=system:authenticated", "set clientRbac.allowEverybody=true"},
		{"directAccess.type=Ingress", "needs a name in directAccess.host"},
		{"directAccess.type=Ingress,directAccess.host=10.0.0.1", "needs a name in directAccess.host"},
		{"directAccess.type=NodePort,namespaces={shop}", "directAccess.type NodePort needs directAccess.host if namespaces is set"},
		{"directAccess.type=NodePort,directAccess.externalTrafficPolicy=Local", "directAccess.type NodePort needs directAccess.host with externalTrafficPolicy Local"},
		{"preview.enabled=true", "preview.enabled needs preview.domain"},
		{"preview.enabled=true,preview.domain=a.example.com,namespaces={shop},preview.services={shop/web,edge/nginx}",
			"preview.services has edge/nginx, and the traffic-manager does not work in namespace edge: add that to namespaces"},
		{"license.required=true", "license.required needs license.publicKey"},
		{"policy.requireMatch.enabled=true", "set policy.requireMatch.header or policy.requireMatch.baggage"},
		{"policy.requireMatch.enabled=true,policy.requireMatch.header=a,policy.requireMatch.baggage=b", "and not both"},
		{"licenseKey.create=true", "give license.key, or license.secret.name"},
	} {
		_, err := render(t, "intercept-system", tt.set)
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want an error with %q", tt.set, err, tt.want)
		}
	}
}

// property is as much of a JSON schema as the tests need.
type property struct {
	Ref                  string `json:"$ref"`
	Type                 any
	Description          string
	Properties           map[string]property
	AdditionalProperties any
	Items                *property
	Definitions          map[string]property
}

func schema(t *testing.T) property {
	t.Helper()
	var p property
	if err := json.Unmarshal(load(t).Schema, &p); err != nil {
		t.Fatal(err)
	}
	return p
}

// Every object of the schema says which keys it has. "global" is Helm's.
func TestSchemaIsClosed(t *testing.T) {
	var closed func(path string, p property)
	closed = func(path string, p property) {
		object := p.Type == "object"
		if list, ok := p.Type.([]any); ok {
			object = slices.Contains(list, "object")
		}
		if object && p.AdditionalProperties == nil && path != ".global" {
			t.Errorf("%s takes any key", path)
		}
		for name, child := range p.Properties {
			closed(path+"."+name, child)
		}
		for name, child := range p.Definitions {
			closed("#"+name, child)
		}
		if p.Items != nil {
			closed(path+"[]", *p.Items)
		}
	}
	closed("", schema(t))
}

func TestReadme(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	var table bytes.Buffer
	table.WriteString("| Value | Default | |\n|---|---|---|\n")
	schema(t).rows(t, &table, "", load(t).Values)
	re := regexp.MustCompile(`(?s)(<!-- values: [^>]*-->\n).*(<!-- end of values -->)`)
	if !re.Match(readme) {
		t.Fatal("README.md has no place for the table of values")
	}
	want := re.ReplaceAllFunc(readme, func(m []byte) []byte {
		parts := re.FindSubmatch(m)
		return slices.Concat(parts[1], table.Bytes(), parts[2])
	})
	if *update {
		if err := os.WriteFile("README.md", want, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(string(want), string(readme)); diff != "" {
		t.Errorf("README.md is stale, go test ./chart -update writes it (-want +got):\n%s", diff)
	}
}

// rows writes a line for every value that has a description, and fails for one
// that has neither a description nor children, or no default. What is
// deprecated has none.
func (p property) rows(t *testing.T, w *bytes.Buffer, path string, defaults any) {
	deprecated := strings.HasPrefix(p.Description, "Deprecated: ")
	switch {
	case deprecated:
		fmt.Fprintf(w, "| `%s` | | %s |\n", path, p.Description)
		return
	case p.Description != "":
		value, err := json.Marshal(defaults)
		if err != nil {
			t.Fatal(err)
		}
		if defaults == nil {
			t.Errorf("%s has no default in values.yaml", path)
		}
		fmt.Fprintf(w, "| `%s` | `%s` | %s |\n", path, value, p.Description)
		return
	case len(p.Properties) == 0:
		t.Errorf("%s has no description in values.schema.json", path)
	}
	values, _ := defaults.(map[string]any)
	for key := range values {
		if _, ok := p.Properties[key]; !ok {
			t.Errorf("%s.%s is in values.yaml and not in values.schema.json", path, key)
		}
	}
	keys := make([]string, 0, len(p.Properties))
	for key := range p.Properties {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	for _, key := range keys {
		if path == "" && key == "global" {
			continue
		}
		p.Properties[key].rows(t, w, strings.TrimPrefix(path+"."+key, "."), values[key])
	}
}
