package completion

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/kubectl/pkg/util/templates"

	"github.com/kubectl-intercept/kubectl-intercept/plugin/complete"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/render"
)

func newInstall(streams genericiooptions.IOStreams) *cobra.Command {
	dir := ""
	cmd := &cobra.Command{
		Use:                   "install [--dir FOLDER]",
		DisableFlagsInUseLine: true,
		Short:                 "Let kubectl's completion go on after kubectl intercept",
		Long: templates.LongDesc(`
			Put ` + complete.Executable + ` beside the plugin, where kubectl's own completion
			finds it. It leads to the plugin, so that it stays right when krew upgrades that.
			Again, it changes nothing.`),
		Example: templates.Examples(`
			# Once
			kubectl intercept completion install

			# Where the plugin's folder belongs to root: in one of your own
			kubectl intercept completion install --dir ~/.local/bin`),
		Args:              cobra.NoArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(*cobra.Command, []string) error {
			self, err := os.Executable()
			if err != nil {
				return fmt.Errorf("find this program: %w", err)
			}
			p := &placer{system: runtime.GOOS, path: os.Getenv("PATH"), self: self, link: os.Symlink}
			placed, err := p.place(dir)
			if err != nil {
				return err
			}
			return report(streams, placed, os.Getenv("SHELL"), runtime.GOOS)
		},
	}
	cmd.Flags().StringVar(&dir, "dir", "", "Folder of your PATH in which to put it (default: the plugin's)")
	_ = cmd.MarkFlagDirname("dir") // it fails if there is no such flag
	return cmd
}

// report says what is where, and what else it needs.
func report(streams genericiooptions.IOStreams, placed *placed, shell, system string) error {
	verb := "completes"
	if placed.before {
		verb = "completed already, and goes on to complete,"
	}
	if _, err := fmt.Fprintf(streams.Out, "%s %s what follows kubectl intercept\n", placed.path, verb); err != nil {
		return err
	}
	if placed.hidden != "" {
		render.Warn(streams.ErrOut, fmt.Sprintf("kubectl asks %s instead, whose folder is earlier in PATH: remove that file", placed.hidden))
	}
	_, err := fmt.Fprintf(streams.ErrOut, "It works where your shell completes kubectl 1.26 or later: %s\n", kubectlLine(shell, system))
	return err
}

// kubectlLine is what makes a shell complete kubectl.
func kubectlLine(shell, system string) string {
	switch name := strings.TrimSuffix(filepath.Base(shell), ".exe"); {
	case name == "zsh", name == "bash":
		return "source <(kubectl completion " + name + ")"
	case name == "fish":
		return "kubectl completion fish | source"
	case name == "pwsh", system == "windows":
		return "kubectl completion powershell | Out-String | Invoke-Expression"
	}
	return "kubectl completion --help"
}
