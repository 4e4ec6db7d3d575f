package preview

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/kubectl-intercept/kubectl-intercept/manager/gateway"
)

// The names of the flags that answer the questions unasked.
const (
	FlagHost   = "preview-host"
	FlagPort   = "preview-port"
	FlagTLS    = "preview-tls"
	FlagL5Host = "preview-l5host"
)

// Terminal is where questions are asked.
type Terminal struct {
	In  io.Reader
	Out io.Writer
}

// errNoAnswer says that the input ended.
var errNoAnswer = errors.New("no answer")

// chooser finds the answers to the four questions.
type chooser struct {
	candidates []Candidate
	terminal   *Terminal
	in         *bufio.Reader
	asked      bool
}

// Choose returns where a preview enters. The answers that flags gave count first, by the
// flag's name. What they leave open is asked on the terminal, with the best candidate as
// the default; without a terminal, which is nil, the default counts. It returns an error
// that names the flags if there is none.
func Choose(answers map[string]string, candidates []Candidate, terminal *Terminal) (gateway.Ingress, error) {
	c := &chooser{candidates: candidates, terminal: terminal}
	var to gateway.Ingress
	if len(candidates) > 0 {
		to = candidates[0].Ingress
	}
	if terminal != nil {
		c.in = bufio.NewReader(terminal.In)
	}
	var missing []string
	for n, q := range c.questions() {
		text, given := answers[q.flag]
		switch fallback := q.fallback(&to); {
		case given:
			if err := q.take(&to, text); err != nil {
				return to, fmt.Errorf("--%s: %w", q.flag, err)
			}
		case terminal != nil:
			if err := c.ask(n+1, q, &to); err != nil {
				return to, err
			}
		case fallback == "":
			missing = append(missing, "--"+q.flag)
		default:
			if err := q.take(&to, fallback); err != nil {
				return to, err
			}
		}
	}
	if len(missing) > 0 {
		return to, fmt.Errorf("nothing in the cluster tells how requests from outside enter: say it with %s", strings.Join(missing, " and "))
	}
	return to, nil
}

// Check returns an error about the first answer of flags that cannot be right, whatever the
// cluster has.
func Check(answers map[string]string) error {
	var to gateway.Ingress
	for _, q := range (&chooser{}).questions() {
		if text, given := answers[q.flag]; given {
			if err := q.take(&to, text); err != nil {
				return fmt.Errorf("--%s: %w", q.flag, err)
			}
		}
	}
	return nil
}

// ask asks one question until the answer is valid. An empty answer is the fallback.
func (c *chooser) ask(n int, q question, to *gateway.Ingress) error {
	if !c.asked {
		c.asked = true
		fmt.Fprintln(c.terminal.Out, "How do requests from outside enter the cluster? Enter alone takes what is in brackets.")
		if len(c.candidates) > 0 {
			fmt.Fprintf(c.terminal.Out, "Found: %s\n", c.candidates[0].From)
		}
	}
	for {
		fallback := q.fallback(to)
		shown := ""
		if fallback != "" {
			shown = " [" + fallback + "]"
		}
		fmt.Fprintf(c.terminal.Out, "%d/4 %s%s: ", n, q.text, shown)
		line, err := c.in.ReadString('\n')
		if err != nil && line == "" {
			fmt.Fprintln(c.terminal.Out)
			return fmt.Errorf("%w to question %d: say it with --%s", errNoAnswer, n, q.flag)
		}
		text := strings.TrimSpace(line)
		if text == "" {
			text = fallback
		}
		if text == "" {
			continue
		}
		if err := q.take(to, text); err != nil {
			fmt.Fprintln(c.terminal.Out, err)
			continue
		}
		return nil
	}
}
