package environ

import (
	"os"
	"strings"
	"testing"
)

var (
	ours  = strings.Repeat("0123456789abcdef", 4)
	other = strings.Repeat("fedcba9876543210", 4)
)

func TestFind(t *testing.T) {
	pause := func(f *fake) *fake { f.put(1, "comm", "pause\n"); return f }
	for name, c := range map[string]struct {
		make func(f *fake)
		id   string // ours, if it is empty
		want int
		err  string
	}{
		"cgroup v2, host's names": {make: func(f *fake) {
			f.process(1, 5, "0::/kubepods/burstable/pod1/"+ours+"\n").process(9, 9, "0::/kubepods/burstable/pod1/"+other+"\n")
		}, want: 1},
		"cgroup v2, a namespace of the agent's own": {make: func(f *fake) {
			pause(f.process(1, 1, "0::/../cri-containerd-"+other+".scope\n")).process(7, 5, "0::/../cri-containerd-"+ours+".scope\n").process(20, 9, "0::/\n")
		}, want: 7},
		"cgroup v1": {make: func(f *fake) {
			pause(f.process(1, 1, "3:memory:/kubepods/pod1/"+other+"\n")).process(7, 5, "12:pids:/\n3:memory:/kubepods/pod1/"+ours+"\n1:name=systemd:/\n")
		}, want: 7},
		"CRI-O, with a cgroup within": {make: func(f *fake) { f.process(3, 5, "0::/kubepods.slice/crio-"+ours+".scope/container\n") }, want: 3},
		"the oldest process, whatever its number": {make: func(f *fake) {
			f.process(40, 100, "0::/"+ours+"\n").process(7, 200, "0::/"+ours+"\n").process(8, 100, "0::/"+ours+"\n")
		}, want: 8},
		"an ID with its runtime":               {make: func(f *fake) { f.process(3, 5, "0::/"+ours+"\n") }, id: "cri-o://" + ours, want: 3},
		"a short ID":                           {make: func(f *fake) { f.process(3, 5, "0::/"+ours+"\n") }, id: "containerd://0123456789ab", want: 3},
		"names of other containers only":       {make: func(f *fake) { f.process(1, 5, "0::/"+other+"\n") }, err: "no process of container 0123456789ab is in"},
		"no names":                             {make: func(f *fake) { f.process(1, 5, "0::/\n").process(9, 9, "0::/\n") }, want: 1},
		"no names, and shared processes":       {make: func(f *fake) { pause(f.process(1, 5, "0::/\n")).process(9, 9, "0::/\n") }, err: "shareProcessNamespace"},
		"no ID of a container":                 {make: func(f *fake) { f.process(1, 5, "0::/"+other+"\n") }, id: "containerd://", want: 1},
		"no ID, and shared processes":          {make: func(f *fake) { pause(f.process(1, 5, "0::/"+other+"\n")) }, id: "containerd://", err: "shareProcessNamespace"},
		"an ID that would match anything":      {make: func(*fake) {}, id: "containerd://0", err: `"containerd://0" is no ID`},
		"no process 1":                         {make: func(*fake) {}, err: "read the name of process 1: "},
		"a process that ends at the last step": {make: func(f *fake) { f.put(5, "cgroup", "0::/"+ours+"\n"); f.process(6, 9, "0::/"+ours+"\n") }, want: 6},
		"a process that ends at the first": {make: func(f *fake) {
			f.process(6, 9, "0::/"+ours+"\n")
			if err := os.Remove(f.process(5, 1, "").file(5, "cgroup")); err != nil {
				t.Fatal(err)
			}
		}, want: 6},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t)
			c.make(f)
			if c.id == "" {
				c.id = "containerd://" + ours
			}
			got, err := f.Find(c.id)
			if got != c.want || (c.err == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), c.err) {
				t.Errorf("%d, %v; want %d, %q", got, err, c.want, c.err)
			}
		})
	}
	if _, err := Proc(t.TempDir() + "/none").Find(ours); err == nil || !strings.HasPrefix(err.Error(), "list processes: ") {
		t.Errorf("without procfs: %v", err)
	}
}
