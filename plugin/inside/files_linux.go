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

// etc is where the files are by which programs find names.
const etc = "/etc"

// nscd's socket: who finds it asks that process, which is outside.
const nscd = "/run/nscd/socket"

// look is how often it is seen to that our files are still in front.
const look = time.Second

// files are what the program sees instead of the laptop's.
type files struct {
	folder string
	before resolvConf // the laptop's
	// nsswitch is what the program sees; empty: the laptop's.
	nsswitch []byte

	mu     sync.Mutex
	covers map[string]string // path of ours by path of theirs
}

// read reads the laptop's files, before anything is in front of them.
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

// resolvers are the laptop's.
func (f *files) resolvers() []netip.AddrPort { return f.before.servers }

// private makes mounts of this namespace stay in it; the laptop's new ones
// appear here too.
func private() error { return unix.Mount("", "/", "", unix.MS_REC|unix.MS_SLAVE, "") }

// set leads the program's names to a server.
func (f *files) set(d *handover.DNS) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !d.Server.IsValid() {
		return errors.New("dns server: the program needs one")
	}
	// In place: the file is mounted, and so is this inode.
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

// cover puts our files in front of the laptop's.
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

// bind follows symbolic links.
func bind(source, target string) error {
	if err := unix.Mount(source, target, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("mount on %s: %w", target, err)
	}
	return nil
}

// overlay makes a resolv.conf where there is none, or a link that leads
// nowhere: the program sees a folder /etc that has one.
func (f *files) overlay() error {
	upper := filepath.Join(f.folder, "etc")
	ours := filepath.Join(upper, "resolv.conf")
	if err := os.Mkdir(upper, 0o755); err != nil {
		return err
	}
	// A hard link: one file, whichever name it is written by.
	if err := os.Link(filepath.Join(f.folder, "resolv.conf"), ours); err != nil {
		return err
	}
	if err := unix.Mount("overlay", etc, "overlay", unix.MS_RDONLY, "lowerdir="+upper+":"+etc); err != nil {
		return fmt.Errorf("%s/resolv.conf does not exist, and this kernel lets nobody else put one there (%w): create it, empty will do", etc, err)
	}
	return nil
}

// keep puts our files in front again where somebody replaced the laptop's,
// as is done when the network changes: a mount goes with what it was on.
func (f *files) keep() {
	for {
		time.Sleep(look)
		f.mu.Lock()
		for target, ours := range f.covers {
			if !same(target, ours) {
				_ = bind(ours, target) // next time, then
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

// plainHosts is nsswitch.conf(5) with hosts by file and DNS only: other ways
// ask processes outside. Nothing if it says so already.
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

// parseResolvConf reads what there is; without servers it is as programs
// have it then.
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

// with is a resolv.conf that leads to a server: names are completed as in a
// pod, and then as on the laptop.
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
