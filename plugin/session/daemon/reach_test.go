package daemon

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestReach(t *testing.T) {
	const here, there, six, unknown = "192.0.2.1", "198.51.100.1", "2001:db8::1", "unknown"
	type look struct {
		local string // after a bar what this machine has beside
		quiet time.Duration
		times int
		want  verdict // of the last
	}
	calm, long := time.Second, time.Minute
	tests := map[string][]look{
		"all is well":                {{here, calm, 100, verdict{}}},
		"quiet for a moment":         {{here, calm, 1, verdict{}}, {here, long, awayAfter, verdict{}}, {here, calm, 1, verdict{}}, {here, long, awayAfter, verdict{}}},
		"away":                       {{here, calm, 1, verdict{}}, {here, long, awayAfter + 1, verdict{away: true}}, {here, calm, 1, verdict{}}},
		"a process stood still":      {{here, calm, 1, verdict{}}, {here, time.Hour, 1, verdict{}}},
		"dead":                       {{here, long, deadAfter, verdict{away: true}}, {here, long, 1, verdict{away: true, renew: true}}},
		"dead once":                  {{here, long, deadAfter + 1, verdict{away: true, renew: true}}, {here, long, 10 * deadAfter, verdict{away: true}}},
		"dead again":                 {{here, long, deadAfter + 1, verdict{away: true, renew: true}}, {here, calm, 1, verdict{}}, {here, long, deadAfter + 1, verdict{away: true, renew: true}}},
		"no network":                 {{here, calm, 1, verdict{}}, {"", calm, 1, verdict{away: true}}, {"", long, 100, verdict{away: true}}},
		"back, and connections live": {{here, calm, 1, verdict{}}, {"", calm, 1, verdict{away: true}}, {here, calm, 1, verdict{moved: true}}, {here, calm, 1, verdict{}}},
		"back, and they revive":      {{here, calm, 1, verdict{}}, {"", long, 9, verdict{away: true}}, {here, long, 1, verdict{away: true, moved: true}}, {here, long, backAfter - 1, verdict{away: true}}, {here, calm, 1, verdict{}}},
		"back, and they do not":      {{here, calm, 1, verdict{}}, {"", long, 9, verdict{away: true}}, {here, long, backAfter, verdict{away: true}}, {here, long, 1, verdict{renew: true}}, {here, long, 1, verdict{}}},
		"another address":            {{here, calm, 1, verdict{}}, {there, calm, 1, verdict{renew: true, moved: true}}, {there, calm, 1, verdict{}}},
		"another after a break":      {{here, calm, 1, verdict{}}, {"", long, 9, verdict{away: true}}, {there, long, 1, verdict{renew: true, moved: true}}, {there, long, 1, verdict{}}},
		"one answer more, or less":   {{here, calm, 1, verdict{}}, {here + " " + six, calm, 1, verdict{moved: true}}, {here + "|" + six, calm, 1, verdict{}}, {here + " " + six, calm, 9, verdict{}}},
		"one of two is gone":         {{here + " " + six, calm, 1, verdict{}}, {here, calm, 1, verdict{renew: true, moved: true}}, {here, calm, 1, verdict{}}},
		"a better way":               {{here, calm, 1, verdict{}}, {there + "|" + here, calm, 1, verdict{moved: true}}, {there + "|" + here, calm, 9, verdict{}}, {there, calm, 1, verdict{renew: true, moved: true}}},
		"the address gets known":     {{unknown, calm, 2, verdict{}}, {here, calm, 1, verdict{moved: true}}, {unknown + "|" + here, calm, 1, verdict{}}},
		"no network at the start":    {{"", 0, 3, verdict{away: true}}, {here, 0, 1, verdict{}}},
	}
	for name, looks := range tests {
		t.Run(name, func(t *testing.T) {
			var r reach
			for i, l := range looks {
				var got verdict
				now, beside, _ := strings.Cut(l.local, "|")
				on := addresses(now + " " + beside)
				for range l.times {
					got = r.look(addresses(now), func(a netip.Addr) bool { return slices.Contains(on, a) }, l.quiet, 0)
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
		want      verdict
	}{
		"new carriers":               {awayAfter + 1, after, verdict{renew: true}},
		"the old ones revive":        {awayAfter + 1, before, verdict{}},
		"new ones after a moment":    {awayAfter, after, verdict{}},
		"new ones, renewed long ago": {deadAfter + 1, after, verdict{}},
	} {
		var r reach
		look := func(quiet time.Duration, ups int) verdict {
			return r.look(addresses("192.0.2.1"), func(netip.Addr) bool { return true }, quiet, ups)
		}
		look(time.Second, before)
		for range c.away {
			look(time.Minute, before)
		}
		if got := look(time.Second, c.ups); got != c.want {
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
		if got := look(time.Second, c.ups); got != (verdict{}) {
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
	if got := sources(to); !slices.Equal(got, to[:1]) {
		t.Errorf("to this machine itself from %s", got)
	}
	if !has(to[0]) || has(netip.MustParseAddr("192.0.2.77")) {
		t.Error("this machine has the wrong addresses")
	}
}
