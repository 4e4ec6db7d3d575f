package files

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kubectl-intercept/kubectl-intercept/manager/rpc/volume"
)

const mountinfo = `900 800 0:50 / / rw,relatime master:1 - overlay overlay rw,lowerdir=/l
901 900 0:60 / /proc rw,nosuid - proc proc rw
902 900 0:61 / /dev rw,nosuid - tmpfs tmpfs rw
903 902 0:62 / /dev/shm rw - tmpfs shm rw
904 900 0:63 / /sys ro - sysfs sysfs ro
905 900 8:1 /var/lib/kubelet/pods/1-2/etc-hosts /etc/hosts rw - ext4 /dev/sda1 rw
906 900 8:1 /var/lib/containerd/sandboxes/3/resolv.conf /etc/resolv.conf rw - ext4 /dev/sda1 rw
907 900 8:1 /var/lib/kubelet/pods/1-2/containers/app/4f /end/message rw - ext4 /dev/sda1 rw
908 900 0:70 / /run/secrets/kubernetes.io/serviceaccount ro,relatime - tmpfs tmpfs rw
909 900 8:1 /var/lib/kubelet/pods/1-2/volumes/kubernetes.io~empty-dir/data /data\040of\134app rw - ext4 /dev/sda1 rw
910 900 8:1 /var/lib/kubelet/pods/1-2/volume-subpaths/config/app/0 /etc/app.conf ro - ext4 /dev/sda1 rw
911 909 0:71 / /data\040of\134app/ram rw - tmpfs tmpfs rw
912 900 8:1 /other /end/again rw - ext4 /dev/sda1 rw
913 900 8:1 /srv/containers/app/data /hostpath rw - ext4 /dev/sda1 rw
914 912 8:1 /other /end/again ro - ext4 /dev/sda1 rw
`

func TestMounts(t *testing.T) {
	got, err := Mounts(strings.NewReader(mountinfo))
	if err != nil {
		t.Fatal(err)
	}
	want := []volume.Mount{{Path: `/data of\app`}, {Path: `/data of\app/ram`}, {Path: "/end/again", ReadOnly: true},
		{Path: "/etc/app.conf", ReadOnly: true}, {Path: "/hostpath"}, {Path: "/run/secrets/kubernetes.io/serviceaccount", ReadOnly: true}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if _, err := Mounts(strings.NewReader("1 2 3\n")); err == nil {
		t.Error("a broken line is no error")
	}
}

func TestReadIdentity(t *testing.T) {
	for name, test := range map[string]struct {
		status string
		want   Identity
		fails  bool
	}{
		"root":     {"Name:\tx\nUid:\t0\t0\t0\t0\nGid:\t0\t0\t0\t0\nGroups:\t0 \nCapEff:\t00000000a80425fb\n", Identity{Groups: []uint32{0}, Caps: 0xa80425fb}, false},
		"the last": {"Uid:\t1\t2\t3\t4\nGid:\t5\t6\t7\t8\nGroups:\t\nCapEff:\t0\n", Identity{UID: 4, GID: 8}, false},
		"groups":   {"Uid:\t1\t1\t1\t1\nGid:\t5\t5\t5\t5\nGroups:\t7 8 4294967295 \nCapEff:\t0\n", Identity{UID: 1, GID: 5, Groups: []uint32{7, 8, 4294967295}}, false},
		"none":     {"", Identity{}, true},
		"no caps":  {"Uid:\t1\t1\t1\t1\nGid:\t5\t5\t5\t5\nGroups:\t\n", Identity{UID: 1, GID: 5}, true},
		"words":    {"Uid:\troot\n", Identity{}, true},
	} {
		got, err := ReadIdentity(strings.NewReader(test.status))
		if (err != nil) != test.fails {
			t.Errorf("%s: %v", name, err)
		} else if diff := cmp.Diff(test.want, got); err == nil && diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

// What the kernel says of the processes of a pod comes from there: nothing in it makes the
// readers panic.
func FuzzProc(f *testing.F) {
	f.Add(mountinfo)
	f.Add("Uid:\t1\t1\t1\t1\nGid:\t5\t5\t5\t5\nGroups:\t7\nCapEff:\tff\n")
	f.Fuzz(func(t *testing.T, text string) {
		mounts, err := Mounts(strings.NewReader(text))
		for _, m := range mounts {
			if err == nil && ofRuntime("/", m.Path) {
				t.Errorf("%q is a volume", m.Path)
			}
		}
		if _, err := ReadIdentity(strings.NewReader(text)); err == nil && !strings.Contains(text, "CapEff") {
			t.Error("an identity without capabilities")
		}
	})
}

func TestWithout(t *testing.T) {
	all := []volume.Mount{{Path: "/data"}, {Path: "/data/ram"}, {Path: "/database"}, {Path: "/run/secrets/kubernetes.io/serviceaccount"}}
	for name, test := range map[string]struct {
		hidden []string
		want   string
	}{
		"nothing":                  {nil, "/data /data/ram /database /run/secrets/kubernetes.io/serviceaccount"},
		"a path and what is below": {[]string{"/data/"}, "/database /run/secrets/kubernetes.io/serviceaccount"},
		"several":                  {[]string{"/data/ram", "/database", "/none"}, "/data /run/secrets/kubernetes.io/serviceaccount"},
		"a path through /var/run":  {[]string{"/var/run/secrets"}, "/data /data/ram /database"},
		"/var is not /":            {[]string{"/var/data"}, "/data /data/ram /database /run/secrets/kubernetes.io/serviceaccount"},
		"all":                      {[]string{"/"}, ""},
	} {
		var got []string
		for _, m := range Without(all, test.hidden) {
			got = append(got, m.Path)
		}
		if text := strings.Join(got, " "); text != test.want {
			t.Errorf("%s: %s", name, text)
		}
	}
	if len(all) != 4 || all[0].Path != "/data" {
		t.Error("the list of mounts was changed")
	}
}
