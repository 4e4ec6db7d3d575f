//go:build linux

package main

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// Kind is a mesh: where its proxy listens and what its redirects spare.
type Kind struct {
	Name              string
	In, Out, Admin    uint16
	User              uint32
	SpareIn           []uint16   // ports of the proxy itself
	PassesOnFrom      netip.Addr // invalid: whatever the kernel takes
	UsesGroup, ByHost bool       // istio: the proxy's group and 127.0.0.1 are spared too
}

// Istio and Linkerd are the meshes.
func kinds() []Kind {
	return []Kind{
		{Name: "istio", In: 15006, Out: 15001, Admin: 15021, User: 1337, SpareIn: []uint16{15008, 15090, 15021, 15020},
			PassesOnFrom: netip.AddrFrom4([4]byte{127, 0, 0, 6}), UsesGroup: true, ByHost: true},
		{Name: "linkerd", In: 4143, Out: 4140, Admin: 4191, User: 2102, SpareIn: []uint16{4190, 4191, 4567, 4568}},
	}
}

// Config is what the variables say.
type Config struct {
	Kind // MESH_KIND: istio or linkerd
	// Strict (MESH_STRICT=true) refuses callers without mTLS.
	Strict bool
	// RegistryOnly (MESH_REGISTRY_ONLY=true) refuses to pass on to anybody but
	// those in TLSTo.
	RegistryOnly bool
	// TLSTo (MESH_TLS_TO) are the "host:port" with a proxy of this kind.
	TLSTo []string
	// SkipOutPorts and SkipOutRanges are the annotations of the pod
	// (MESH_SKIP_OUT_PORTS, MESH_SKIP_OUT_RANGES). Ports may be "1-5".
	SkipOutPorts  []PortRange
	SkipOutRanges []netip.Prefix
	// Keys (MESH_KEYS) is the folder with ca.crt and ca.key.
	Keys string
	// Sidecars (MESH_SIDECARS) is the API version of istio's Sidecar objects;
	// Namespace and Pod (POD_NAMESPACE, POD_NAME) say whose.
	Sidecars, Namespace, Pod string
}

// PortRange is inclusive.
type PortRange struct{ From, To uint16 }

// ConfigFrom reads the variables.
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
