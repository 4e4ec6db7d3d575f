package cmd

import (
	"context"

	"github.com/kubectl-intercept/kubectl-intercept/plugin/kube"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session"
)

// LogLevel is set where a session runs.
func (f fakeSessions) LogLevel(context.Context, *kube.Factory, session.LogLevel) (string, error) {
	if !f.w.running {
		return "", nil
	}
	return "/tmp/session.log", nil
}

// Netd runs with the session.
func (f fakeSessions) Netd(context.Context) (string, error) {
	if !f.w.running {
		return "", nil
	}
	return "0.1.0", nil
}
