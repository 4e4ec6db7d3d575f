package inside

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/kubectl-intercept/kubectl-intercept/netd/handover"
)

// etc is the folder of the files that say how programs resolve names.
const etc = "/etc"

// nscd is the socket of the name service cache daemon. If it exists, the C library
// asks the daemon, which resolves names outside the namespaces.
const nscd = "/run/nscd/socket"

// checkInterval is how often keep checks that our files still cover the laptop's.
const checkInterval = time.Second

// files are the DNS configuration files that the program sees instead of the
// laptop's.
type files struct {
	folder string
	before resolvConf // the laptop's
	// nsswitch is the nsswitch.conf that the program sees; empty if it sees the
	// laptop's.
	nsswitch []byte

	mu     sync.Mutex
	covers map[string]string // path of our file by path of the file that it covers
}

// read reads the laptop's files. It must run before our files cover them.
func (f *files) read() error {
	b, err := os.ReadFile(filepath.Join(etc, "resolv.conf"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("read this machine's DNS servers: %w", err)
	}
	f.before = parseResolvConf(b)
	if b, err := os.ReadFile(filepath.Join(etc, "nsswitch.conf")); err == nil {
		f.nsswitch = plainHosts(b)
	}
	return nil
}

// resolvers returns the laptop's DNS servers.
func (f *files) resolvers() []netip.AddrPort { return f.before.servers }

// private keeps mounts of this namespace from the laptop. New mounts of the laptop
// still appear here.
func private() error { return unix.Mount("", "/", "", unix.MS_REC|unix.MS_SLAVE, "") }

// set makes d.Server the program's DNS server.
func (f *files) set(d *handover.DNS) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !d.Server.IsValid() {
		return errors.New("dns server: the program needs one")
	}
	// The file is written in place, because its inode is mounted.
	if err := os.WriteFile(filepath.Join(f.folder, "resolv.conf"), f.before.with(d), 0o644); err != nil {
		return fmt.Errorf("write the program's resolv.conf: %w", err)
	}
	if f.covers != nil {
		return nil
	}
	if err := f.cover(); err != nil {
		return fmt.Errorf("put the program's resolv.conf in front of this machine's: %w", err)
	}
	go f.keep()
	return nil
}

// cover mounts our files over the laptop's.
func (f *files) cover() error {
	f.covers = map[string]string{}
	if f.nsswitch != nil {
		if err := f.put(filepath.Join(etc, "nsswitch.conf"), "nsswitch.conf", f.nsswitch); err != nil {
			return err
		}
	}
	if _, err := os.Stat(nscd); err == nil {
		if err := f.put(nscd, "nscd", nil); err != nil {
			return err
		}
	}
	target, ours := filepath.Join(etc, "resolv.conf"), filepath.Join(f.folder, "resolv.conf")
	if _, err := os.Stat(target); errors.Is(err, os.ErrNotExist) {
		return f.overlay()
	}
	f.covers[target] = ours
	return bind(ours, target)
}

func (f *files) put(target, name string, text []byte) error {
	ours := filepath.Join(f.folder, name)
	if err := os.WriteFile(ours, text, 0o644); err != nil {
		return err
	}
	f.covers[target] = ours
	return bind(ours, target)
}

// bind mounts source over target. It follows symbolic links.
func bind(source, target string) error {
	if err := unix.Mount(source, target, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("mount on %s: %w", target, err)
	}
	return nil
}

// overlay gives the program a resolv.conf where the laptop has none, or has a broken
// link. It mounts an overlay on /etc that has the file.
func (f *files) overlay() error {
	upper := filepath.Join(f.folder, "etc")
	ours := filepath.Join(upper, "resolv.conf")
	if err := os.Mkdir(upper, 0o755); err != nil {
		return err
	}
	// A hard link, so that set also changes the file in the overlay.
	if err := os.Link(filepath.Join(f.folder, "resolv.conf"), ours); err != nil {
		return err
	}
	if err := unix.Mount("overlay", etc, "overlay", unix.MS_RDONLY, "lowerdir="+upper+":"+etc); err != nil {
		return fmt.Errorf("%s/resolv.conf does not exist, and this kernel lets nobody else put one there (%w): create it, empty will do", etc, err)
	}
	return nil
}

// keep covers the laptop's files again when a program of the laptop has replaced
// them, as network managers do when the network changes. The kernel removes a mount
// with the file that it covers.
func (f *files) keep() {
	for {
		time.Sleep(checkInterval)
		f.mu.Lock()
		for target, ours := range f.covers {
			if !same(target, ours) {
				_ = bind(ours, target) // on an error, the next round tries again
			}
		}
		f.mu.Unlock()
	}
}

func same(a, b string) bool {
	x, err := os.Stat(a)
	if err != nil {
		return false
	}
	y, err := os.Stat(b)
	return err == nil && os.SameFile(x, y)
}

// plainHosts returns nsswitch.conf(5) with files and DNS as the only sources of
// hosts: other sources ask processes outside the namespaces. It returns nil if the
// file has only these already.
func plainHosts(b []byte) []byte {
	var out bytes.Buffer
	for line := range strings.Lines(string(b)) {
		if name, _, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "hosts" {
			line = "hosts: files dns\n"
		}
		out.WriteString(line)
	}
	if bytes.Equal(out.Bytes(), b) {
		return nil
	}
	return out.Bytes()
}

// resolvConf is what resolv.conf(5) says.
type resolvConf struct {
	servers []netip.AddrPort
	search  []string
}

// parseResolvConf ignores what it cannot parse. Without a nameserver line, the server
// is 127.0.0.1, as for the C library.
func parseResolvConf(b []byte) resolvConf {
	var r resolvConf
	for line := range strings.Lines(string(b)) {
		if i := strings.IndexAny(line, "#;"); i >= 0 {
			line = line[:i]
		}
		words := strings.Fields(line)
		if len(words) < 2 {
			continue
		}
		switch words[0] {
		case "nameserver":
			if a, err := netip.ParseAddr(words[1]); err == nil {
				r.servers = append(r.servers, netip.AddrPortFrom(a.Unmap(), 53))
			}
		case "search", "domain":
			r.search = words[1:]
		}
	}
	if len(r.servers) == 0 {
		r.servers = []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:53")}
	}
	return r
}

// with returns a resolv.conf whose only server is d.Server. Its search list has the
// domains of a pod first, and then the laptop's.
func (r *resolvConf) with(d *handover.DNS) []byte {
	var b bytes.Buffer
	b.WriteString("# Of kubectl intercept run, for this program alone.\n")
	fmt.Fprintf(&b, "nameserver %s\n", d.Server)
	search := slices.Clone(d.Search)
	for _, s := range r.search {
		if s != "." && !slices.Contains(search, s) {
			search = append(search, s)
		}
	}
	if len(search) > 0 {
		fmt.Fprintf(&b, "search %s\n", strings.Join(search, " "))
	}
	if d.Ndots > 0 {
		fmt.Fprintf(&b, "options ndots:%d\n", d.Ndots)
	}
	return b.Bytes()
}
