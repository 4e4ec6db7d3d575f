package check

import (
	"net"
	"net/netip"
	"os"
	"os/exec"
)

// ThisMachine looks at the machine that the plugin runs on.
func ThisMachine() Machine {
	return Machine{LookPath: exec.LookPath, Executable: os.Executable, Routes: routes}
}

// attached are the networks of the machine's own addresses.
func attached() ([]Route, error) {
	links, err := net.Interfaces()
	if err != nil {
		return nil, err
	}
	var out []Route
	for _, l := range links {
		addrs, err := l.Addrs()
		if err != nil || l.Flags&net.FlagUp == 0 {
			continue
		}
		for _, a := range addrs {
			if p, err := netip.ParsePrefix(a.String()); err == nil {
				out = append(out, Route{p.Masked(), l.Name})
			}
		}
	}
	return out, nil
}
