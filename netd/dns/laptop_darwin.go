package dns

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/kubectl-intercept/kubectl-intercept/netd/handover"
)

// folder holds a file for each domain that has its own servers, resolver(5).
const folder = "/etc/resolver"

// mark begins our files; the name of the device follows.
const mark = "# kubectl-intercept "

// Laptop is this machine's DNS, as one session sees it.
type Laptop struct{ device string }

// New returns the machine's DNS as it is.
func New(string) *Laptop { return &Laptop{} }

// Find says which way to change DNS this machine has, and its own resolvers.
func (l *Laptop) Find() (mode string, resolvers []netip.AddrPort, err error) {
	b, err := os.ReadFile("/etc/resolv.conf") // the system writes it, for programs such as this
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", nil, err
	}
	return folder, parse(b).resolvers(netip.Addr{}), nil
}

// Set leads the domains to the server. A search list is not among what a file
// can say: the system's store gets that.
func (l *Laptop) Set(_, device string, d handover.DNS) error {
	if err := l.Undo(); err != nil || !d.Server.IsValid() {
		return err
	}
	l.device = device
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	domains := slices.Concat(d.Domains, d.Search)
	slices.Sort(domains)
	for _, domain := range slices.Compact(domains) {
		path := filepath.Join(folder, strings.TrimSuffix(domain, "."))
		if owner, err := ownerOf(path); err == nil && owner == "" {
			return fmt.Errorf("%s is there and not ours: move it away, or leave the domain out", path)
		}
		text := fmt.Sprintf("%s%s\nnameserver %s\n", mark, device, d.Server)
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			return err
		}
	}
	if len(d.Search) == 0 {
		return nil
	}
	_, err := scutil(searchScript(device, d))
	return err
}

// scutil runs a script of scutil(8), which reads the system's store and writes
// to it. What it cannot do it says, and goes on.
func scutil(script string) (string, error) {
	cmd := exec.Command("/usr/sbin/scutil")
	cmd.Stdin = strings.NewReader(script)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("scutil: %w: %s", err, out)
	}
	return string(out), nil
}

// Undo gives back what Set has taken.
func (l *Laptop) Undo() error {
	device := l.device
	l.device = ""
	if device == "" {
		return nil
	}
	return remove(func(owner string) bool { return owner == device })
}

// Recover gives back what a dead process had taken.
func (l *Laptop) Recover() error {
	return remove(func(owner string) bool {
		_, err := net.InterfaceByName(owner)
		return err != nil
	})
}

// ownerOf is the device that a file of ours is for; "" if it is not ours.
func ownerOf(path string) (string, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	first, _, _ := bytes.Cut(b, []byte("\n"))
	owner, _ := bytes.CutPrefix(first, []byte(mark))
	if len(owner) == len(first) {
		return "", nil
	}
	return string(owner), nil
}

// remove removes what is ours by the device that it is for.
func remove(which func(owner string) bool) error {
	listed, err := scutil(listScript)
	for _, owner := range searchOwners(listed) {
		if which(owner) {
			_, serr := scutil(removeScript(owner))
			err = errors.Join(err, serr)
		}
	}
	files, ferr := os.ReadDir(folder)
	if !errors.Is(ferr, fs.ErrNotExist) {
		err = errors.Join(err, ferr)
	}
	for _, f := range files {
		path := filepath.Join(folder, f.Name())
		if owner, oerr := ownerOf(path); oerr == nil && owner != "" && which(owner) {
			err = errors.Join(err, os.Remove(path))
		}
	}
	return err
}

const listScript = "list " + services + ".*\n"

func removeScript(device string) string { return "remove " + services + device + "/DNS\n" }
