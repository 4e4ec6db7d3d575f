package intercept

import (
	"fmt"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
)

// localHost is where programs on the laptop are reached.
const localHost = "127.0.0.1"

// parsePort reads LOCAL[:SVCPORT[/PROTO]]. An empty Protocol means whichever
// the port turns out to have.
func parsePort(flag string) (v1alpha1.InterceptPort, error) {
	bad := func(why string) (v1alpha1.InterceptPort, error) {
		return v1alpha1.InterceptPort{}, fmt.Errorf(
			"--port %q: %s: write LOCAL[:SVCPORT[/PROTO]], for example 8080:http or 5353:dns/udp", flag, why)
	}
	rest, protocol, found := strings.Cut(flag, "/")
	p := v1alpha1.InterceptPort{Protocol: corev1.Protocol(strings.ToUpper(protocol)), LocalHost: localHost}
	if found && p.Protocol != corev1.ProtocolTCP && p.Protocol != corev1.ProtocolUDP {
		return bad(fmt.Sprintf("protocol %q is neither tcp nor udp", protocol))
	}
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
