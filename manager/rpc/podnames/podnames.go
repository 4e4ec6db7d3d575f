// Package podnames is what an agent tells a session about names in its pod: what the files
// say by which a program in the pod resolves them.
package podnames

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/netip"
	"strconv"
	"strings"
)

const (
	// MaxSize bounds what travels, in bytes.
	MaxSize = 1 << 20
	// defaultNdots and maxNdots are those of resolv.conf(5).
	defaultNdots, maxNdots = 1, 15
)

// Names is what a pod's resolv.conf and hosts file say.
type Names struct {
	// Servers are the name servers, in the order in which they are asked.
	Servers []netip.Addr `json:"servers,omitempty"`
	Search  []string     `json:"search,omitempty"`
	Ndots   int          `json:"ndots"`
	// Hosts are the lines of the hosts file, in their order.
	Hosts []Host `json:"hosts,omitempty"`
}

// Host is a line of a hosts file.
type Host struct {
	Address netip.Addr `json:"address"`
	Names   []string   `json:"names"`
}

// Parse reads the files as a C library does: it skips what it does not understand.
func Parse(resolv, hosts []byte) *Names {
	n := &Names{Ndots: defaultNdots}
	for _, f := range lines(resolv, "#;") {
		switch f[0] {
		case "nameserver":
			if a, err := netip.ParseAddr(f[1]); err == nil {
				n.Servers = append(n.Servers, a)
			}
		case "search", "domain":
			n.Search = n.Search[:0] // the last one counts
			for _, s := range f[1:] {
				if s = strings.Trim(s, "."); s != "" {
					n.Search = append(n.Search, s)
				}
			}
		case "options":
			for _, option := range f[1:] {
				text, ok := strings.CutPrefix(option, "ndots:")
				if number, err := strconv.Atoi(text); ok && err == nil && number >= 0 {
					n.Ndots = min(number, maxNdots)
				}
			}
		}
	}
	for _, f := range lines(hosts, "#") {
		if a, err := netip.ParseAddr(f[0]); err == nil {
			n.Hosts = append(n.Hosts, Host{Address: a, Names: f[1:]})
		}
	}
	return n
}

// lines returns the words of each line that has two or more, without comments.
func lines(file []byte, comment string) (all [][]string) {
	for line := range bytes.Lines(file) {
		if i := bytes.IndexAny(line, comment); i >= 0 {
			line = line[:i]
		}
		if words := strings.Fields(strings.ToValidUTF8(string(line), "?")); len(words) > 1 {
			all = append(all, words)
		}
	}
	return all
}

// Encode returns the Names as they travel.
func (n *Names) Encode() ([]byte, error) {
	b, err := json.Marshal(n)
	if err == nil && len(b) > MaxSize {
		err = fmt.Errorf("the hosts file of the pod is larger than %d bytes", MaxSize)
	}
	return b, err
}

// Read reads Names until the end of r.
func Read(r io.Reader) (*Names, error) {
	b, err := io.ReadAll(io.LimitReader(r, MaxSize+1))
	if err == nil && len(b) > MaxSize {
		err = fmt.Errorf("more than %d bytes", MaxSize)
	}
	n := &Names{}
	if err == nil {
		err = json.Unmarshal(b, n)
	}
	if err != nil {
		return nil, fmt.Errorf("names of a pod: %w", err)
	}
	n.Ndots = min(max(n.Ndots, 0), maxNdots)
	return n, nil
}

// Addresses are the addresses that the hosts file gives to names, by the name in lower
// case. Localhost is not among them, nor what stands for it: it is another place on each
// machine.
func (n *Names) Addresses() map[string]netip.Addr {
	all := map[string]netip.Addr{}
	for _, h := range n.Hosts {
		if !h.Address.IsValid() || h.Address.IsLoopback() || h.Address.IsMulticast() || h.Address.IsUnspecified() || strings.HasPrefix(h.Address.String(), "fe00::") {
			continue
		}
		for _, name := range h.Names {
			name = strings.ToLower(strings.Trim(name, "."))
			if before, ok := all[name]; name != "" && (!ok || before.Is6() && h.Address.Is4()) {
				all[name] = h.Address
			}
		}
	}
	return all
}
