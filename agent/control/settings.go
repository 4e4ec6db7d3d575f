// Package control is the agent's side of the control protocol in manager/rpc. It
// enrolls for a certificate, keeps a stream to a replica of the traffic-manager,
// applies the configurations that arrive and reports the results.
package control

import (
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// Settings are what the manager tells an agent through environment variables.
type Settings struct {
	// Manager is the address at which any replica answers. ServerName is the name
	// in a replica's certificate. CA is the certificates, in PEM, of the
	// authorities that may have signed it.
	Manager    string
	ServerName string
	CA         []byte
	// Token is valid for one enrollment of this pod. A sidecar has a TokenFile
	// instead, which the kubelet renews.
	Token          string
	TokenFile      string
	Namespace      string
	Pod            string
	PodUID         string
	PodAddrs       []netip.Addr
	LogLevel       slog.Level
	certificatesOf *x509.CertPool
}

// SettingsFrom reads the settings with getenv. The error names every variable that
// is missing or invalid.
func SettingsFrom(getenv func(string) string) (*Settings, error) {
	s := &Settings{}
	var wrong []error
	required := func(name string) string {
		v := getenv(name)
		if v == "" {
			wrong = append(wrong, fmt.Errorf("%s is not set", name))
		}
		return v
	}
	s.Manager = required("AGENT_MANAGER")
	s.ServerName = required("AGENT_SERVER_NAME")
	s.CA = []byte(required("AGENT_CA"))
	if s.TokenFile = getenv("AGENT_TOKEN_FILE"); s.TokenFile == "" {
		s.Token = required("AGENT_TOKEN")
	}
	s.Namespace = required("AGENT_NAMESPACE")
	s.Pod = required("AGENT_POD")
	s.PodUID = required("AGENT_POD_UID")
	if s.Manager != "" {
		if err := checkAddr(s.Manager); err != nil {
			wrong = append(wrong, fmt.Errorf("AGENT_MANAGER: %w", err))
		}
	}
	if len(s.CA) > 0 {
		s.certificatesOf = x509.NewCertPool()
		if !s.certificatesOf.AppendCertsFromPEM(s.CA) {
			wrong = append(wrong, errors.New("AGENT_CA holds no PEM certificate"))
		}
	}
	for a := range strings.SplitSeq(getenv("AGENT_POD_IPS"), ",") {
		if a = strings.TrimSpace(a); a == "" {
			continue
		}
		addr, err := netip.ParseAddr(a)
		if err != nil {
			wrong = append(wrong, fmt.Errorf("AGENT_POD_IPS: %q is not an IP address", a))
			continue
		}
		s.PodAddrs = append(s.PodAddrs, addr.Unmap())
	}
	if level := getenv("AGENT_LOG_LEVEL"); level != "" {
		if err := s.LogLevel.UnmarshalText([]byte(level)); err != nil {
			wrong = append(wrong, fmt.Errorf("AGENT_LOG_LEVEL: %q is none of debug, info, warn, error", level))
		}
	}
	return s, errors.Join(wrong...)
}

func checkAddr(addr string) error {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return fmt.Errorf("%q is not host:port", addr)
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 || host == "" {
		return fmt.Errorf("%q is not host:port", addr)
	}
	return nil
}
