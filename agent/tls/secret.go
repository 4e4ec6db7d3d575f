package tls

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// fresh is how long a Secret is used before its files are looked at again. The kubelet
// replaces them within about a minute of a change.
const fresh = 5 * time.Second

// layouts are the names of files in the types of Secrets that there are.
var layouts = [...]struct{ chain, key, roots string }{
	{"tls.crt", "tls.key", "ca.crt"},               // kubernetes.io/tls and Opaque
	{"cert-chain.pem", "key.pem", "root-cert.pem"}, // istio.io/key-and-cert
}

// identity is what a Secret contains.
type identity struct {
	certificate *tls.Certificate
	roots       *x509.CertPool // nil if the Secret has no certificate authority
}

// secret is a Secret in a mounted folder. It follows the changes of the files.
type secret struct {
	folder string
	log    *slog.Logger
	fresh  time.Duration

	mu      sync.Mutex
	checked time.Time
	version string // of the files that now was read from
	now     *identity
}

// current is what the Secret contains; nil if it contains no key that can be used, or is
// not mounted. While new files cannot be used, those from before go on.
func (s *secret) current() *identity {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.checked.IsZero() && time.Since(s.checked) < s.fresh {
		return s.now
	}
	s.checked = time.Now()
	folder := s.resolved()
	version := versionOf(folder)
	if version == s.version {
		return s.now
	}
	i, err := read(folder)
	switch {
	case err == nil:
		s.now, s.version = i, version
		s.log.Info("a TLS key is read", "folder", s.folder, "expires", i.certificate.Leaf.NotAfter)
	case errors.Is(err, fs.ErrNotExist):
		s.log.Debug("there is no TLS key", "folder", s.folder)
	default:
		s.log.Warn("a TLS key cannot be used", "folder", s.folder, "error", err)
	}
	return s.now
}

// resolved is the folder that has the files of one version of the Secret. The kubelet
// puts each version into a folder of its own, to which the link ..data leads.
func (s *secret) resolved() string {
	if to, err := os.Readlink(filepath.Join(s.folder, "..data")); err == nil {
		return filepath.Join(s.folder, to)
	}
	return s.folder
}

// versionOf differs between two versions of the files in a folder; it is empty if there
// are none.
func versionOf(folder string) string {
	var b strings.Builder
	for _, l := range layouts {
		for _, name := range [...]string{l.chain, l.key, l.roots} {
			if info, err := os.Stat(filepath.Join(folder, name)); err == nil {
				fmt.Fprintln(&b, folder, name, info.Size(), info.ModTime().UnixNano())
			}
		}
	}
	return b.String()
}

// read reads the files of one version.
func read(folder string) (*identity, error) {
	for _, l := range layouts {
		certificate, err := tls.LoadX509KeyPair(filepath.Join(folder, l.chain), filepath.Join(folder, l.key))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("read %s and %s: %w", l.chain, l.key, err)
		}
		i := &identity{certificate: &certificate}
		pem, err := os.ReadFile(filepath.Join(folder, l.roots))
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			return nil, err
		default:
			i.roots = x509.NewCertPool()
			if !i.roots.AppendCertsFromPEM(pem) {
				return nil, fmt.Errorf("%s has no certificate", l.roots)
			}
		}
		return i, nil
	}
	return nil, fs.ErrNotExist
}
