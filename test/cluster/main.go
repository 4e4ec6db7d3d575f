// Command cluster runs real Kubernetes clusters on one Linux machine, for the
// demo and the end-to-end tests. It contains all of Kubernetes and etcd: called
// by the name of one of them, for instance through a link `kubectl`, it is that
// program. See README.md for the commands and a drawing of the network.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"syscall"

	"github.com/kubectl-intercept/kubectl-intercept/test/cluster/cmd"
	"github.com/kubectl-intercept/kubectl-intercept/test/cluster/kube"
	"github.com/kubectl-intercept/kubectl-intercept/test/cluster/space"
)

func main() {
	if name := filepath.Base(os.Args[0]); kube.Has(name) {
		os.Exit(kube.Run(append([]string{name}, os.Args[1:]...)))
	}
	os.Exit(run())
}

func run() int {
	// Threads that enter a space are thrown away. The first one cannot be, so
	// it is kept for this goroutine.
	runtime.LockOSThread()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := cmd.New().ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	fmt.Fprintln(os.Stderr, "cluster:", err)
	var notFound *space.NotFoundError
	if errors.As(err, &notFound) {
		return 127 // as a shell says it
	}
	return 1
}
