package cmd

import (
	"strings"

	"github.com/spf13/cobra"
)

// polish makes the help texts of all commands what people expect.
func polish(root *cobra.Command) {
	root.InitDefaultHelpCmd()
	for _, c := range root.Commands() {
		if c.Name() == "help" {
			c.Run, c.RunE = nil, func(_ *cobra.Command, args []string) error { return help(root, args) }
		}
	}
	paragraphs(root)
}

// help is cobra's, but for a command that is not there: that is an error.
func help(root *cobra.Command, args []string) error {
	c, rest, err := root.Find(args)
	if err != nil {
		return err
	}
	if len(rest) > 0 && c.HasSubCommands() {
		c.SuggestionsMinimumDistance = root.SuggestionsMinimumDistance
		return knownCommand(c, rest)
	}
	c.InitDefaultHelpFlag()
	return c.Help()
}

// paragraphs takes the space away with which kubectl's templates begin every
// paragraph but the first.
func paragraphs(c *cobra.Command) {
	lines := strings.Split(c.Long, "\n")
	for n, line := range lines {
		if rest, ok := strings.CutPrefix(line, " "); ok && !strings.HasPrefix(rest, " ") {
			lines[n] = rest
		}
	}
	c.Long = strings.Join(lines, "\n")
	for _, sub := range c.Commands() {
		paragraphs(sub)
	}
}
