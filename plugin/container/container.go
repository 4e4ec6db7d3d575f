package container

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/kubectl-intercept/kubectl-intercept/plugin/environment"
)

// Port is a port of the container, and where the engine publishes it: there the intercept's
// traffic arrives.
type Port struct {
	Host             string
	Local, Container int32
	Protocol         string // tcp or udp
}

// DNS is the name server of the cluster's network on this machine.
type DNS struct {
	Server netip.Addr
	Search []string
}

// Volume is a folder or a file of this machine that the container has at a path.
type Volume struct{ Source, Path string }

// Container is a container to run.
type Container struct {
	Engine *Engine
	Args   *Args
	// Name is the container's, unless Args have one.
	Name string
	// Labels have the form NAME=VALUE.
	Labels []string
	Ports  []Port
	// Volumes are mounted unless Args mount something at their paths.
	Volumes []Volume
	// Environment goes to the container by a file. Nil: only what the image and Args say.
	Environment environment.Environment
	// DNS is nil if this machine has no network of the cluster.
	DNS *DNS
}

// CalledName is the name under which the engine lists the container.
func (c *Container) CalledName() string {
	if c.Args.Name != "" {
		return c.Args.Name
	}
	return c.Name
}

// line is the engine's command line. What the user typed comes last, so that it holds.
func (c *Container) line(cidFile, envFile string, passed []string) []string {
	line := []string{"run", "--rm", "--cidfile", cidFile}
	if c.Args.Name == "" {
		line = append(line, "--name", c.Name)
	}
	for _, l := range c.Labels {
		line = append(line, "--label", l)
	}
	if envFile != "" {
		line = append(line, "--env-file", envFile)
	}
	for _, name := range passed {
		line = append(line, "--env", name)
	}
	for _, v := range c.Volumes {
		if !c.Args.mounts(v.Path) {
			line = append(line, "--mount", v.value())
		}
	}
	if c.Args.ownNetwork() {
		line = append(line, c.network()...)
	}
	return append(line, c.Args.Line...)
}

// value is that of the flag --mount, a line of CSV.
func (v Volume) value() string {
	fields := []string{"type=bind", "source=" + v.Source, "target=" + v.Path}
	for n, f := range fields {
		if strings.ContainsAny(f, "\",\r\n") {
			fields[n] = `"` + strings.ReplaceAll(f, `"`, `""`) + `"`
		}
	}
	return strings.Join(fields, ",")
}

// published are the ports that the engine publishes, which the user does not.
func (c *Container) published() (ports []Port) {
	if !c.Args.ownNetwork() {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(c.Ports), c.Args.publishes)
}

// Published says for people which local ports lead to which ports of the container.
func (c *Container) Published() (lines []string) {
	for _, p := range c.published() {
		lines = append(lines, fmt.Sprintf("%s is its port %d/%s", net.JoinHostPort(p.Host, strconv.Itoa(int(p.Local))), p.Container, p.Protocol))
	}
	return lines
}

// Elsewhere are the addresses at which ports are published and which this machine does not have.
// An engine on another machine may publish there, and one on this machine cannot.
func (c *Container) Elsewhere() (hosts []string) {
	own, err := net.InterfaceAddrs()
	if err != nil {
		return nil
	}
	for _, p := range c.published() {
		ip := net.ParseIP(p.Host)
		has := func(a net.Addr) bool { n, ok := a.(*net.IPNet); return ok && n.IP.Equal(ip) }
		if !ip.IsLoopback() && !slices.ContainsFunc(own, has) && !slices.Contains(hosts, p.Host) {
			hosts = append(hosts, p.Host)
		}
	}
	return hosts
}

// network are the flags of a container that has a network of its own.
func (c *Container) network() (line []string) {
	for _, p := range c.published() {
		line = append(line, "--publish", fmt.Sprintf("%s:%d/%s", net.JoinHostPort(p.Host, strconv.Itoa(int(p.Local))), p.Container, p.Protocol))
	}
	if c.DNS == nil {
		return line
	}
	line = append(line, "--dns", c.DNS.Server.String())
	for _, s := range c.DNS.Search {
		line = append(line, "--dns-search", s)
	}
	return append(line, "--dns-option", "ndots:5") // as pods have it
}

// own are names by which the engine's own program is set up: a value of the container's would
// change what the engine does.
var own = [...]string{"DOCKER_", "CONTAINER", "PODMAN_", "NERDCTL_", "BUILDAH_", "BUILDKIT_", "REGISTRY_", "LD_", "DYLD_", "GO", "HTTP", "NO_PROXY", "ALL_PROXY", "SSL_", "XDG_", "STORAGE_", "_"}

// split says how each variable comes to the container: in the text of an env file, or, with
// line breaks, through the environment of the engine's program (passed are the names). Left
// are those that have no way.
func (c *Container) split() (text []byte, passed environment.Environment, left []environment.LeftOut) {
	text, all := environment.Syntax("docker").Encode(c.Environment)
	values := map[string]string{}
	for _, v := range c.Environment {
		values[v.Name] = v.Value
	}
	for _, l := range all {
		reserved := slices.ContainsFunc(own[:], func(p string) bool { return strings.HasPrefix(strings.ToUpper(l.Name), p) })
		_, here := os.LookupEnv(l.Name)
		if reserved || here || strings.ContainsAny(l.Name, "= \t\r\n#") || len(values[l.Name]) >= maxPassed {
			left = append(left, l)
			continue
		}
		passed = append(passed, environment.Variable{Name: l.Name, Value: values[l.Name]})
	}
	return text, passed, left
}

// maxPassed is the length of a value that a program's environment takes on every system.
const maxPassed = 32 << 10
