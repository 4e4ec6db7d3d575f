// Command kubectl-intercept is the kubectl plugin `kubectl intercept`.
package main

import (
	"context"
	"os"

	"k8s.io/cli-runtime/pkg/genericiooptions"
	_ "k8s.io/client-go/plugin/pkg/client/auth" // the ways to log in that a kubeconfig can name

	"github.com/kubectl-intercept/kubectl-intercept/plugin/cmd"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/program"
)

func main() {
	ctx, stop := program.Ends(context.Background())
	streams := genericiooptions.IOStreams{In: os.Stdin, Out: os.Stdout, ErrOut: program.Stderr()}
	code := cmd.Run(ctx, streams, os.Args[1:])
	stop()
	os.Exit(code)
}
