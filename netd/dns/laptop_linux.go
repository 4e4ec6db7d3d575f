package dns

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/kubectl-intercept/kubectl-intercept/netd/handover"
)

// Laptop is this machine's DNS, as one session sees it.
type Laptop struct {
	file File
	mode string
	link int
	d    handover.DNS
}

// New returns the machine's DNS as it is. run is a folder of root's that a
// reboot empties.
func New(run string) *Laptop {
	return &Laptop{file: File{
		Path: "/etc/resolv.conf", Beside: "/etc/resolv.conf.before-intercept",
		Copy: copyOf("/etc/resolv.conf"), Lock: run + "/resolv.conf.lock",
	}}
}

// copyOf names the copy for the very file that a path leads to: namespaces
// that share /var/lib may each have their own mounted there.
func copyOf(path string) string {
	var st unix.Stat_t
	_ = unix.Stat(path, &st) // else: there is nothing to copy
	return fmt.Sprintf("/var/lib/intercept-netd/resolv.conf-%d-%d", st.Dev, st.Ino)
}

// stubs are where systemd-resolved listens for programs.
var stubs = []netip.AddrPort{netip.MustParseAddrPort("127.0.0.53:53"), netip.MustParseAddrPort("127.0.0.54:53")}

// uplinks is the file in which systemd-resolved writes whom it asks itself.
const uplinks = "/run/systemd/resolve/resolv.conf"

// Find says which way to change DNS this machine has, and its own resolvers.
func (l *Laptop) Find() (mode string, resolvers []netip.AddrPort, err error) {
	resolvers, err = l.file.Resolvers(l.d.Server)
	if err != nil {
		return "", nil, err
	}
	if !slices.ContainsFunc(resolvers, func(a netip.AddrPort) bool { return slices.Contains(stubs, a) }) {
		return handover.DNSResolvConf, resolvers, nil
	}
	r := dialResolved()
	if r == nil {
		return handover.DNSResolvConf, resolvers, nil
	}
	r.close()
	b, err := os.ReadFile(uplinks)
	if err != nil {
		return "", nil, fmt.Errorf("read the servers of systemd-resolved: %w", err)
	}
	return handover.DNSResolved, parse(b).resolvers(l.d.Server), nil
}

// Set leads the domains to the server, for a device, in the way that Find
// said; without a server it gives back what was taken.
func (l *Laptop) Set(mode, device string, d handover.DNS) error {
	if l.mode != "" && (l.mode != mode || !d.Server.IsValid()) {
		if err := l.Undo(); err != nil {
			return err
		}
	}
	if !d.Server.IsValid() {
		return nil
	}
	if mode == handover.DNSResolvConf {
		l.mode, l.d = mode, d
		return l.file.Take(d)
	}
	i, err := net.InterfaceByName(device)
	if err != nil {
		return err
	}
	l.mode, l.link, l.d = mode, i.Index, d
	r := dialResolved()
	if r == nil {
		return nil // it stopped: with it went whom programs ask
	}
	defer r.close()
	return r.set(l.link, d)
}

// Undo gives back what Set has taken.
func (l *Laptop) Undo() error {
	mode, link := l.mode, l.link
	l.mode, l.link, l.d = "", 0, handover.DNS{}
	switch mode {
	case handover.DNSResolvConf:
		return l.file.Restore()
	case handover.DNSResolved:
		if r := dialResolved(); r != nil {
			defer r.close()
			return r.revert(link)
		}
	}
	return nil
}

// Recover gives back what a dead process had taken.
func (l *Laptop) Recover() error {
	if !l.file.Left() {
		return nil
	}
	return l.file.Restore()
}
