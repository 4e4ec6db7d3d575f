package cmd

import (
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/kubectl-intercept/kubectl-intercept/plugin/kube"
)

// rootOf is the whole command line.
func rootOf(t *testing.T) *cobra.Command {
	t.Helper()
	streams, _, _, _ := genericiooptions.NewTestIOStreams()
	return newRoot(kube.NewFactory(), streams, &errOut{w: streams.ErrOut}, fakeSessions{&world{}})
}

func each(c *cobra.Command, f func(*cobra.Command)) {
	f(c)
	for _, sub := range c.Commands() {
		each(sub, f)
	}
}

func TestParagraphsBeginAtTheMargin(t *testing.T) {
	n := 0
	each(rootOf(t), func(c *cobra.Command) {
		for line := range strings.Lines(c.Long) {
			n++
			if strings.HasPrefix(line, " ") && !strings.HasPrefix(line, "  ") {
				t.Errorf("%s: %q", c.CommandPath(), line)
			}
		}
	})
	if n == 0 {
		t.Error("no command has a description")
	}
}

// A word of others that has come to be one of ours leaves the table.
func TestWordsAreNotOurs(t *testing.T) {
	root := rootOf(t)
	for verb, text := range verbs {
		if c, rest, err := root.Find([]string{verb}); err != nil || c != root || len(rest) != 1 {
			t.Errorf("%s is a command", verb)
		}
		if strings.HasSuffix(text, ".") {
			t.Errorf("%s: %q", verb, text)
		}
	}
	used := map[string]int{}
	commands := 0
	each(root, func(c *cobra.Command) {
		commands++
		for name := range flags {
			if c.Flag(name) != nil {
				used[name]++
			}
		}
	})
	for name, n := range used {
		if n == commands {
			t.Errorf("every command has --%s", name)
		}
	}
}
