package main

import (
	"context"

	"github.com/kubectl-intercept/kubectl-intercept/manager/authz"
	"github.com/kubectl-intercept/kubectl-intercept/manager/preview"
)

// newPreviews makes the server of preview URLs.
func (s *shared) newPreviews(ctx context.Context) (*preview.Server, error) {
	key, err := s.authority.Key("preview")
	if err != nil {
		return nil, err
	}
	p := preview.New(preview.Config{Reader: s.mgr.GetClient(), Policy: s.previewPolicy(), Key: key, Listen: s.listenPreview, Log: s.log})
	return p, forgetEnded(ctx, s.mgr, p)
}

// newNamer makes the part that gives previews their URLs, or says why there is none.
func (s *shared) newNamer() *preview.Namer {
	return &preview.Namer{Client: s.mgr.GetClient(), Policy: s.previewPolicy(), Enabled: s.config.Preview.Enabled}
}

// previewPolicy makes the policy of what previews may enter. Addresses that connected
// machines may dial beyond Services and pods are not among it, since visitors of a
// preview need not prove who they are.
func (s *shared) previewPolicy() *preview.Policy {
	return &preview.Policy{Reader: s.mgr.GetClient(), Reach: authz.New(s.mgr.GetClient(), s.direct, authz.Policy{}), Namespace: s.namespace,
		Namespaces: s.watch, Domain: s.config.Preview.Domain, ClusterDomain: domain(s.names.Search), Services: s.config.Preview.Services,
		Hosts: &preview.Hosts{Allowed: s.config.Preview.Hosts, Live: s.direct}}
}
