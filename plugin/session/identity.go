package session

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/kubectl-intercept/kubectl-intercept/plugin/kube"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/socket"
)

// Identify reads the kubeconfig and returns the identity of the session that a command
// line belongs to. Two command lines have the same key if they act as the same user
// through the same context. The key is a hash of the names of the kubeconfig's context
// and user, the file that defines the user, the manager's namespace, and the flags that
// override the kubeconfig. The credentials are not part of the key, because certificates
// are renewed. The server's address is part of it only if there is no context, because a
// local cluster may restart at another address. The session process asks the API server
// whether the user and the cluster are still the same (package daemon).
func Identify(f *kube.Factory) (*socket.Identity, error) {
	cfg, err := f.ToRESTConfig()
	if err != nil {
		return nil, fmt.Errorf("read kubeconfig: %w", err)
	}
	raw, err := f.ToRawKubeConfigLoader().RawConfig()
	if err != nil {
		return nil, fmt.Errorf("read kubeconfig: %w", err)
	}
	id := &socket.Identity{Context: raw.CurrentContext, Server: cfg.Host, ManagerNamespace: f.ManagerNamespace}
	if f.Context != nil && *f.Context != "" {
		id.Context = *f.Context
	}
	var user, origin string
	if c := raw.Contexts[id.Context]; c != nil {
		id.Namespace, user = c.Namespace, c.AuthInfo
	}
	if id.Namespace == "" {
		id.Namespace = "default"
	}
	if f.AuthInfoName != nil && *f.AuthInfoName != "" {
		user = *f.AuthInfoName
	}
	if u := raw.AuthInfos[user]; u != nil {
		if origin, err = fileOf(u.LocationOfOrigin); err != nil {
			return nil, fmt.Errorf("read kubeconfig: %w", err)
		}
	}
	var server string // part of the key only if there is no context
	if id.Context == "" {
		server = id.Server
	}
	parts := []string{server, id.Context, id.ManagerNamespace, user, origin}
	for _, flag := range explicit(f) {
		if slices.Contains(userFlags, flag.name) {
			parts = append(parts, flag.name)
			parts = append(parts, flag.values...)
		}
	}
	b, err := json.Marshal(parts)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(b)
	id.Key = hex.EncodeToString(sum[:10])
	return id, nil
}

// userFlags are the kubectl flags that choose the user or the cluster.
var userFlags = []string{"server", "cluster", "as", "as-uid", "as-group", "as-user-extra", "token", "username", "password", "client-certificate", "client-key"}

// fileOf returns the absolute path of the file that an entry comes from. It returns ""
// for a pipe, because a pipe has another name each time.
func fileOf(location string) (string, error) {
	if info, err := os.Stat(location); location == "" || err == nil && !info.Mode().IsRegular() {
		return "", nil
	}
	return filepath.Abs(location)
}
