//go:build linux

package inside

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/kubectl-intercept/kubectl-intercept/netd/handover"
)

// TestExplain: for every reason why a kernel may refuse, the error names the setting.
func TestExplain(t *testing.T) {
	for name, c := range map[string]struct {
		err   error
		files map[string]string
		want  string
	}{
		"Debian's switch": {unix.EPERM, map[string]string{"/proc/sys/kernel/unprivileged_userns_clone": "0\n"}, "sudo sysctl -w kernel.unprivileged_userns_clone=1"},
		"AppArmor":        {unix.EPERM, map[string]string{"/proc/sys/kernel/unprivileged_userns_clone": "1\n", "/proc/sys/kernel/apparmor_restrict_unprivileged_userns": "1\n"}, "kernel.apparmor_restrict_unprivileged_userns=0"},
		"AppArmor, later": {unix.EACCES, map[string]string{"/proc/sys/kernel/apparmor_restrict_unprivileged_userns": "1\n"}, "kernel.apparmor_restrict_unprivileged_userns=0"},
		"a container":     {unix.EPERM, map[string]string{"/proc/self/status": "Name:\tx\nSeccomp:\t2\nSeccomp_filters:\t1\n"}, "seccomp=unconfined"},
		"none allowed":    {unix.ENOSPC, map[string]string{"/proc/sys/user/max_user_namespaces": "0\n"}, "sudo sysctl -w user.max_user_namespaces=1000"},
		"no networks":     {unix.ENOSPC, map[string]string{"/proc/sys/user/max_user_namespaces": "9\n", "/proc/sys/user/max_net_namespaces": "0\n"}, "user.max_net_namespaces=1000"},
		"too many":        {unix.ENOSPC, nil, "raise user.max_user_namespaces"},
		"no such kernel":  {unix.EINVAL, nil, "CONFIG_USER_NS"},
		"who knows":       {unix.EPERM, map[string]string{"/proc/self/status": "Seccomp:\t0\n"}, "operation not permitted"},
	} {
		err := explain(c.err, func(path string) string { return c.files[path] })
		if !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "connect --proxy") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := explain(unix.ENOMEM, func(string) string { return "" }); !strings.Contains(err.Error(), "cannot allocate memory") {
		t.Error(err)
	}
}

func TestTUNError(t *testing.T) {
	for err, want := range map[error]string{unix.EACCES: "chmod 0666 /dev/net/tun", unix.ENOENT: "modprobe tun", unix.ENODEV: "--device /dev/net/tun"} {
		if got := tunError(err); !strings.Contains(got.Error(), want) {
			t.Errorf("%v: %v", err, got)
		}
	}
	if err := tunError(nil); err != nil {
		t.Error(err)
	}
}

func TestResolvConf(t *testing.T) {
	r := parseResolvConf([]byte("# by hand\nnameserver 192.0.2.1 # first\nnameserver fd00::53\nnameserver fe80::1%eth0\nnameserver nonsense\n" +
		"domain old.example\nsearch lan example.com ; two\noptions ndots:1\nnameserver\n"))
	var servers []string
	for _, s := range r.servers {
		servers = append(servers, s.String())
	}
	if want := []string{"192.0.2.1:53", "[fd00::53]:53", "[fe80::1%eth0]:53"}; !slices.Equal(servers, want) {
		t.Errorf("servers are %v", servers)
	}
	d := &handover.DNS{Server: netip.MustParseAddr("198.18.0.2"), Search: []string{"shop.svc.cluster.local", "cluster.local", "lan"}, Ndots: 5}
	want := `# Of kubectl intercept run, for this program alone.
nameserver 198.18.0.2
search shop.svc.cluster.local cluster.local lan example.com
options ndots:5
`
	if got := string(r.with(d)); got != want {
		t.Errorf("got\n%s", got)
	}
	if r := parseResolvConf(nil); len(r.servers) != 1 || r.servers[0].String() != "127.0.0.1:53" {
		t.Errorf("without a file: %v", r.servers)
	}
}

func TestPlainHosts(t *testing.T) {
	for before, after := range map[string]string{
		"passwd: files\nhosts:\t\tmymachines resolve [!UNAVAIL=return] files dns\nnetworks: files\n": "passwd: files\nhosts: files dns\nnetworks: files\n",
		"hosts: files dns\n":  "",
		"passwd: files\n":     "",
		"# hosts: resolve\n":  "",
		"hosts : nis files\n": "hosts: files dns\n",
	} {
		if got := string(plainHosts([]byte(before))); got != after {
			t.Errorf("%q became %q", before, got)
		}
	}
}

func FuzzResolvConf(f *testing.F) {
	f.Add([]byte("nameserver 192.0.2.1\nsearch a b\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		r := parseResolvConf(b)
		d := &handover.DNS{Server: netip.MustParseAddr("198.18.0.2")}
		again := parseResolvConf(r.with(d))
		if len(r.servers) == 0 || len(again.servers) != 1 || again.servers[0].Addr() != d.Server {
			t.Errorf("%q leads to %v", r.with(d), again.servers)
		}
	})
}

func TestSharedRoot(t *testing.T) {
	for text, want := range map[string]bool{
		"22 1 8:1 / / rw shared:1 - ext4 /dev/sda1 rw\n23 22 0:5 / /tmp rw - tmpfs tmpfs rw\n":  true,
		"22 1 8:1 / / rw - ext4 /dev/sda1 rw\n23 22 0:5 / /tmp rw shared:2 - tmpfs tmpfs rw\n":  false,
		"22 1 8:1 / / rw master:1 - ext4 /dev/sda1 rw\n":                                        false,
		"22 1 8:1 / / rw shared:1 - ext4 /dev/sda1 rw\n30 22 0:9 / / rw - overlay overlay rw\n": false,
		"22 1 8:1 / / rw master:3 shared:1 - ext4 /dev/sda1 rw\n":                               true,
		"": false,
	} {
		if got := sharedRoot(strings.NewReader(text)); got != want {
			t.Errorf("%q: %t", text, got)
		}
	}
}
