// Package config is the file in which the chart tells the traffic-manager what
// people chose: /etc/traffic-manager/config.yaml, from the ConfigMap
// traffic-manager-config. A change of it is a new pod. What concerns this one
// process, its addresses and its own log level, are flags.
package config

import (
	"fmt"
	"net/netip"
	"os"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"sigs.k8s.io/yaml"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/manager/inject"
	"github.com/kubectl-intercept/kubectl-intercept/manager/mesh"
	"github.com/kubectl-intercept/kubectl-intercept/manager/version"
)

// Config is the whole file.
type Config struct {
	Agent         Agent         `json:"agent"`
	AgentInjector AgentInjector `json:"agentInjector"`
	ServiceMesh   ServiceMesh   `json:"serviceMesh"`
	Intercept     Intercept     `json:"intercept"`
	Client        Client        `json:"client"`
	Session       Session       `json:"session"`
	Preview       Preview       `json:"preview"`
	DirectAccess  DirectAccess  `json:"directAccess"`
}

// DirectAccess is about connections of sessions that do not come by the API server.
type DirectAccess struct {
	// Type is LoadBalancer, NodePort or Ingress; empty if there are none.
	Type string `json:"type,omitempty"`
	// Host is what sessions dial, unless the Service or the nodes say it. Port is that of the
	// load balancer or Ingress.
	Host string `json:"host,omitempty"`
	Port int32  `json:"port,omitempty"`
}

// Preview is about the URLs of intercepts.
type Preview struct {
	Enabled bool `json:"enabled"`
	// Domain is the one below which each preview has a name.
	Domain string `json:"domain,omitempty"`
	// Services are those that every preview may enter the cluster by, as
	// "NAMESPACE/NAME".
	Services []string `json:"services,omitempty"`
	// Hosts are those that previews may ask these Services for. None: those of the
	// Ingresses and HTTPRoutes in the namespace of the intercept.
	Hosts []string `json:"hosts,omitempty"`
}

// Session is about the users of connected machines.
type Session struct {
	// MaxAge is how long the groups of a user are believed that the API server has
	// confirmed.
	MaxAge metav1.Duration `json:"maxAge"`
}

// Client is about the network of connected machines.
type Client struct {
	Routing v1alpha1.SessionRouting `json:"routing"`
	DNS     v1alpha1.SessionDNS     `json:"dns"`
	// OpenNetwork lets every machine dial any address.
	OpenNetwork bool `json:"openNetwork"`
}

// Agent is what every agent is made with.
type Agent struct {
	Image           string            `json:"image"`
	ImagePullPolicy corev1.PullPolicy `json:"imagePullPolicy"`
	// ImagePullSecrets are names of Secrets in the namespaces of the pods.
	ImagePullSecrets []string `json:"imagePullSecrets,omitempty"`
	// LogLevel is debug, info, warn or error.
	LogLevel string `json:"logLevel"`
	// Resources are a sidecar's, InitResources its init container's. The API
	// server takes none for an ephemeral container.
	Resources     corev1.ResourceRequirements `json:"resources,omitempty"`
	InitResources corev1.ResourceRequirements `json:"initResources,omitempty"`
	// AppProtocolStrategy finds the protocol of a port without appProtocol.
	AppProtocolStrategy ProtocolStrategy `json:"appProtocolStrategy"`
	// MaxIdleTime is how long an agent without an intercept stays; 0 is for ever.
	MaxIdleTime metav1.Duration `json:"maxIdleTime"`
}

// ProtocolStrategy is a way to find out a port's protocol.
type ProtocolStrategy string

// The strategies.
const (
	HTTP2Probe ProtocolStrategy = "http2Probe"
	PortName   ProtocolStrategy = "portName"
	HTTP       ProtocolStrategy = "http"
	HTTP2      ProtocolStrategy = "http2"
)

