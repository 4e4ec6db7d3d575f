// Command kubectl-intercept is the kubectl plugin `kubectl intercept`. Called by the name
// kubectl_complete-intercept, it completes what is typed after that.
package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"

	"k8s.io/cli-runtime/pkg/genericiooptions"
	_ "k8s.io/client-go/plugin/pkg/client/auth" // the ways to log in that a kubeconfig can name

	"github.com/kubectl-intercept/kubectl-intercept/plugin/cmd"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/complete"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/program"
)

func main() {
	args, completes := complete.Request(os.Args[0], os.Args[1:])
	if completes {
		silence()
	}
	ctx, stop := program.Ends(context.Background())
	var code int
	if next := successor(); next != "" {
		code = handOver(ctx, next, args)
	} else {
		streams := genericiooptions.IOStreams{In: os.Stdin, Out: os.Stdout, ErrOut: program.Stderr()}
		code = cmd.Run(ctx, streams, args)
	}
	stop()
	os.Exit(code)
}

// silence keeps everything from the terminal but the answer: whoever presses Tab is in the
// middle of a line. Cobra, client-go and credential plugins write to the process's standard
// error output, and the latter read from its standard input.
func silence() {
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return
	}
	os.Stdin, os.Stderr = null, null
}

// successor is the program that answers in place of this one, if it is a copy that is out
// of date.
func successor() string {
	self, err := os.Executable()
	if err != nil {
		return ""
	}
	return complete.Successor(self, exec.LookPath)
}

// handOver has another program answer.
func handOver(ctx context.Context, path string, args []string) int {
	c := exec.CommandContext(ctx, filepath.Clean(path), args...)
	c.Stdout = os.Stdout
	if c.Run() != nil {
		return 1
	}
	return 0
}
