package http1

import (
	"slices"

	"github.com/kubectl-intercept/kubectl-intercept/agent/http"
	"github.com/kubectl-intercept/kubectl-intercept/agent/mirror"
)

// mirrored is the Mirror of a target; to is nil if it is for one request alone.
type mirrored struct {
	*mirror.Mirror
	to http.Copier
}

// mirrorsOf returns those of the targets. They end a while after the connection, however that
// ends. A request that may switch protocols has Mirrors of
// its own: what a program that does switch gets behind it would be no request.
func (c *conn) mirrorsOf(targets []http.Copier, switches bool) []*mirror.Mirror {
	for _, m := range c.mirrors {
		if m.to == nil {
			m.Close()
		}
	}
	c.mirrors = slices.DeleteFunc(c.mirrors, func(m mirrored) bool { return m.to == nil && m.Ended() })
	var list []*mirror.Mirror
	for _, t := range targets {
		i := slices.IndexFunc(c.mirrors, func(m mirrored) bool { return m.to == t })
		switch {
		case switches:
			i, c.mirrors = len(c.mirrors), append(c.mirrors, mirrored{mirror.New(c.outer, t, newReplies), nil})
		case i < 0:
			i, c.mirrors = len(c.mirrors), append(c.mirrors, mirrored{mirror.New(c.outer, t, newReplies), t})
		}
		list = append(list, c.mirrors[i].Mirror)
	}
	return list
}
