package forward

import "github.com/kubectl-intercept/kubectl-intercept/agent/tls"

// SetKeys replaces the Secrets of a port that has no connections yet.
func (p *Port) SetKeys(k *tls.Keys) { p.keys = k }
