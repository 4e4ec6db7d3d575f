package main

import (
	"context"
	"errors"
	"io"
	"strings"

	"github.com/kubectl-intercept/kubectl-intercept/agent/control"
	"github.com/kubectl-intercept/kubectl-intercept/agent/pause"
	"github.com/kubectl-intercept/kubectl-intercept/agent/standin"
)

// runContainer runs an agent beside a container of the pod, in an ephemeral container that
// shares the process namespace of the other one. It ends as run does, and with the
// container. However it ends, a container that it has stopped goes on.
func runContainer(ctx context.Context, getenv func(string) string, stderr io.Writer) error {
	name, id := getenv("AGENT_CONTAINER"), getenv("AGENT_CONTAINER_ID")
	if name == "" || id == "" {
		return errors.New("read environment: AGENT_CONTAINER or AGENT_CONTAINER_ID is not set")
	}
	a, err := begin(ctx, getenv, stderr)
	if err != nil {
		return err
	}
	defer a.end()
	var hidden []string
	if paths := getenv("AGENT_HIDDEN_MOUNTS"); paths != "" {
		hidden = strings.Split(paths, ":")
	}
	pauser := pause.New(a.serving, id, a.log)
	defer pauser.End()
	set := standin.New(a.serving, a.identity, name, standin.Container(id, hidden, a.log), pauser, a.log)
	err = a.applyPlans(ctx, set, control.Patience{Gone: managerGone, OtherAuthority: managerOther})
	a.log.Info("ending", "error", err)
	return err
}
