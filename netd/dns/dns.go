// Package dns leads the cluster's names to the session's DNS server: through
// systemd-resolved where programs ask that, otherwise by taking
// /etc/resolv.conf over until it is given back.
package dns

import (
	"bufio"
	"bytes"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/kubectl-intercept/kubectl-intercept/netd/handover"
)

// port of DNS.
const port = 53

// conf is what counts of a resolv.conf(5).
type conf struct {
	servers []netip.Addr
	search  []string
	options []string
}

// parse reads what is there and passes over what it does not know, as the C
// library does.
func parse(b []byte) (c conf) {
	lines := bufio.NewScanner(bytes.NewReader(b))
	for lines.Scan() {
		line := lines.Text()
		if strings.HasPrefix(line, "#") || strings.HasPrefix(line, ";") {
			continue
		}
		words := strings.Fields(line)
		if len(words) < 2 {
			continue
		}
		switch words[0] {
		case "nameserver":
			if a, err := netip.ParseAddr(words[1]); err == nil {
				c.servers = append(c.servers, a)
			}
		case "domain", "search": // the last one counts
			c.search = words[1:]
		case "options":
			c.options = append(c.options, words[1:]...)
		}
	}
	return c
}

// resolvers are the servers with their ports, without ours.
func (c conf) resolvers(ours netip.Addr) (all []netip.AddrPort) {
	for _, a := range c.servers {
		if a != ours {
			all = append(all, netip.AddrPortFrom(a, port))
		}
	}
	return all
}

// render writes the lines that lead to the session's server. What the user's
// own file says about search and options stays in force.
func render(d handover.DNS, own conf) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "nameserver %s\n", d.Server)
	search := slices.Clone(d.Search)
	for _, s := range own.search {
		if !slices.Contains(search, s) {
			search = append(search, s)
		}
	}
	if len(search) > 0 {
		fmt.Fprintf(&b, "search %s\n", strings.Join(search, " "))
	}
	options := slices.DeleteFunc(slices.Clone(own.options), func(o string) bool {
		return o == "rotate" || d.Ndots > 0 && strings.HasPrefix(o, "ndots:")
	})
	if d.Ndots > 0 {
		options = append(options, fmt.Sprintf("ndots:%d", d.Ndots))
	}
	if len(options) > 0 {
		fmt.Fprintf(&b, "options %s\n", strings.Join(options, " "))
	}
	return b.Bytes()
}
