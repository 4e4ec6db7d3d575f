package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"strings"

	"github.com/kubectl-intercept/kubectl-intercept/agent/capture"
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
	if getenv("AGENT_MESH") == "true" {
		spared, err := spare(a.settings, name, a.log)
		if err != nil {
			return err
		}
		defer spared.Close()
	}
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

// spare keeps a service mesh from redirecting connections to the traffic-manager's port for
// agents, until the table is closed. A strict mesh would refuse them. All other connections of
// the agent are the pod's: the mesh takes those that the agent dials for the laptop.
func spare(s *control.Settings, container string, log *slog.Logger) (*capture.Table, error) {
	to, err := netip.ParseAddrPort(s.Manager)
	if err != nil {
		return nil, fmt.Errorf("read AGENT_MANAGER: %w", err)
	}
	table, err := capture.Open()
	if err != nil {
		return nil, err
	}
	needed, err := table.ExemptPort(container, to.Port())
	tell(needed, err, log)
	return table, nil
}