// AgentInjector is about agents as sidecars.
type AgentInjector struct {
	Enabled      bool          `json:"enabled"`
	InjectPolicy inject.Policy `json:"injectPolicy"`
	// SchedulingGrace is how long a pod with a sidecar may look for a node before
	// that is a failure; without it only a node that an autoscaler announces is
	// waited for.
	SchedulingGrace metav1.Duration `json:"schedulingGrace"`
}

// ServiceMesh is the mesh of the cluster.
type ServiceMesh struct {
	Type mesh.Kind `json:"type"`
}

// Intercept is what intercepts may do.
type Intercept struct {
	Environment          Environment          `json:"environment"`
	ExpiredNotifications ExpiredNotifications `json:"expiredNotifications"`
	// UnmatchedAfter is how long after the first request that a personal intercept does not
	// take its owner is told that it takes none; 0 is never.
	UnmatchedAfter metav1.Duration `json:"unmatchedAfter"`
	// ResponseHeader adds the header x-intercept to laptops' answers to single requests.
	ResponseHeader bool `json:"responseHeader"`
}

// Environment is about the variables of intercepted containers.
type Environment struct {
	// Excluded are names of variables that never leave the pod.
	Excluded []string `json:"excluded,omitempty"`
}

// ExpiredNotifications is about requests for personal intercepts that ended.
type ExpiredNotifications struct {
	Enabled  bool            `json:"enabled"`
	Deadline metav1.Duration `json:"deadline"`
}

// Default is the configuration of a chart without values.
func Default() *Config {
	return &Config{
		Agent: Agent{Image: "kubectl-intercept.dev/traffic-agent:" + version.Version, ImagePullPolicy: corev1.PullIfNotPresent,
			LogLevel: "info", AppProtocolStrategy: HTTP2Probe, Resources: requests("10m", "32Mi"), InitResources: requests("10m", "16Mi")},
		AgentInjector: AgentInjector{Enabled: true, InjectPolicy: inject.OnDemand},
		ServiceMesh:   ServiceMesh{Type: mesh.None},
		Session:       Session{MaxAge: metav1.Duration{Duration: 24 * time.Hour}},
		Intercept: Intercept{ExpiredNotifications: ExpiredNotifications{Deadline: metav1.Duration{Duration: time.Hour}},
			UnmatchedAfter: metav1.Duration{Duration: 30 * time.Second}, ResponseHeader: true},
	}
}

// requests are what a container asks for. A HorizontalPodAutoscaler goes by shares
// of that, of every container.
func requests(cpu, memory string) corev1.ResourceRequirements {
	return corev1.ResourceRequirements{Requests: corev1.ResourceList{
		corev1.ResourceCPU: resource.MustParse(cpu), corev1.ResourceMemory: resource.MustParse(memory)}}
}

