package tls

import (
	"bytes"
	"log/slog"
	"testing"
)

func leaf(i *identity) string {
	if i == nil {
		return ""
	}
	return i.certificate.Leaf.Subject.CommonName
}

// Every type of Secret is read, and one that cannot be used is none.
func TestLayouts(t *testing.T) {
	a := newAuthority(t)
	p, other := a.issue("quote"), a.issue("other")
	for _, x := range []struct {
		name  string
		files files
		want  string
		roots bool
	}{
		{"kubernetes.io/tls", p.files(nil), "quote", false},
		{"with an authority", p.files(a.pem), "quote", true},
		{"istio.io/key-and-cert", files{"cert-chain.pem": p.chain, "key.pem": p.key, "root-cert.pem": a.pem}, "quote", true},
		{"no key", files{"tls.crt": p.chain}, "", false},
		{"the key of another certificate", files{"tls.crt": p.chain, "tls.key": other.key}, "", false},
		{"an authority that is none", p.files([]byte("none")), "", false},
		{"nothing", files{"token": []byte("x")}, "", false},
	} {
		folder := t.TempDir()
		mount(t, folder, "..1", x.files)
		s := &secret{folder: folder, log: slog.New(slog.DiscardHandler)}
		i := s.current()
		if leaf(i) != x.want || (i != nil && i.roots != nil) != x.roots {
			t.Errorf("%s: %q, want %q", x.name, leaf(i), x.want)
		}
	}
	absent := &secret{folder: t.TempDir() + "/absent", log: slog.New(slog.DiscardHandler)}
	if absent.current() != nil {
		t.Error("a folder that does not exist has a key")
	}
}

// New files are used at once, and those from before while the new ones cannot be.
func TestRotation(t *testing.T) {
	a := newAuthority(t)
	folder := t.TempDir()
	var logged bytes.Buffer
	s := &secret{folder: folder, log: slog.New(slog.NewTextHandler(&logged, nil))}
	first, second := a.issue("first"), a.issue("second")
	for _, step := range []struct {
		version string
		files   files
		want    string
	}{
		{"..1", first.files(nil), "first"},
		{"..2", files{"tls.crt": second.chain, "tls.key": first.key}, "first"},
		{"..3", second.files(nil), "second"},
	} {
		mount(t, folder, step.version, step.files)
		for range 2 {
			if got := leaf(s.current()); got != step.want {
				t.Errorf("%s: %q, want %q", step.version, got, step.want)
			}
		}
	}
	if bytes.Count(logged.Bytes(), []byte("a TLS key is read")) != 2 {
		t.Errorf("unchanged files are read again: %s", logged.String())
	}
}
