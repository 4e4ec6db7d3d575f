package dns

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"

	"golang.org/x/sys/windows"
	"golang.org/x/sys/windows/registry"
	"golang.zx2c4.com/wireguard/windows/tunnel/winipcfg"

	"github.com/kubectl-intercept/kubectl-intercept/netd/handover"
)

// The Name Resolution Policy Table says who answers for which names
// ([MS-GPNRPT] 2.2.2). Where a domain's policy has rules, Windows
// passes over the machine's own: there ours are in both tables.
const (
	table  = `SYSTEM\CurrentControlSet\Services\Dnscache\Parameters\DnsPolicyConfig`
	policy = `SOFTWARE\Policies\Microsoft\Windows NT\DNSClient\DnsPolicyConfig`
	// generic says that a rule names servers.
	generic = 8
)

// Laptop is this machine's DNS, as one session sees it.
type Laptop struct {
	device string
	server netip.Addr
}

// New returns the machine's DNS as it is.
func New(string) *Laptop { return &Laptop{} }

// Find says which way to change DNS this machine has, and its own resolvers.
func (l *Laptop) Find() (mode string, resolvers []netip.AddrPort, err error) {
	adapters, err := winipcfg.GetAdaptersAddresses(windows.AF_UNSPEC, winipcfg.GAAFlagDefault)
	if err != nil {
		return "", nil, fmt.Errorf("list DNS servers: %w", err)
	}
	for _, a := range adapters {
		for s := a.FirstDNSServerAddress; s != nil; s = s.Next {
			ip, ok := netip.AddrFromSlice(s.Address.IP())
			if p := netip.AddrPortFrom(ip.Unmap(), port); ok && ip.Unmap() != l.server && !slices.Contains(resolvers, p) {
				resolvers = append(resolvers, p)
			}
		}
	}
	return "nrpt", resolvers, nil
}

// Set leads the domains to the server, and gives the device the search list.
func (l *Laptop) Set(_, device string, d handover.DNS) error {
	if err := l.Undo(); err != nil || !d.Server.IsValid() {
		return err
	}
	l.device, l.server = device, d.Server
	tables := []string{table}
	if names, err := keys(policy); err == nil && slices.ContainsFunc(names, func(n string) bool { return ruleOwner(n) == "" }) {
		tables = append(tables, policy)
	}
	for i, names := range rules(d) {
		for _, t := range tables {
			if err := write(fmt.Sprintf(`%s\%s%s-%d`, t, rulePrefix, device, i), names, d.Server); err != nil {
				return fmt.Errorf("write a rule for DNS: %w", err)
			}
		}
	}
	return errors.Join(search(device, d.Search), flush())
}

func write(path string, names []string, server netip.Addr) error {
	k, _, err := registry.CreateKey(registry.LOCAL_MACHINE, path, registry.SET_VALUE)
	if err != nil {
		return err
	}
	defer k.Close()
	return errors.Join(k.SetDWordValue("Version", 1), k.SetStringsValue("Name", names), k.SetStringValue("IPSECCARestriction", ""),
		k.SetStringValue("GenericDNSServers", server.String()), k.SetDWordValue("ConfigOptions", generic))
}

// search gives a device a search list; it has no servers.
func search(device string, domains []string) error {
	i, err := net.InterfaceByName(device)
	if err != nil {
		return err
	}
	luid, err := winipcfg.LUIDFromIndex(uint32(i.Index))
	if err != nil {
		return err
	}
	if err := luid.SetDNS(windows.AF_INET, nil, domains); err != nil {
		return fmt.Errorf("set the search list: %w", err)
	}
	return nil
}

// flush lets Windows forget the answers that others gave.
func flush() error {
	p := windows.NewLazySystemDLL("dnsapi.dll").NewProc("DnsFlushResolverCache")
	if err := p.Find(); err != nil {
		return err
	}
	_, _, _ = p.Call() // false: there was nothing to forget
	return nil
}

// Undo gives back what Set has taken; the search list goes with the device.
func (l *Laptop) Undo() error {
	device := l.device
	l.device, l.server = "", netip.Addr{}
	if device == "" {
		return nil
	}
	return remove(func(owner string) bool { return owner == device })
}

// Recover removes the rules of devices that are gone.
func (l *Laptop) Recover() error {
	return remove(func(owner string) bool {
		_, err := net.InterfaceByName(owner)
		return err != nil
	})
}

// remove removes our rules by the device that they are for.
func remove(which func(owner string) bool) error {
	removed := false
	var errs error
	for _, t := range []string{table, policy} {
		names, err := keys(t)
		errs = errors.Join(errs, err)
		for _, name := range names {
			if owner := ruleOwner(name); owner != "" && which(owner) {
				removed = true
				errs = errors.Join(errs, registry.DeleteKey(registry.LOCAL_MACHINE, t+`\`+name))
			}
		}
	}
	if removed {
		errs = errors.Join(errs, flush())
	}
	return errs
}

// keys are the names below a key; none if it is not there.
func keys(path string) ([]string, error) {
	k, err := registry.OpenKey(registry.LOCAL_MACHINE, path, registry.ENUMERATE_SUB_KEYS)
	if errors.Is(err, registry.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer k.Close()
	return k.ReadSubKeyNames(-1)
}
