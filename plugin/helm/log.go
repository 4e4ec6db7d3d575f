package helm

import (
	"fmt"
	"io"
	"log/slog"

	helmkube "helm.sh/helm/v3/pkg/kube"
)

// debugf takes Helm's own log.
func debugf(format string, args ...any) {
	slog.Debug(fmt.Sprintf(format, args...), "from", "helm")
}

// logTo writes Helm's own log as helm --debug does; nil means nobody reads it.
func logTo(w io.Writer) func(string, ...any) {
	if w == nil {
		return debugf
	}
	return func(format string, args ...any) { fmt.Fprintf(w, "[debug] "+format+"\n", args...) }
}

// LogTo has Helm's own log written out; nil means nobody reads it.
func (c *Client) LogTo(w io.Writer) {
	log := logTo(w)
	c.cfg.Log = log
	c.cfg.Releases.Log = log
	if kc, ok := c.cfg.KubeClient.(*helmkube.Client); ok {
		kc.Log = log
	}
}
