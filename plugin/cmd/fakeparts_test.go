package cmd

import (
	"context"
)

// Netd runs with the session.
func (f fakeSessions) Netd(context.Context) (string, error) {
	if !f.w.running {
		return "", nil
	}
	return "0.1.0", nil
}
