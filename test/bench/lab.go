package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// lab is the cluster, with its node and its laptop, and the programs to run in it.
type lab struct {
	name string
	bin  string // folder of the project's binaries
	tmp  string
	self string   // this program, as a static binary
	env  []string // of everything that runs in the lab
	log  io.Writer
}

// image is the container image of the deployments.
const image = "kubectl-intercept.dev/test/meter:dev"

// openLab builds this program and brings the cluster up with it as an image.
// fresh says that the cluster is new.
func openLab(ctx context.Context, o *options, log io.Writer) (l *lab, fresh bool, err error) {
	l = &lab{name: o.name, bin: o.bin, log: log}
	if l.tmp, err = os.MkdirTemp("", "kubectl-intercept-bench-"); err != nil {
		return nil, false, err
	}
	// The product's commands must keep their state in the temporary folder.
	l.env = slices.DeleteFunc(os.Environ(), func(kv string) bool {
		name, _, _ := strings.Cut(kv, "=")
		return name == "KUBECONFIG" || name == "HOME" || strings.HasPrefix(name, "XDG_")
	})
	l.env = append(l.env, "HOME="+filepath.Join(l.tmp, "home"))
	l.self = filepath.Join(l.tmp, "bench")
	l.say("building")
	goEnv := append(os.Environ(), "CGO_ENABLED=0")
	if _, err := output(ctx, 5*time.Minute, []string{"go", "build", "-C", o.root, "-trimpath", "-o", l.self, "./test/bench"}, goEnv); err != nil {
		return l, false, err
	}
	archive := filepath.Join(l.tmp, "meter.tar")
	if _, err := output(ctx, 5*time.Minute, []string{"go", "run", "-C", o.root, "./krew/image", "-name", image, "-binary", l.self, "-file", l.self + ":/bin/tar:755", "-o", archive}, goEnv); err != nil {
		return l, false, err
	}
	list, err := output(ctx, time.Minute, []string{l.program("cluster"), "list"}, l.env)
	if err != nil {
		return l, false, err
	}
	fresh = !slices.ContainsFunc(strings.Split(list, "\n"), func(s string) bool { return strings.HasPrefix(s, l.name+" ") })
	l.say("bringing up cluster %s", l.name)
	if _, err := output(ctx, 3*time.Minute, []string{l.program("cluster"), "up", "--name", l.name}, l.env); err != nil {
		return l, fresh, err
	}
	archives := []string{archive}
	if !fresh { // the images in the cluster may be older than the last build
		for _, name := range []string{"traffic-manager", "traffic-agent"} {
			archives = append(archives, filepath.Join(l.bin, "images", name+".tar"))
		}
	}
	_, err = output(ctx, time.Minute, append([]string{l.program("cluster"), "load", "--name", l.name}, archives...), l.env)
	return l, fresh, err
}

// close removes what openLab made, except a cluster that is to be kept.
func (l *lab) close(ctx context.Context, keep bool) error {
	var err error
	if !keep {
		l.say("removing cluster %s", l.name)
		_, err = output(ctx, 2*time.Minute, []string{l.program("cluster"), "down", "--name", l.name}, l.env)
	}
	if rerr := os.RemoveAll(l.tmp); err == nil {
		err = rerr
	}
	return err
}

func (l *lab) program(name string) string { return filepath.Join(l.bin, name) }

// node is a command line that runs a program in the node's network.
func (l *lab) node(argv ...string) []string {
	return append([]string{l.program("cluster"), "exec", "--name", l.name, "--"}, argv...)
}

// laptop is a command line that runs a program on the laptop.
func (l *lab) laptop(argv ...string) []string {
	return append([]string{l.program("cluster"), "laptop", "--name", l.name, "--"}, argv...)
}

// kubectl runs kubectl on the laptop and returns what it printed.
func (l *lab) kubectl(ctx context.Context, args ...string) (string, error) {
	out, err := output(ctx, 2*time.Minute, l.laptop(append([]string{l.program("kubectl")}, args...)...), l.env)
	return strings.TrimSpace(out), err
}

func (l *lab) say(format string, args ...any) {
	fmt.Fprintf(l.log, "bench: "+format+"\n", args...)
}
