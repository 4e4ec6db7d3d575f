package config

import (
	"fmt"
	"os"
	"reflect"
	"strconv"
	"strings"

	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"sigs.k8s.io/yaml"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/kube"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/state"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/target"
)

// setting is one value. Its name has dots, as in --set.
type setting struct {
	name   string
	value  any
	source string
}

const byDefault = "default"

// local are the settings that this machine decides about.
func local(f *kube.Factory) ([]setting, error) {
	cfg, err := f.ToRESTConfig()
	if err != nil {
		return nil, fmt.Errorf("read kubeconfig: %w", err)
	}
	raw, err := f.ToRawKubeConfigLoader().RawConfig()
	if err != nil {
		return nil, fmt.Errorf("read kubeconfig: %w", err)
	}
	namespace, err := f.Namespace()
	if err != nil {
		return nil, err
	}
	name := raw.CurrentContext
	if given(f.Context) {
		name = *f.Context
	}
	context := raw.Contexts[name]
	if context == nil {
		context = &clientcmdapi.Context{}
	}
	cluster := raw.Clusters[context.Cluster]
	if cluster == nil {
		cluster = &clientcmdapi.Cluster{}
	}
	of := func(file string) string {
		if file == "" {
			return "kubeconfig"
		}
		return "kubeconfig " + file
	}
	settings := []setting{
		{"context", name, from(f.Context, "context", name != "", of(context.LocationOfOrigin))},
		{"server", cfg.Host, from(f.APIServer, "server", cluster.Server != "", of(cluster.LocationOfOrigin))},
		{"namespace", namespace, from(f.ConfigFlags.Namespace, "namespace", context.Namespace != "", of(context.LocationOfOrigin))},
		{"managerNamespace", f.ManagerNamespace, byDefault},
	}
	if f.ManagerNamespace != kube.DefaultManagerNamespace {
		settings[len(settings)-1].source = "flag --manager-namespace"
	}
	folder, err := state.Usable()
	if err != nil {
		return nil, err
	}
	source := byDefault
	if os.Getenv("XDG_CACHE_HOME") != "" && strings.HasPrefix(folder, os.Getenv("XDG_CACHE_HOME")) {
		source = "environment variable XDG_CACHE_HOME"
	}
	return append(settings, setting{"sessions", folder, source}), nil
}

// from is where a value comes from that a flag may give, or else a kubeconfig.
func from(flag *string, name string, inFile bool, file string) string {
	switch {
	case given(flag):
		return "flag --" + name
	case inFile:
		return file
	}
	return byDefault
}

func given(flag *string) bool { return flag != nil && *flag != "" }

// client is the part of the chart's values that is for every machine.
type client struct {
	Routing v1alpha1.SessionRouting `json:"routing"`
	DNS     v1alpha1.SessionDNS     `json:"dns"`
}

// remote are the settings that the cluster decides about.
func remote(i *target.Installation) ([]setting, error) {
	var c client
	if err := yaml.Unmarshal([]byte(i.Client), &c); err != nil {
		return nil, fmt.Errorf("client.yaml: %w", err)
	}
	says := fmt.Sprintf("the chart's %%s, in namespace %s", i.Namespace)
	var settings []setting
	add := func(name, helm string, value any) {
		source := byDefault
		if !empty(value) {
			source = fmt.Sprintf(says, helm)
		}
		settings = append(settings, setting{name, value, source})
	}
	add("routing.alsoProxySubnets", "client.routing.alsoProxySubnets", c.Routing.AlsoProxySubnets)
	add("routing.neverProxySubnets", "client.routing.neverProxySubnets", c.Routing.NeverProxySubnets)
	add("routing.allowConflictingSubnets", "client.routing.allowConflictingSubnets", c.Routing.AllowConflictingSubnets)
	add("routing.virtualSubnet", "client.routing.virtualSubnet", c.Routing.VirtualSubnet)
	add("dns.includeSuffixes", "client.dns.includeSuffixes", c.DNS.IncludeSuffixes)
	add("dns.excludeSuffixes", "client.dns.excludeSuffixes", c.DNS.ExcludeSuffixes)
	add("dns.mappings", "client.dns.mappings", c.DNS.Mappings)
	add("cluster.namespaces", "namespaces", []string(i.Namespaces))
	add("cluster.openNetwork", "clientRbac.openNetwork", i.OpenNetwork)
	add("cluster.forbidGlobalIntercepts", "policy.forbidGlobalIntercepts", i.GlobalForbidden)
	add("cluster.previewDomain", "preview.domain", i.PreviewDomain)
	return settings, nil
}

// empty says that a value says nothing.
func empty(value any) bool {
	v := reflect.ValueOf(value)
	return v.IsZero() || v.Kind() == reflect.Slice && v.Len() == 0
}

// text is a value in a table.
func (s *setting) text() string {
	switch v := s.value.(type) {
	case bool:
		return strconv.FormatBool(v)
	case []string:
		if len(v) > 0 {
			return strings.Join(v, ",")
		}
	case []v1alpha1.DNSMapping:
		var all []string
		for _, m := range v {
			all = append(all, m.Name+"="+m.AliasFor)
		}
		if len(all) > 0 {
			return strings.Join(all, ",")
		}
	case string:
		if v != "" {
			return v
		}
	}
	return "<none>"
}

// View is what -o json prints: the settings, and by their names where each comes from.
type View struct {
	Config  map[string]any    `json:"config"`
	Sources map[string]string `json:"sources"`
}

// nested makes a tree of names with dots. Lists without an item are shown as such.
func nested(settings []setting) View {
	v := View{Config: map[string]any{}, Sources: map[string]string{}}
	for _, s := range settings {
		v.Sources[s.name] = s.source
		at, last := v.Config, s.name
		if group, name, dotted := strings.Cut(s.name, "."); dotted {
			inner, ok := v.Config[group].(map[string]any)
			if !ok {
				inner = map[string]any{}
				v.Config[group] = inner
			}
			at, last = inner, name
		}
		if reflect.ValueOf(s.value).Kind() == reflect.Slice && empty(s.value) {
			s.value = []string{}
		}
		at[last] = s.value
	}
	return v
}
