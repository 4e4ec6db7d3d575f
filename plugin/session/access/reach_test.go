package access

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestReach(t *testing.T) {
	const here, there, six, unknown = "192.0.2.1", "198.51.100.1", "2001:db8::1", "unknown"
	type step struct {
		local string // after a bar what this machine has beside
		quiet time.Duration
		times int
		want  actions // of the last
	}
	calm, long := time.Second, time.Minute
	tests := map[string][]step{
		"all is well":                {{here, calm, 100, actions{}}},
		"quiet for a moment":         {{here, calm, 1, actions{}}, {here, long, awayAfter, actions{}}, {here, calm, 1, actions{}}, {here, long, awayAfter, actions{}}},
		"away":                       {{here, calm, 1, actions{}}, {here, long, awayAfter + 1, actions{away: true}}, {here, calm, 1, actions{}}},
		"a process stood still":      {{here, calm, 1, actions{}}, {here, time.Hour, 1, actions{}}},
		"dead":                       {{here, long, deadAfter, actions{away: true}}, {here, long, 1, actions{away: true, renew: true}}},
		"dead once":                  {{here, long, deadAfter + 1, actions{away: true, renew: true}}, {here, long, 10 * deadAfter, actions{away: true}}},
		"dead again":                 {{here, long, deadAfter + 1, actions{away: true, renew: true}}, {here, calm, 1, actions{}}, {here, long, deadAfter + 1, actions{away: true, renew: true}}},
		"no network":                 {{here, calm, 1, actions{}}, {"", calm, 1, actions{away: true}}, {"", long, 100, actions{away: true}}},
		"back, and connections live": {{here, calm, 1, actions{}}, {"", calm, 1, actions{away: true}}, {here, calm, 1, actions{moved: true}}, {here, calm, 1, actions{}}},
		"back, and they revive":      {{here, calm, 1, actions{}}, {"", long, 9, actions{away: true}}, {here, long, 1, actions{away: true, moved: true}}, {here, long, backAfter - 1, actions{away: true}}, {here, calm, 1, actions{}}},
		"back, and they do not":      {{here, calm, 1, actions{}}, {"", long, 9, actions{away: true}}, {here, long, backAfter, actions{away: true}}, {here, long, 1, actions{renew: true}}, {here, long, 1, actions{}}},
		"another address":            {{here, calm, 1, actions{}}, {there, calm, 1, actions{renew: true, moved: true}}, {there, calm, 1, actions{}}},
		"another after a break":      {{here, calm, 1, actions{}}, {"", long, 9, actions{away: true}}, {there, long, 1, actions{renew: true, moved: true}}, {there, long, 1, actions{}}},
		"one answer more, or less":   {{here, calm, 1, actions{}}, {here + " " + six, calm, 1, actions{moved: true}}, {here + "|" + six, calm, 1, actions{}}, {here + " " + six, calm, 9, actions{}}},
		"one of two is gone":         {{here + " " + six, calm, 1, actions{}}, {here, calm, 1, actions{renew: true, moved: true}}, {here, calm, 1, actions{}}},
		"a better way":               {{here, calm, 1, actions{}}, {there + "|" + here, calm, 1, actions{moved: true}}, {there + "|" + here, calm, 9, actions{}}, {there, calm, 1, actions{renew: true, moved: true}}},
		"the address gets known":     {{unknown, calm, 2, actions{}}, {here, calm, 1, actions{moved: true}}, {unknown + "|" + here, calm, 1, actions{}}},
		"no network at the start":    {{"", 0, 3, actions{away: true}}, {here, 0, 1, actions{}}},
	}
	for name, steps := range tests {
		t.Run(name, func(t *testing.T) {
			var r reach
			for i, l := range steps {
				var got actions
				now, beside, _ := strings.Cut(l.local, "|")
				on := addresses(now + " " + beside)
				for range l.times {
					got = r.observe(addresses(now), func(a netip.Addr) bool { return slices.Contains(on, a) }, l.quiet, 0)
				}
				if got != l.want {
					t.Fatalf("step %d: %+v, want %+v", i, got, l.want)
				}
			}
		})
	}
}

// The traffic-manager gives up outbound carriers before this side does: those that come
// up then say that the network works, and nothing of the other connections.
func TestReachGivenUp(t *testing.T) {
	const before, after = 2, 4 // carriers that have come up
	for name, c := range map[string]struct {
		away, ups int
		want      actions
	}{
		"new carriers":               {awayAfter + 1, after, actions{renew: true}},
		"the old ones revive":        {awayAfter + 1, before, actions{}},
		"new ones after a moment":    {awayAfter, after, actions{}},
		"new ones, renewed long ago": {deadAfter + 1, after, actions{}},
	} {
		var r reach
		observe := func(quiet time.Duration, ups int) actions {
			return r.observe(addresses("192.0.2.1"), func(netip.Addr) bool { return true }, quiet, ups)
		}
		observe(time.Second, before)
		for range c.away {
			observe(time.Minute, before)
		}
		if got := observe(time.Second, c.ups); got != c.want {
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
		if got := observe(time.Second, c.ups); got != (actions{}) {
			t.Errorf("%s, the next time: %+v", name, got)
		}
	}
}

// addresses reads a list; what is none becomes the zero Addr.
func addresses(text string) (list []netip.Addr) {
	for _, f := range strings.Fields(text) {
		a, _ := netip.ParseAddr(f)
		list = append(list, a)
	}
	return list
}

func TestSources(t *testing.T) {
	to := addresses("127.0.0.1 127.0.0.1 127.0.0.1")
	if got := Sources(to); !slices.Equal(got, to[:1]) {
		t.Errorf("to this machine itself from %s", got)
	}
	if !has(to[0]) || has(netip.MustParseAddr("192.0.2.77")) {
		t.Error("this machine has the wrong addresses")
	}
}
