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

// Identify reads the kubeconfig and says which session a command line belongs to. Two
// command lines have the same key if they act as the same user through the same
// context. The key is made of the names of the kubeconfig's entries, of their file, and
// of the flags that overrule them. It is not made of the credentials and the server's
// address: a certificate is renewed, and a cluster on this machine may start again at
// another address. A process that runs asks the API server whether the user and the
// cluster are still the same (package daemon).
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
	var server string // part of the key where nothing has a name
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

// userFlags are those of kubectl's flags that say who the user is, and in which cluster.
var userFlags = []string{"server", "cluster", "as", "as-uid", "as-group", "as-user-extra", "token", "username", "password", "client-certificate", "client-key"}

// fileOf is the file of an entry; "" for a pipe, which has another name each time.
func fileOf(location string) (string, error) {
	if info, err := os.Stat(location); location == "" || err == nil && !info.Mode().IsRegular() {
		return "", nil
	}
	return filepath.Abs(location)
}
