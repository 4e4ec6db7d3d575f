package environ

import (
	"fmt"
	"slices"
	"testing"
)

// With a PID namespace of its own, and in a pod whose containers share one.
func TestMembers(t *testing.T) {
	mine, foreign := "0::/kubepods/pod1/"+ours, "0::/kubepods/pod1/"+other
	type one struct {
		pid, parent int
		cgroup      string
	}
	for _, test := range []struct {
		name      string
		processes []one
		want      []int
	}{
		{"its children", []one{{1, 0, mine}, {7, 1, mine}, {9, 7, mine}}, []int{1, 7, 9}},
		{"not the agent", []one{{1, 0, mine}, {30, 0, foreign}, {31, 30, foreign}}, []int{1}},
		{"not what was brought in, nor its children", []one{{1, 0, mine}, {40, 0, mine}, {41, 40, mine}, {42, 41, mine}}, []int{1}},
		{"an orphan of that", []one{{1, 0, mine}, {41, 1, mine}}, []int{1, 41}},
		{"beside the pause container", []one{{1, 0, "0::/kubepods/pod1/pause"}, {7, 0, mine}, {8, 7, mine}, {9, 1, mine}, {20, 0, foreign}, {30, 0, mine}}, []int{7, 8, 9}},
		{"without names of cgroups", []one{{1, 0, "0::/"}, {7, 1, "0::/"}, {30, 0, "0::/../agent"}, {31, 30, "0::/../agent"}}, []int{1, 7}},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := newFake(t)
			for _, p := range test.processes {
				f.process(p.pid, uint64(100+p.pid), p.cgroup).child(p.pid, p.parent)
			}
			got, err := f.Members("containerd://" + ours)
			if slices.Sort(got); err != nil || !slices.Equal(got, test.want) {
				t.Errorf("%v, %v; want %v", got, err, test.want)
			}
		})
	}
}

// child makes a process the child of another one.
func (f *fake) child(pid, parent int) {
	f.put(pid, "stat", fmt.Sprintf("%d (app) S %d 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 %d 0 0 0 0 0 0 0 0 0 0 0 0\n", pid, parent, 100+pid))
}
