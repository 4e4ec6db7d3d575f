package intercept

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
)

// localHost is where programs on the laptop are reached.
const localHost = "127.0.0.1"

// parsePort reads [HOST:]LOCAL[:SVCPORT[/PROTO]]. An empty Protocol means whichever
// the port turns out to have.
func parsePort(flag string) (v1alpha1.InterceptPort, error) {
	bad := func(why string) (v1alpha1.InterceptPort, error) {
		return v1alpha1.InterceptPort{}, fmt.Errorf(
			"--port %q: %s: write [HOST:]LOCAL[:SVCPORT[/PROTO]], for example 8080:http, 5353:dns/udp or [::1]:8080:http", flag, why)
	}
	rest, protocol, found := strings.Cut(flag, "/")
	p := v1alpha1.InterceptPort{Protocol: corev1.Protocol(strings.ToUpper(protocol))}
	if found && p.Protocol != corev1.ProtocolTCP && p.Protocol != corev1.ProtocolUDP {
		return bad(fmt.Sprintf("protocol %q is neither tcp nor udp", protocol))
	}
	host, rest, err := cutHost(rest)
	if err != nil {
		return bad(err.Error())
	}
	p.LocalHost = host
	local, remote, found := strings.Cut(rest, ":")
	n, err := strconv.ParseUint(local, 10, 16)
	if err != nil || n == 0 {
		return bad(fmt.Sprintf("local port %q is not a number from 1 to 65535", local))
	}
	p.LocalPort = int32(n)
	if !found {
		return p, nil
	}
	if remote == "" {
		return bad("the port after the colon is missing")
	}
	if number, err := strconv.Atoi(remote); err == nil {
		if number < 1 || number > 65535 {
			return bad(fmt.Sprintf("port %d is not a number from 1 to 65535", number))
		}
	} else if len(validation.IsDNS1123Label(remote)) > 0 {
		return bad(fmt.Sprintf("%q is neither name nor number of a port", remote))
	}
	p.Port = remote
	return p, nil
}

// cutHost returns the address that the text begins with, or that of localhost, and what
// follows. A name is no address: what it leads to could change while the intercept lasts.
func cutHost(text string) (host, rest string, err error) {
	if inside, six := strings.CutPrefix(text, "["); six {
		if host, rest, six = strings.Cut(inside, "]:"); !six {
			return "", "", errors.New("the local port after the address in brackets is missing")
		}
	} else {
		host, rest, _ = strings.Cut(text, ":")
		_, err := netip.ParseAddr(host)
		switch colons := strings.Count(text, ":"); {
		case colons == 0 || colons == 1 && err != nil && host != "localhost":
			return localHost, text, nil
		case colons > 2 && err != nil && host != "localhost":
			return "", "", errors.New("an IPv6 address needs brackets")
		}
	}
	if host == "localhost" {
		return localHost, rest, nil
	}
	if _, err := strconv.Atoi(host); err == nil {
		return "", "", errors.New("the port of a container is for --docker-run")
	}
	a, err := netip.ParseAddr(host)
	switch {
	case err != nil:
		return "", "", fmt.Errorf("%q is not an IP address", host)
	case a.IsUnspecified() || a.IsMulticast() || a.Zone() != "":
		return "", "", fmt.Errorf("%s is not the address of one program", host)
	}
	return a.Unmap().String(), rest, nil
}

// hosts are the addresses of the ports that are not loopback.
func hosts(ports []v1alpha1.InterceptPort) []string {
	var all []string
	for _, p := range ports {
		if a, err := netip.ParseAddr(p.LocalHost); (err != nil || !a.IsLoopback()) && !slices.Contains(all, p.LocalHost) {
			all = append(all, p.LocalHost)
		}
	}
	return all
}

func parsePorts(flags []string) ([]v1alpha1.InterceptPort, error) {
	if len(flags) == 0 {
		return nil, fmt.Errorf("--port is missing: which local port receives the traffic? For example --port 8080:http")
	}
	var ports []v1alpha1.InterceptPort
	for _, f := range flags {
		p, err := parsePort(f)
		if err != nil {
			return nil, err
		}
		ports = append(ports, p)
	}
	return ports, nil
}
