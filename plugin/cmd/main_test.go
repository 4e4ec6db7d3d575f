package cmd

import (
	"context"
	"fmt"
	"os"
	"testing"

	"github.com/kubectl-intercept/kubectl-intercept/plugin/container"
)

// TestMain is also the process that removes the containers of scripts.
func TestMain(m *testing.M) {
	if len(os.Args) != 2 || os.Args[1] != container.WatchCommand {
		os.Exit(m.Run())
	}
	if err := container.Watch(context.Background(), os.Stdin); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
