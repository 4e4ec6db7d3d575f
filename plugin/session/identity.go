package session

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"

	"github.com/kubectl-intercept/kubectl-intercept/plugin/kube"
)

// identity says which session a command line belongs to.
type identity struct {
	key              string
	context          string
	server           string
	namespace        string // of the context
	managerNamespace string
}

// identify resolves the kubeconfig. Two command lines have the same key if
// they act as the same user through the same context on the same server. What
// a kubeconfig says of a user may change, as certificates do when they are
// renewed; so not the credentials count but the entry's name and file, and
// the flags that overrule it.
func identify(f *kube.Factory) (*identity, error) {
	cfg, err := f.ToRESTConfig()
	if err != nil {
		return nil, fmt.Errorf("read kubeconfig: %w", err)
	}
	raw, err := f.ToRawKubeConfigLoader().RawConfig()
	if err != nil {
		return nil, fmt.Errorf("read kubeconfig: %w", err)
	}
	id := &identity{context: raw.CurrentContext, server: cfg.Host, managerNamespace: f.ManagerNamespace}
	if f.Context != nil && *f.Context != "" {
		id.context = *f.Context
	}
	var user, origin string
	if c := raw.Contexts[id.context]; c != nil {
		id.namespace, user = c.Namespace, c.AuthInfo
	}
	if id.namespace == "" {
		id.namespace = "default"
	}
	if f.AuthInfoName != nil && *f.AuthInfoName != "" {
		user = *f.AuthInfoName
	}
	if u := raw.AuthInfos[user]; u != nil && u.LocationOfOrigin != "" {
		if origin, err = filepath.Abs(u.LocationOfOrigin); err != nil {
			return nil, fmt.Errorf("read kubeconfig: %w", err)
		}
	}
	parts := []string{id.server, id.context, id.managerNamespace, user, origin}
	for _, flag := range explicit(f) {
		if slices.Contains(whoFlags, flag.name) {
			parts = append(parts, flag.name)
			parts = append(parts, flag.values...)
		}
	}
	b, err := json.Marshal(parts)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(b)
	id.key = hex.EncodeToString(sum[:10])
	return id, nil
}

// whoFlags are kubectl's flags that say who the user is.
var whoFlags = []string{"as", "as-uid", "as-group", "as-user-extra", "token", "username", "password", "client-certificate", "client-key"}
