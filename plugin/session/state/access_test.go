package state

import (
	"net/netip"
	"slices"
	"testing"
)

// wanted asks for a device.
func wanted(namespace string, by ...string) Device {
	return Device{Socket: "s", Namespace: namespace, Holders: by}
}

func TestDeviceHolders(t *testing.T) {
	ask := func(namespace, by string) func(*Device) *Device {
		return func(d *Device) *Device { next := wanted(namespace, by).Covering(d); return &next }
	}
	end := func(by string) func(*Device) *Device { return func(d *Device) *Device { return d.Without(by) } }
	for name, test := range map[string]struct {
		steps []func(*Device) *Device
		want  []string // the namespace after each; "" is none
	}{
		"a command alone":                  {[]func(*Device) *Device{ask("shop", "c"), end("c")}, []string{"shop", ""}},
		"a command on what stands":         {[]func(*Device) *Device{ask("shop", Standing), ask("shop", "c"), end("c")}, []string{"shop", "shop", "shop"}},
		"a command of another namespace":   {[]func(*Device) *Device{ask("shop", Standing), ask("blog", "c"), end("c")}, []string{"shop", "blog", "shop"}},
		"two commands":                     {[]func(*Device) *Device{ask("shop", "c"), ask("shop", "d"), end("c"), end("d")}, []string{"shop", "shop", "shop", ""}},
		"two of different namespaces":      {[]func(*Device) *Device{ask("shop", "c"), ask("blog", "d"), end("c"), end("d")}, []string{"shop", "blog", "blog", ""}},
		"it comes to stand meanwhile":      {[]func(*Device) *Device{ask("shop", "c"), ask("shop", Standing), end("c")}, []string{"shop", "shop", "shop"}},
		"another comes to stand meanwhile": {[]func(*Device) *Device{ask("shop", "c"), ask("blog", Standing), end("c")}, []string{"shop", "blog", "blog"}},
		"what stands moves to a command's": {[]func(*Device) *Device{ask("shop", Standing), ask("blog", "c"), ask("blog", Standing), end("c")}, []string{"shop", "blog", "blog", "blog"}},
	} {
		var d *Device
		for n, step := range test.steps {
			d = step(d)
			got := ""
			if d != nil {
				got = d.Namespace
			}
			if got != test.want[n] {
				t.Errorf("%s, step %d: %q, want %q", name, n, got, test.want[n])
			}
		}
	}
	before := wanted("shop")
	if d := wanted("shop").Covering(&before); d.Replaces(&before) || !slices.Equal(d.Holders, []string{Standing}) {
		t.Errorf("the same replaces itself: %+v", d)
	}
	other := before
	other.Also = []netip.Prefix{netip.MustParsePrefix("10.20.0.0/16")}
	if !other.Replaces(&before) || other.String() != "names as in namespace shop, --also-proxy 10.20.0.0/16" {
		t.Errorf("other networks: %s", &other)
	}
}

func TestRelease(t *testing.T) {
	s := State{Proxies: []Proxy{{Address: "a", Holders: AddHolders(nil, []string{"c"})}, {Address: "b", Holders: []string{"c"}}, {Address: "c"}}}
	d := wanted("shop", "c")
	s.Device = &d
	s.Release("c")
	if s.Device != nil || len(s.Proxies) != 2 || s.Proxies[0].Address != "a" || s.Proxies[1].Address != "c" || !s.Online() {
		t.Errorf("left is %+v", s)
	}
}
