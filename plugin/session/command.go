package session

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/kubectl-intercept/kubectl-intercept/plugin/kube"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/render"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/carrier"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/state"
)

// NewCommand returns the hidden command that is the process itself, in the
// foreground. It logs to the standard error output.
func NewCommand(f *kube.Factory, streams genericiooptions.IOStreams) *cobra.Command {
	transport, level := carrier.Auto, "info"
	cmd := &cobra.Command{
		Use:               "session",
		Short:             "Run the session process in the foreground",
		Hidden:            true,
		Args:              cobra.NoArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if !slices.Contains([]string{carrier.Auto, carrier.ViaService, carrier.ViaPortForward}, transport) {
				return fmt.Errorf("--transport %q: use auto, service-proxy or port-forward", transport)
			}
			var l slog.Level
			if err := l.UnmarshalText([]byte(level)); err != nil {
				return fmt.Errorf("--log-level %q: use debug, info, warn or error", level)
			}
			if err := takeSecrets(f); err != nil {
				return err
			}
			log := slog.New(slog.NewTextHandler(streams.ErrOut, &slog.HandlerOptions{Level: l}))
			id, err := identify(f)
			if err != nil {
				return err
			}
			dir, err := state.Open(id.key)
			if err != nil {
				return err
			}
			cfg, err := f.ToRESTConfig()
			if err != nil {
				return fmt.Errorf("read kubeconfig: %w", err)
			}
			err = newProcess(id, dir, cfg, transport, log).run(cmd.Context())
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
	cmd.Flags().StringVar(&transport, "transport", transport, "Way to the traffic-manager: auto, service-proxy or port-forward")
	cmd.Flags().StringVar(&level, "log-level", level, "debug, info, warn or error")
	return cmd
}
