//go:build linux

package main

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
)

func TestConfigFrom(t *testing.T) {
	vars := map[string]string{"MESH_KIND": "istio", "MESH_STRICT": "true", "MESH_TLS_TO": "quote:80, other:81",
		"MESH_SKIP_OUT_PORTS": "443, 8000-8100", "MESH_SKIP_OUT_RANGES": "10.96.0.9/12"}
	getenv := func(name string) string { return vars[name] }
	c, err := ConfigFrom(getenv)
	if err != nil {
		t.Fatal(err)
	}
	if c.In != 15006 || c.User != 1337 || !c.Strict || c.RegistryOnly || !slices.Equal(c.TLSTo, []string{"quote:80", "other:81"}) ||
		!slices.Equal(c.SkipOutPorts, []PortRange{{443, 443}, {8000, 8100}}) ||
		!slices.Equal(c.SkipOutRanges, []netip.Prefix{netip.MustParsePrefix("10.96.0.0/12")}) {
		t.Errorf("got %+v", c)
	}
	for name, bad := range map[string]string{"MESH_KIND": "kuma", "MESH_SKIP_OUT_PORTS": "9-8", "MESH_SKIP_OUT_RANGES": "fd00::/8"} {
		good := vars[name]
		vars[name] = bad
		if _, err := ConfigFrom(getenv); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s=%s: %v", name, bad, err)
		}
		vars[name] = good
	}
}