// Load reads a file over the defaults. For "" it is the defaults.
func Load(path string) (*Config, error) {
	if path == "" {
		return Default(), nil
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	c, err := Parse(data)
	if err != nil {
		return nil, fmt.Errorf("read configuration %s: %w", path, err)
	}
	return c, nil
}

// Parse is Load of a file's content. A key that it does not know is an error:
// the chart and the program are not of one version.
func Parse(data []byte) (*Config, error) {
	c := Default()
	// A file says all about them: what it leaves out is not asked for.
	c.Agent.Resources, c.Agent.InitResources = corev1.ResourceRequirements{}, corev1.ResourceRequirements{}
	if err := yaml.UnmarshalStrict(data, c); err != nil {
		return nil, err
	}
	return c, c.check()
}

// minAge is what sessions need to be confirmed again in time.
const minAge = time.Minute

func (c *Config) check() error {
	for _, f := range []struct {
		name, value string
		allowed     []string
	}{
		{"agent.imagePullPolicy", string(c.Agent.ImagePullPolicy), []string{"Always", "IfNotPresent", "Never"}},
		{"agent.logLevel", c.Agent.LogLevel, []string{"debug", "info", "warn", "error"}},
		{"agent.appProtocolStrategy", string(c.Agent.AppProtocolStrategy), []string{"http2Probe", "portName", "http", "http2"}},
		{"agentInjector.injectPolicy", string(c.AgentInjector.InjectPolicy), []string{string(inject.OnDemand), string(inject.WhenEnabled)}},
		{"directAccess.type", c.DirectAccess.Type, []string{"", "LoadBalancer", "NodePort", "Ingress"}},
		{"serviceMesh.type", string(c.ServiceMesh.Type), []string{string(mesh.None), string(mesh.Istio), string(mesh.Linkerd)}},
	} {
		if !slices.Contains(f.allowed, f.value) {
			return fmt.Errorf("%s is %q: use one of %q", f.name, f.value, f.allowed)
		}
	}
	if c.Agent.Image == "" {
		return fmt.Errorf("agent.image is empty")
	}
	if c.Agent.MaxIdleTime.Duration < 0 {
		return fmt.Errorf("agent.maxIdleTime is %s: use 0s for no limit", c.Agent.MaxIdleTime.Duration)
	}
	if c.Session.MaxAge.Duration < minAge {
		return fmt.Errorf("session.maxAge is %s: use at least %s", c.Session.MaxAge.Duration, minAge)
	}
	if err := c.Client.check(); err != nil {
		return err
	}
	if problems := validation.IsDNS1123Subdomain(c.Preview.Domain); c.Preview.Enabled && len(problems) > 0 {
		return fmt.Errorf("preview.domain is %q: %s", c.Preview.Domain, problems[0])
	}
	if c.AgentInjector.SchedulingGrace.Duration < 0 {
		return fmt.Errorf("agentInjector.schedulingGrace is %s: use 0s for none", c.AgentInjector.SchedulingGrace.Duration)
	}
	if c.Intercept.UnmatchedAfter.Duration < 0 {
		return fmt.Errorf("intercept.unmatchedAfter is %s: use 0s for never", c.Intercept.UnmatchedAfter.Duration)
	}
	for _, name := range c.Intercept.Environment.Excluded {
		if problems := validation.IsEnvVarName(name); len(problems) > 0 {
			return fmt.Errorf("intercept.environment.excluded: %q is no name of a variable: %s", name, problems[0])
		}
	}
	return nil
}

func (c *Client) check() error {
	r := &c.Routing
	for _, f := range []struct {
		name    string
		subnets []string
	}{
		{"alsoProxySubnets", r.AlsoProxySubnets}, {"neverProxySubnets", r.NeverProxySubnets},
		{"allowConflictingSubnets", r.AllowConflictingSubnets},
	} {
		if _, err := Subnets(f.subnets); err != nil {
			return fmt.Errorf("client.routing.%s: %w", f.name, err)
		}
	}
	if r.VirtualSubnet != "" {
		if _, err := Subnets([]string{r.VirtualSubnet}); err != nil {
			return fmt.Errorf("client.routing.virtualSubnet: %w", err)
		}
	}
	for _, m := range c.DNS.Mappings {
		if m.Name == "" || m.AliasFor == "" {
			return fmt.Errorf("client.dns.mappings: %q for %q: both names are needed", m.Name, m.AliasFor)
		}
	}
	return nil
}

// Subnets reads subnets such as "10.20.0.0/16". Bits of the host are refused:
// who writes them means something else.
func Subnets(list []string) ([]netip.Prefix, error) {
	var out []netip.Prefix
	for _, s := range list {
		p, err := netip.ParsePrefix(s)
		if err != nil {
			return nil, fmt.Errorf("%q is no subnet: write it as 10.20.0.0/16", s)
		}
		if p.Masked() != p {
			return nil, fmt.Errorf("%q is no subnet: write %s", s, p.Masked())
		}
		out = append(out, p)
	}
	return out, nil
}
