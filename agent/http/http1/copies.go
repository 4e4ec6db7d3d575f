package http1

import (
	"slices"

	"github.com/kubectl-intercept/kubectl-intercept/agent/http"
	"github.com/kubectl-intercept/kubectl-intercept/agent/mirror"
)

// mirrored is the Mirror of a target.
type mirrored struct {
	*mirror.Mirror
	to http.Copier
}

// mirrorsOf returns those of the targets.
func (c *conn) mirrorsOf(targets []http.Copier) []*mirror.Mirror {
	var list []*mirror.Mirror
	for _, t := range targets {
		i := slices.IndexFunc(c.mirrors, func(m mirrored) bool { return m.to == t })
		if i < 0 {
			i, c.mirrors = len(c.mirrors), append(c.mirrors, mirrored{mirror.New(c.ctx, t), t})
		}
		list = append(list, c.mirrors[i].Mirror)
	}
	return list
}
