//go:build linux

package main

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"
)

const (
	account = "/var/run/secrets/kubernetes.io/serviceaccount"
	// readInterval is how often the objects are read.
	readInterval = 200 * time.Millisecond
)

// sidecars is what Istio's control plane would send: the endpoint of each port in the
// Sidecar object that selects this pod.
type sidecars struct {
	ingress atomic.Pointer[map[uint16]netip.AddrPort]
}

func (s *sidecars) endpoint(port uint16) (netip.AddrPort, bool) {
	m := s.ingress.Load()
	if m == nil {
		return netip.AddrPort{}, false
	}
	to, ok := (*m)[port]
	return to, ok
}

// follow reads the objects again and again until ctx ends.
func (s *sidecars) follow(ctx context.Context, c *Config) {
	tick := time.NewTicker(readInterval)
	defer tick.Stop()
	for last := ""; ; {
		m, err := read(ctx, c)
		if err == nil {
			s.ingress.Store(&m)
		}
		if now := fmt.Sprint(m, err); now != last {
			last = now
			fmt.Fprintln(os.Stderr, "mesh: sidecars lead", m, err)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// object has those fields of a Pod or a Sidecar that this program reads.
type object struct {
	Metadata struct {
		Name   string            `json:"name"`
		Labels map[string]string `json:"labels"`
	} `json:"metadata"`
	Spec struct {
		WorkloadSelector *struct {
			Labels map[string]string `json:"labels"`
		} `json:"workloadSelector"`
		Ingress []struct {
			DefaultEndpoint string `json:"defaultEndpoint"`
			Port            struct {
				Number uint16 `json:"number"`
			} `json:"port"`
		} `json:"ingress"`
	} `json:"spec"`
}

func read(ctx context.Context, c *Config) (map[uint16]netip.AddrPort, error) {
	var pod object
	if err := get(ctx, fmt.Sprintf("/api/v1/namespaces/%s/pods/%s", c.Namespace, c.Pod), &pod); err != nil {
		return nil, err
	}
	var list struct {
		Items []object `json:"items"`
	}
	if err := get(ctx, fmt.Sprintf("/apis/networking.istio.io/%s/namespaces/%s/sidecars", c.Sidecars, c.Namespace), &list); err != nil {
		return nil, err
	}
	m := map[uint16]netip.AddrPort{}
	for _, o := range list.Items {
		if o.Spec.WorkloadSelector == nil || !selects(o.Spec.WorkloadSelector.Labels, pod.Metadata.Labels) {
			continue
		}
		for _, in := range o.Spec.Ingress {
			if to, err := netip.ParseAddrPort(in.DefaultEndpoint); err == nil {
				m[in.Port.Number] = to
			}
		}
	}
	return m, nil
}

func selects(selector, labels map[string]string) bool {
	for k, v := range selector {
		if labels[k] != v {
			return false
		}
	}
	return true
}

// get reads from the API server as the pod's service account.
func get(ctx context.Context, path string, into any) error {
	token, err := os.ReadFile(filepath.Join(account, "token"))
	if err != nil {
		return err
	}
	pem, err := os.ReadFile(filepath.Join(account, "ca.crt"))
	if err != nil {
		return err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}
	defer transport.CloseIdleConnections()
	host := net.JoinHostPort(os.Getenv("KUBERNETES_SERVICE_HOST"), cmp.Or(os.Getenv("KUBERNETES_SERVICE_PORT"), "443"))
	ctx, cancel := context.WithTimeout(ctx, dialTime)
	defer cancel()
	q, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+host+path, nil)
	if err != nil {
		return err
	}
	q.Header.Set("Authorization", "Bearer "+string(token))
	r, err := (&http.Client{Transport: transport}).Do(q)
	if err != nil {
		return err
	}
	defer r.Body.Close()
	if r.StatusCode != http.StatusOK {
		return fmt.Errorf("GET %s: %s", path, r.Status)
	}
	return json.NewDecoder(r.Body).Decode(into)
}
