package status

import (
	"context"
	"fmt"
	"strings"
	"sync"

	"github.com/kubectl-intercept/kubectl-intercept/plugin/render"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session"
)

// Values are headers that an intercept's agents saw, or why they are not told.
type Values struct {
	*session.Headers
	Error string `json:"error,omitempty"`
}

// addValues asks for the values of headers that the user's intercepts saw, all at once.
func (o *Options) addValues(ctx context.Context, s *Status) {
	var asked sync.WaitGroup
	defer asked.Wait()
	for k := range s.Intercepts {
		i := &s.Intercepts[k]
		if i.Owner != s.User || len(i.Match) == 0 {
			continue
		}
		if why := i.withoutValues(s); why != "" {
			i.Values = &Values{Error: why}
			continue
		}
		asked.Go(func() {
			seen, err := o.sessions.Headers(ctx, o.factory, i.Namespace, i.Name)
			i.Values = &Values{Headers: seen}
			if err != nil {
				i.Values.Error = render.Error(err)
			}
		})
	}
}

// withoutValues says why there is nothing to ask for.
func (i *Intercept) withoutValues(s *Status) string {
	switch {
	case s.Session == nil:
		return "they come through the session, and none is running; kubectl intercept add starts one"
	case i.Elsewhere != "":
		return "they are told to the session that has the intercept: " + i.Elsewhere
	case i.Matching != nil && i.Matching.Taken > 0:
		return "they are told only as long as no request has met the conditions"
	case i.Matching == nil || i.Matching.PassedSince == nil:
		return "no other request has come yet"
	}
	return ""
}

// valueRows say which values headers had.
func (i *Intercept) valueRows() []render.Row {
	v := i.Values
	switch {
	case v == nil:
		return nil
	case v.Error != "":
		return []render.Row{{Label: "Values", Value: "not shown: " + v.Error}}
	case len(v.Seen) == 0:
		return []render.Row{{Label: "Values", Value: "not shown: the agents remember no header"}}
	}
	heading := "the latest of each header"
	if v.Answered < v.Agents {
		heading += fmt.Sprintf(", by %d of %s", v.Answered, render.Count(int64(v.Agents), "agent"))
	}
	lines := []string{heading}
	for _, h := range v.Seen {
		var values []string
		for _, value := range h.Values {
			values = append(values, fmt.Sprintf("%q", value)) // whoever sent it may not write to this terminal
		}
		text := strings.Join(values, ", ")
		if h.Masked {
			text = "hidden, since it may be a credential"
		}
		lines = append(lines, h.Name+": "+text)
	}
	return []render.Row{{Label: "Values", Value: strings.Join(lines, "\n")}}
}
