//go:build linux

package main

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// Kind describes a service mesh: the ports of its proxy, and the traffic that its
// redirects leave alone.
type Kind struct {
	Name           string
	In, Out, Admin uint16
	User           uint32
	SpareIn        []uint16   // inbound ports that are not redirected: the proxy's own
	PassesOnFrom   netip.Addr // source address toward the application; invalid: the kernel chooses
	UsesGroup      bool       // istio: what the proxy's group sends is not redirected either
}

// kinds returns the meshes that this program can imitate.
func kinds() []Kind {
	return []Kind{
		{Name: "istio", In: 15006, Out: 15001, Admin: 15021, User: 1337, SpareIn: []uint16{15008, 15090, 15021, 15020},
			PassesOnFrom: netip.AddrFrom4([4]byte{127, 0, 0, 6}), UsesGroup: true},
		{Name: "linkerd", In: 4143, Out: 4140, Admin: 4191, User: 2102, SpareIn: []uint16{4190, 4191, 4567, 4568}},
	}
}

// Config is the configuration, which environment variables set.
type Config struct {
	Kind // MESH_KIND: istio or linkerd
	// Strict (MESH_STRICT=true) refuses callers without mTLS.
	Strict bool
	// RegistryOnly (MESH_REGISTRY_ONLY=true) refuses outbound connections to
	// destinations that are not in TLSTo.
	RegistryOnly bool
	// TLSTo (MESH_TLS_TO) lists the destinations, as "host:port", that have a proxy
	// of this kind.
	TLSTo []string
	// SkipOutPorts and SkipOutRanges (MESH_SKIP_OUT_PORTS, MESH_SKIP_OUT_RANGES) are
	// the ports and destinations whose outbound connections are not redirected. A
	// mesh reads them from annotations of the pod. A port may be a range, "1-5".
	SkipOutPorts  []PortRange
	SkipOutRanges []netip.Prefix
	// Keys (MESH_KEYS) is the folder with ca.crt and ca.key.
	Keys string
	// Sidecars (MESH_SIDECARS) is the API version of Istio's Sidecar objects; without
	// it none are read. Namespace and Pod (POD_NAMESPACE, POD_NAME) name the pod that
	// the objects must select.
	Sidecars, Namespace, Pod string
}

// PortRange is a range of ports that includes both ends.
type PortRange struct{ From, To uint16 }

// ConfigFrom reads the environment variables with getenv.
func ConfigFrom(getenv func(string) string) (*Config, error) {
	c := &Config{
		Strict: getenv("MESH_STRICT") == "true", RegistryOnly: getenv("MESH_REGISTRY_ONLY") == "true",
		TLSTo: fields(getenv("MESH_TLS_TO")), Keys: getenv("MESH_KEYS"),
		Sidecars: getenv("MESH_SIDECARS"), Namespace: getenv("POD_NAMESPACE"), Pod: getenv("POD_NAME"),
	}
	for _, k := range kinds() {
		if k.Name == getenv("MESH_KIND") {
			c.Kind = k
		}
	}
	if c.Name == "" {
		return nil, fmt.Errorf("MESH_KIND is %q: use istio or linkerd", getenv("MESH_KIND"))
	}
	for _, text := range fields(getenv("MESH_SKIP_OUT_PORTS")) {
		r, err := parseRange(text)
		if err != nil {
			return nil, fmt.Errorf("MESH_SKIP_OUT_PORTS: %w", err)
		}
		c.SkipOutPorts = append(c.SkipOutPorts, r)
	}
	for _, text := range fields(getenv("MESH_SKIP_OUT_RANGES")) {
		p, err := netip.ParsePrefix(text)
		if err != nil || !p.Addr().Is4() {
			return nil, fmt.Errorf("MESH_SKIP_OUT_RANGES: %q is no IPv4 range", text)
		}
		c.SkipOutRanges = append(c.SkipOutRanges, p.Masked())
	}
	return c, nil
}

func parseRange(text string) (PortRange, error) {
	from, to, isRange := strings.Cut(text, "-")
	if !isRange {
		to = from
	}
	a, err := strconv.ParseUint(from, 10, 16)
	if err == nil {
		var b uint64
		if b, err = strconv.ParseUint(to, 10, 16); err == nil && a <= b {
			return PortRange{uint16(a), uint16(b)}, nil
		}
	}
	return PortRange{}, fmt.Errorf("%q is no port or range of ports", text)
}

func fields(text string) []string {
	return strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == ' ' })
}
