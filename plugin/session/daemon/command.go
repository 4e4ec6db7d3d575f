package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/kubectl-intercept/kubectl-intercept/plugin/kube"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/render"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/carrier"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/credentials"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/socket"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/state"
)

// NewCommand returns the hidden command that runs the session process in the foreground. It
// logs to standard error.
func NewCommand(f *kube.Factory, streams genericiooptions.IOStreams) *cobra.Command {
	transport, level, child := carrier.Auto, "info", false
	cmd := &cobra.Command{
		Use:               "session",
		Short:             "Run the session process in the foreground",
		Hidden:            true,
		Args:              cobra.NoArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := carrier.CheckName(transport); err != nil {
				return err
			}
			l := new(slog.LevelVar)
			if err := l.UnmarshalText([]byte(level)); err != nil {
				return fmt.Errorf("--log-level %q: use debug, info, warn or error", level)
			}
			log := slog.New(slog.NewTextHandler(streams.ErrOut, &slog.HandlerOptions{Level: l}))
			caller, err := callerOf(cmd.Context(), f, streams, child)
			if err != nil {
				return err
			}
			dir, err := state.Open(caller.Identity.Key)
			if err != nil {
				return err
			}
			source, err := credentials.NewSource(cmd.Context(), caller.Credentials, caller.Origin(), log)
			if err != nil {
				return errors.Join(err, dir.Fail(render.Error(err)))
			}
			err = newProcess(caller.Identity, dir, source, transport, log, l).run(cmd.Context())
			if errors.Is(err, state.ErrLocked) {
				log.Info("another process is the session already")
				return nil
			}
			if err != nil {
				return errors.New(render.Error(err))
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&transport, "transport", transport, "Transport to the traffic-manager: auto, direct, service-proxy or port-forward")
	cmd.Flags().StringVar(&level, "log-level", level, "debug, info, warn or error")
	cmd.Flags().BoolVar(&child, session.ChildFlag, child, "Read from the standard input what the command says of itself that starts the session")
	return cmd
}

// callerOf describes the command that starts the process. A child process reads the
// description that this command sent. Otherwise this process is the command itself.
func callerOf(ctx context.Context, f *kube.Factory, streams genericiooptions.IOStreams, child bool) (*socket.Caller, error) {
	if child {
		return socket.ReadCaller(streams.In)
	}
	id, err := session.Identify(f)
	if err != nil {
		return nil, err
	}
	return session.NewCaller(ctx, f, id)
}
